"""`pdagentd`: the daemon."""

import argparse
import os

from pdagent import config, exits
from pdagent.commands import common
from pdagent.daemon import serve
from pdagent.layout import CannotRun


def parser() -> argparse.ArgumentParser:
    parser = common.parser("pdagentd", "Send the events queued on this host to PagerDuty.")
    group = common.options(parser)
    group.add_argument(
        "-f",
        "--foreground",
        action="store_true",
        help="stay in the foreground, write no pid file, log to stderr too",
    )
    return parser


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    if os.geteuid() == 0:
        return common.fail(
            "pdagentd",
            "Agent should not be run as root. Use: sudo service pdagent <command>",
            exits.NOT_PERMITTED,
        )
    path = os.path.abspath(config.path_from(options.config))
    settings, problems = config.load(path)
    fatal = next((problem for problem in problems if problem.fatal), None)
    if fatal is not None:
        return _refuse(settings, fatal.text)

    def run(ready: common.Ready) -> int:
        try:
            return serve(path, settings, problems, ready, options.foreground)
        except CannotRun as problem:
            if not options.foreground:  # else the log has said it on stderr
                common.fail("pdagentd", str(problem), problem.code)
            return problem.code

    if options.foreground:
        return run(lambda: None)
    if problems:
        common.warn("pdagentd", problems)
    from pdagent.background import daemonize

    try:
        os.makedirs(settings.run_dir, exist_ok=True)
    except OSError as error:
        text = f"cannot make the directory {settings.run_dir}: {error.strerror}"
        return common.fail("pdagentd", text, exits.NOT_PERMITTED)
    pid_file = f"{settings.run_dir}/pdagentd.pid"
    return daemonize(pid_file, run)


def _refuse(settings: config.Config, text: str) -> int:
    from pdagent import log

    os.umask(0o027)
    log.last_words(settings.log_dir, text)
    return common.fail("pdagentd", text, exits.BAD_CONFIG)
