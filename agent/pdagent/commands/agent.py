"""`pdagent`: about the agent itself."""

import argparse
import platform

from pdagent import __version__, exits
from pdagent.commands import common
from pdagent.submission import say


def parser() -> argparse.ArgumentParser:
    parser = common.parser("pdagent", "About the PagerDuty Agent on this host.")
    common.options(parser)
    parser.add_argument("command", choices=["version"], help="version: what exactly is installed")
    return parser


def main(arguments: list[str]) -> int:
    parser().parse_args(arguments)
    import ssl

    say(f"pdagent {__version__}, Python {platform.python_version()}, {ssl.OPENSSL_VERSION}")
    return exits.DONE
