"""Home-made authorities, against the shipped program, whose Python is stricter than the tests'."""

from tests.support.agent import Agent, directory, wait_until
from tests.support.events import KEY, enqueue
from tests.support.events_api.certificates import home_made
from tests.support.raw_answers import Play, Player
from tests.support.raw_server import serving


def test_an_authority_without_key_usage(agent: Agent) -> None:
    """A gateway's, as curl and the old agent took it. Until it is trusted, the log says who issued
    the certificate, and `pdagent check` what to do."""
    with directory() as root:
        root.chmod(0o755)
        context, ca_file = home_made(str(root))
        with serving(Player, tls=context) as server:
            server.play = Play()  # type: ignore[attr-defined]
            agent.configure(events_url=server.url, backoff_interval_secs=1)
            name = enqueue(agent, KEY, "a", "x")
            agent.start()
            wait_until(lambda: "cannot be reached" in agent.log)
            assert 'issued by "Home-made Gateway CA"' in agent.log
            assert b"update-ca-certificates" in agent.run("pdagent", "check").stdout
            assert agent.names("pdq") == [name]
            agent.configure(events_url=server.url, ca_file=ca_file, backoff_interval_secs=1)
            assert agent.daemon is not None
            agent.daemon.send_signal(1)
            wait_until(lambda: agent.names("suc") == [name])
