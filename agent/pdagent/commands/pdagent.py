"""`pdagent`: about the agent itself."""

import argparse
import platform

from pdagent import __version__, config, exits
from pdagent.commands import common, pdagent_check, pdagent_reload


def parser() -> argparse.ArgumentParser:
    return _parsers()[0]


def _parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser of the command, and that of `check`."""
    parser = common.Parser.of(
        "pdagent",
        "About the PagerDuty Agent on this host.",
        (
            ("sudo pdagent check", "would pages go out?"),
            ("pdagent version", "what exactly is installed?"),
        ),
    )
    common.options(parser)
    commands = parser.add_subparsers(
        title="sub-commands", dest="command", metavar="{check,reload,version}", prog="pdagent"
    )
    checks = commands.add_parser(
        "check",
        help="see whether pages would go out from this host",
        description="See whether pages would go out from this host, and what to do where they "
        "would not. Sends nothing, unless told to.",
        add_help=False,
    )
    checks.examples = (
        ("sudo pdagent check", "everything; the last line is the result"),
        ("sudo pdagent check --repair", "after chown or chmod went wrong"),
        ("pdagent check --nagios", "for a monitoring server"),
    )
    pdagent_check.options(common.options(checks, default=argparse.SUPPRESS))
    reloads = commands.add_parser(
        "reload",
        help="have the daemon read its configuration again, and say whether it did",
        description="Have the daemon read its configuration again. Succeeds once that is in use. "
        "Fails if the daemon refuses it; the daemon then goes on with the old one.",
        add_help=False,
    )
    reloads.examples = (("sudo pdagent reload", "what 'systemctl reload pdagent' does"),)
    common.options(reloads, default=argparse.SUPPRESS)
    version = commands.add_parser(
        "version",
        help="what exactly is installed",
        description="What exactly is installed.",
        add_help=False,
    )
    version.examples = (("pdagent version", "for a report"),)
    common.options(version, default=argparse.SUPPRESS)
    return parser, checks


def main(arguments: list[str]) -> int:
    parser, checks = _parsers()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.error("too few arguments")
    if options.command == "check":
        return pdagent_check.main(checks, options)
    if options.command == "reload":
        return pdagent_reload.main(config.path_from(options.config))
    import ssl

    python = platform.python_version()
    common.emit([f"pdagent {__version__}, Python {python}, {ssl.OPENSSL_VERSION}\n"])
    return exits.DONE
