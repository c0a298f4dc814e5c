"""`pdagentd`: the daemon.

What the other commands share, argparse above all, is imported only where a person is spoken to: it
would be two megabytes of every idle daemon.
"""

import os
from collections.abc import Callable

from pdagent import config, exits
from pdagent.daemon.life import serve
from pdagent.daemon.loading import Loaded, load
from pdagent.queue.layout import CannotRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def parser() -> "argparse.ArgumentParser":
    from pdagent.commands import common

    parser = common.Parser.of(
        "pdagentd",
        "Send the events queued on this host to PagerDuty.",
        (
            ("sudo systemctl restart pdagent", "how it is usually run"),
            ("pdagentd --check-config", "what is wrong with the configuration?"),
            ("sudo -u pdagent pdagentd -f", "to watch it at work; ^C ends it"),
        ),
    )
    group = common.options(parser)
    group.add_argument(
        "-f",
        "--foreground",
        action="store_true",
        help="stay in the foreground, write no pid file, log to stderr too",
    )
    group.add_argument(
        "--check-config",
        action="store_true",
        help="look at the configuration file, say what is wrong with it, and exit: as "
        "'pdagent check --config-only'",
    )
    return parser


def main(arguments: list[str]) -> int:
    # Units and init scripts start it so. Then argparse, which takes memory, is not imported.
    foreground = arguments in (["-f"], ["--foreground"])
    path = None
    if arguments and not foreground:
        options = parser().parse_args(arguments)
        foreground, path = options.foreground, options.config
        if options.check_config:
            from pdagent.commands import pdagent_check

            return pdagent_check.only_configuration(config.path_from(path))
    if os.geteuid() == 0:
        return _fail(
            "Agent should not be run as root. Use: sudo service pdagent <command>",
            exits.NOT_PERMITTED,
        )
    path = os.path.abspath(config.path_from(path))
    loaded = load(path)
    # A mistake in the names of keys must not keep events with other keys from being sent.
    fatal = next((problem for problem in loaded.problems if problem.fatal), None)
    if fatal is not None:
        return _refuse(loaded.settings, fatal.text)

    def run(ready: Callable[[], None]) -> int:
        try:
            return serve(path, loaded, ready, foreground)
        except CannotRun as problem:
            if not foreground:  # in the foreground the log has said it on stderr
                _fail(str(problem), problem.code)
            return problem.code

    return run(lambda: None) if foreground else _detach(loaded, run)


def _detach(loaded: Loaded, run: Callable[[Callable[[], None]], int]) -> int:
    """Runs the daemon in the background."""
    if problems := [*loaded.problems, *loaded.of_keys]:
        from pdagent.commands import common

        common.warn("pdagentd", problems)
    from pdagent.daemon.background import daemonize

    run_dir = loaded.settings.run_dir
    try:
        os.makedirs(run_dir, exist_ok=True)
    except OSError as error:
        text = f"cannot make the directory {run_dir}: {error.strerror}"
        return _fail(text, exits.NOT_PERMITTED)
    return daemonize(f"{run_dir}/pdagentd.pid", run)


def _refuse(settings: config.Config, text: str) -> int:
    from pdagent import log

    os.umask(0o027)
    log.last_words(settings.log_dir, text)
    return _fail(text, exits.BAD_CONFIG)


def _fail(text: str, code: int) -> int:
    from pdagent.commands import common

    return common.fail("pdagentd", text, code)
