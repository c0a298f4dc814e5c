"""`pdagent reload`: have the daemon read its configuration again."""

from pdagent import config, exits
from pdagent.acceptance import say
from pdagent.check.host import Host
from pdagent.check.reload import NotReloaded, reload
from pdagent.commands.common import fail, put


def main(path: str) -> int:
    settings, _ = config.load(path)
    try:
        remarks = reload(settings, Host())
    except NotReloaded as reason:
        return fail("pdagent reload", str(reason), reason.code)
    put(f"configuration reloaded from {path}")
    for remark in remarks:
        say(f"pdagent reload: warning: {remark}", 2)
    return exits.DONE
