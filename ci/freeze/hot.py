"""The last module that runs before PyInstaller's importers do: a plain `pd-send` ends here, and so
does a plain `pd-nagios`, `pd-zabbix` or `pd-sensu`.

Until here only what is built into the interpreter can be imported, and the modules of HOT in
pdagent.spec, which also puts WARM before this: code by module name, marshalled and compressed.
"""

import sys

name = sys.argv[0].rpartition("/")[2]
wanted = "pdagent.integrations." + name.removeprefix("pd-")
try:
    if name == "pd-send":
        from pdagent import quick

        quick.main(sys.argv[1:])
    elif wanted in WARM:  # noqa: F821
        import marshal
        import zlib

        package = "pdagent.integrations"
        for warm in (package, f"{package}.report", wanted):
            module = sys.modules[warm] = type(sys)(warm)
            module.__package__ = package
            exec(marshal.loads(zlib.decompress(WARM[warm])), module.__dict__)  # noqa: F821
        sys.modules[wanted].main(sys.argv[1:])
except Exception:
    # A mistake of ours, here where hardly anything can be imported, must not cost a page: the
    # complete way gets its turn, and tells what is wrong. Nothing goes wrong once an event is
    # accepted, so that none is sent twice.
    pass
