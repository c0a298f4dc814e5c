"""Whose answer is it? The shipped daemon against a server that may say anything between and behind
its answers: what is in suc/ is what it said yes to, always. `--long` takes ten minutes."""

import ssl
import time
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.agent import Agent, directory, wait_until
from tests.support.events import enqueue, key
from tests.support.events_api import CertificateAuthority
from tests.support.raw_answers import Play, Player, Said, plain, said, success
from tests.support.raw_server import serving

numbers = count()
LONG_SECONDS = 300


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_only_a_yes_of_its_own_delivers_an_event(
    request: pytest.FixtureRequest, agent: Agent, tls: bool
) -> None:
    """Whatever is said, and how often: each event ends where its own answer says."""
    until = time.monotonic() + (LONG_SECONDS if request.config.getoption("--long") else 0)
    with directory() as root:
        authority = CertificateAuthority(str(root))
        context: ssl.SSLContext | None = authority.context() if tls else None
        with serving(Player, tls=context) as server:
            server.play = Play()  # type: ignore[attr-defined]
            agent.configure(
                events_url=server.url,
                ca_file=authority.ca_file,
                backoff_interval_secs=1,
                send_interval_secs=1,
            )
            root.chmod(0o755)
            agent.start()

            @settings(
                max_examples=6,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(st.data())
            def check(data: st.DataObject) -> None:
                names = [f"event {next(numbers)}" for _ in range(8)]
                later = data.draw(st.sampled_from([0, 0.002, 0.02]))
                behind = data.draw(said).behind if not later else plain(202, success("other"))
                play = Play(
                    {name: data.draw(st.lists(said, max_size=1)) for name in names},
                    Said(behind=behind, later=later),
                )
                refused = Said(refused=True, behind=data.draw(said).behind)
                play.plans[names[0]] += [refused] * 100
                server.play = play  # type: ignore[attr-defined]
                files = {
                    enqueue(agent, key(number % 3), name, name): name
                    for number, name in enumerate(names)
                }
                wait_until(lambda: agent.names("pdq") == [], seconds=180)
                in_suc = {files[name] for name in agent.names("suc") if name in files}
                in_err = {files[name] for name in agent.names("err") if name in files}
                assert in_suc <= play.taken
                assert in_err <= play.refused
                assert in_suc | in_err == set(names)
                # Its yes may be lost, since a stranger's answer ends all connections. Then it is
                # sent again, and refused.
                assert {names[0]} - play.taken <= in_err <= {names[0]}

            check()
            while time.monotonic() < until:
                check()
