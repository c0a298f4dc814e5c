"""A monitoring server on a host that has the agent. Knows nothing of any one product."""

from abc import ABC, abstractmethod
from typing import ClassVar

from tests.hosts.host import Host

SAMPLES = "/usr/share/pdagent-integrations/conf"


class Server(ABC):
    """What its administrator does there, and what he looks at when nobody is paged."""

    package: ClassVar[str]
    unit: ClassVar[str]
    log_file: ClassVar[str]

    def __init__(self, host: Host) -> None:
        self.host = host

    @abstractmethod
    def set_up(self) -> None:
        """Configure it by the shipped sample, and start it."""

    @property
    def version(self) -> str:
        return self.host.sh(f"dpkg-query -W -f '${{Package}} ${{Version}}' {self.package}")

    def log(self) -> str:
        """The server's side and the agent's, whatever there is of them."""
        return str(
            self.host.run(f"""
                journalctl --no-pager --lines=30 --unit={self.unit} --unit=pdagent
                tail -n 60 {self.log_file} /var/log/pdagent/pdagentd.log
                pd-queue status""").stdout
        )

    def queued(self) -> int:
        """Events that were ever handed to the agent."""
        return int(self.host.sh(_COUNT))

    def until_queued(self, count: int) -> None:
        """Until the server's notification commands have handed over that many."""
        self.host.until(f'[ "$({_COUNT})" -ge {count} ]', seconds=90)


_COUNT = "cd /var/lib/pdagent/outqueue; find pdq suc err -type f | wc -l"
