"""The configuration as the daemon reads it."""

from pathlib import Path

from pdagent.daemon.loading import load
from pdagent.queue.versions import version


def test_all_files(tmp_path: Path) -> None:
    """The file, its pieces, and what they name; what is wrong with the keys_file stands apart."""
    conf, piece, keys = tmp_path / "c", tmp_path / "c.d/p.conf", tmp_path / "keys"
    piece.parent.mkdir()
    conf.write_text("[Main]\nmax_per_key = 0\n")
    piece.write_text(f"[Main]\nkeys_file = {keys}\n")
    keys.write_text("[Keys]\ndb = 0123456789abcdef0123456789abcdef\n?\n")
    loaded = load(str(conf))
    assert loaded.settings.keys == {"db": "0123456789abcdef0123456789abcdef"}
    assert ["max_per_key" in problem.text for problem in loaded.problems] == [True]
    assert [str(keys) in problem.text for problem in loaded.of_keys] == [True]
    assert loaded.versions == tuple(version(str(file)) for file in (conf, piece, keys))


def test_nothing_there(tmp_path: Path) -> None:
    """That is a problem, and there are no versions."""
    loaded = load(str(tmp_path / "c"))
    assert loaded.problems
    assert loaded.versions == ()
