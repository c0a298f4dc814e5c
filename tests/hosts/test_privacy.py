"""Local users may add events, and nothing else."""

from tests.hosts.host import Host

PDQ = "/var/lib/pdagent/outqueue/pdq"


def test_privacy(host: Host) -> None:
    """Another user can't list, read, rename, replace, link away or delete what alice queued."""
    host.service.stop()
    host.pd_send("private")
    (name,) = host.queue()
    event = f"{PDQ}/{name}"
    before = host.sh(f"cat {event}; stat -c '%a %U %G' {event}")
    assert before.endswith("640 alice pdagent")

    attempts = {
        "list pending": f"ls {PDQ}",
        "list delivered": "ls /var/lib/pdagent/outqueue/suc",
        "list in error": "ls /var/lib/pdagent/outqueue/err",
        "read": f"cat {event}",
        "write": f"echo >>{event}",
        "rename": f"mv -f {event} {PDQ}/1_x.txt",
        "replace": f"touch /tmp/mine; mv -f /tmp/mine {event}",
        "delete": f"rm -f {event}",
        "read the log": "cat /var/log/pdagent/pdagentd.log",
        "write beside the log": "touch /var/log/pdagent/mine",
        "write beside the queue": "touch /var/lib/pdagent/mine /var/lib/pdagent/outqueue/mine",
    }
    script = "\n".join(f"({how}) >/dev/null 2>&1 && echo {what}" for what, how in attempts.items())
    assert host.run(script, user="mallory").stdout == ""
    assert host.sh(f"cat {event}; stat -c '%a %U %G' {event}") == before
