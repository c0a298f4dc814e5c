"""The first module of ours that runs: before PyInstaller has its importers, and where the runtime
allows before Python has quite started (ci/runtime/early.c). A plain `pd-send` ends here, and so
does a plain `pd-nagios`, `pd-zabbix` or `pd-sensu`.

Only what is built into the interpreter can be imported here, and what this module brings along:
pdagent.spec puts pairs of module name and code in the place of the two names below. The monitoring
tools' code is marshalled, since no pd-send needs it.

What is not plain comes here a second time, after the start, and finds the modules that are there.
"""

import sys

HOT = "@HOT@"
WARM = "@WARM@"


def load(name, code):
    module = sys.modules[name] = type(sys)(name)
    exec(code, module.__dict__)
    return module


command = sys.argv[0].rpartition("/")[2]
integration = "pdagent.integrations." + command.removeprefix("pd-")
try:
    if "pdagent" in sys.modules:
        pass
    elif command == "pd-send":
        for name, code in HOT:
            quick = load(name, code)
        quick.main(sys.argv[1:])
    elif integration in [name for name, _ in WARM]:
        import marshal

        for name, code in HOT:
            load(name, code)
        for name, marshalled in WARM:
            if name in ("pdagent.integrations", "pdagent.integrations.report", integration):
                module = load(name, marshal.loads(marshalled))
        sys.modules[integration].main(sys.argv[1:])
except Exception:
    # A mistake of ours, here where hardly anything can be imported, must not cost a page: the
    # complete way gets its turn, and tells what is wrong. Nothing goes wrong once an event is
    # accepted, so that none is sent twice.
    pass
