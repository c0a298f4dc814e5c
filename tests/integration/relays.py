"""Relays for tests: agents that take events from others."""

import http.client
import json
import os
import signal
import ssl
from pathlib import Path

from tests.integration.test_endpoint import ALERT
from tests.support.agent import Agent, wait_until
from tests.support.events_api import EventsApi
from tests.support.events_api.certificates import CertificateAuthority
from tests.support.ports import free_port
from tests.support.users import AGENT, ROOT

WEB1, DB1 = "web1-0123456789abcdef", "db1-0123456789abcdef"


class Relay:
    """What an agent needs for that, and how its clients ask it."""

    def __init__(
        self, agent: Agent, api: EventsApi, ca: CertificateAuthority | None = None
    ) -> None:
        self.agent = agent
        self.port = free_port()
        self._directory = agent.root / "tls"
        self._directory.mkdir(mode=0o755)
        self.ca = ca or CertificateAuthority(str(self._directory))
        self.cert, self.key = self.certificate(self.ca)
        self.tokens = agent.root / "tokens"
        self.name("web1", "db1")
        agent.configure(
            events_url=api.url,
            listen=f"0.0.0.0:{self.port}",
            listen_cert=self.cert,
            listen_key=self.key,
            listen_tokens_file=self.tokens,
            backoff_interval_secs=1,
        )

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def certificate(self, ca: CertificateAuthority) -> tuple[str, str]:
        cert, key = ca.files(str(self._directory), "127.0.0.1")
        self.own(Path(key))
        return cert, key

    def own(self, file: Path) -> None:
        file.chmod(0o640)
        if ROOT:
            os.chown(file, 0, AGENT.gid)

    def name(self, *senders: str) -> None:
        self.tokens.write_text("".join(f"{name} = {name}-0123456789abcdef\n" for name in senders))
        self.own(self.tokens)

    def ask(self, token: str, ca: CertificateAuthority | None = None) -> int:
        tls = ssl.create_default_context(cafile=(ca or self.ca).ca_file)
        made = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=tls)
        headers = {"Authorization": f"Bearer {token}"}
        made.request("POST", "/v2/enqueue", json.dumps(ALERT), headers)
        return made.getresponse().status

    def reload(self) -> None:
        daemon = self.agent.daemon
        assert daemon is not None
        before = self.agent.log.count("reloaded from") + self.agent.log.count("going on with")
        daemon.send_signal(signal.SIGHUP)
        wait_until(
            lambda: (
                self.agent.log.count("reloaded from") + self.agent.log.count("going on with")
                > before
            )
        )


def checked(agent: Agent) -> str:
    """What it prints, in one line."""
    return " ".join(agent.run("pdagent", "check").stdout.decode().split())
