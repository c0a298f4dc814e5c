"""The dispatch: which command this is, by the name it is called by."""

import sys

COMMANDS = {
    "pd-send": "send",
    "pd-queue": "queue",
    "pdagentd": "daemon",
    "pdagent": "agent",
}


def main() -> int:
    name, arguments = sys.argv[0].rpartition("/")[2], sys.argv[1:]
    if name not in COMMANDS and arguments and arguments[0] in COMMANDS:
        name, arguments = arguments[0], arguments[1:]  # python -m pdagent pd-send ...
    name = name if name in COMMANDS else "pdagent"
    try:
        if name == "pd-send":
            from pdagent import quick

            quick.main(arguments)
        from importlib import import_module

        return int(import_module(f"pdagent.commands.{COMMANDS[name]}").main(arguments))
    except KeyboardInterrupt:
        from pdagent import exits

        return exits.INTERRUPTED
    except BrokenPipeError:
        return 0  # whoever read our output has seen enough


if __name__ == "__main__":
    sys.exit(main())
