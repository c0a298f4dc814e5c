"""The dispatch: which command this is, by the name it is called by."""

import errno
import posix
import sys

from pdagent import exits
from pdagent.quick import hold_standard_descriptors

# Each is a module of its name in `commands`.
COMMANDS = ("pd-send", "pd-queue", "pd-nagios", "pd-zabbix", "pd-sensu", "pdagentd", "pdagent")
# Modules that have a quick way for plain command lines.
QUICK = {
    "pd-send": "quick",
    "pd-nagios": "integrations.nagios",
    "pd-zabbix": "integrations.zabbix",
    "pd-sensu": "integrations.sensu",
}


def main() -> int:
    name, arguments = sys.argv[0].rpartition("/")[2], sys.argv[1:]
    if name not in COMMANDS and arguments and arguments[0] in COMMANDS:
        name, arguments = arguments[0], arguments[1:]  # python -m pdagent pd-send ...
    name = name if name in COMMANDS else "pdagent"
    hold_standard_descriptors()
    words = "out of memory: free some, or allow more (ulimit -v), and try again"
    shortage = f"{name}: {words}\n".encode()  # made while there is memory
    try:
        # Python's own start takes SIGINT by this import. In the frozen program it does not
        # (ci/runtime/early.c), so that ^C raises an exception from here on, and no earlier.
        __import__("_signal")  # of which type checkers know nothing

        if name in QUICK:
            module = f"pdagent.{QUICK[name]}"
            __import__(module)  # importlib's own function would have to be imported
            sys.modules[module].main(arguments)  # this returns if the complete way is needed
        from importlib import import_module

        return int(import_module(f"pdagent.commands.{name.replace('-', '_')}").main(arguments))
    except KeyboardInterrupt:
        # It exits at once. Python's own way out takes a moment, and another ^C would end that with
        # a traceback.
        posix._exit(exits.INTERRUPTED)
    except BrokenPipeError:
        return 0  # whoever read our output has seen enough
    except (MemoryError, SystemError):
        # Where memory is short, parts of Python fail without saying why, which is a SystemError. It
        # exits at once, since Python's own way out wants memory too.
        posix.write(2, shortage)
        posix._exit(exits.TRY_AGAIN)
    except OSError as error:
        # A module that is imported is read from a file, like anything else.
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        words = "too many open files: close some, or allow more (ulimit -n), and try again"
        posix.write(2, f"{name}: {words}\n".encode())
        return exits.TRY_AGAIN


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit as ended:  # argparse's end, and ours
        code = int(ended.code or exits.DONE)
    # Python would first take its modules apart, which costs a command a tenth of its time. Nothing
    # waits for that: all output goes past Python's streams, and threads keep nobody from ending.
    posix._exit(code)
