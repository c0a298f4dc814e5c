"""Loading: the configuration as the daemon reads it, at its start and at each reload."""

from dataclasses import dataclass

from pdagent import config
from pdagent.config import Config
from pdagent.lines import Problem
from pdagent.queue.versions import named, versions


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read: the settings, what is wrong with them, what is wrong with the keys_file, and
    the versions of all files (see `queue.versions`)."""

    settings: Config
    problems: list[Problem]
    of_keys: list[Problem]
    versions: tuple[str, ...]


def load(path: str) -> Loaded:
    """Reads the configuration in the file `path`, its pieces and the keys_file."""
    # Versions are taken before contents are read. So a file that changes in between counts as
    # changed. The other way round, the new version would stand for the old contents.
    try:
        files = config.files(path)
    except OSError:  # `config.load` says why
        files = [path]
    seen = versions(files)
    settings, problems = config.load(path)
    seen += versions(named(settings))
    return Loaded(settings, problems, config.load_keys(settings), seen)
