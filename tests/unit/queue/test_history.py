"""What the log says about one event."""

from pathlib import Path

from pdagent.queue.history import from_log

NAME = "1795402356123456_c7a4f1e2b9d84c6fa0b1c2d3e4f50617.txt"
SHOWN = "1795402356123456_*0617"
ABOUT = "(trigger, incident_key = x)"


def line(minute: int, message: str, level: str = "WARNING") -> str:
    thread, name = f"{'Worker-1':<20}", f"{'pdagent.delivery':<20}"
    return f"2026-11-23 03:{minute:02}:01,250 {level:<7} {thread} {name} {message}\n"


def history(log_dir: Path) -> list[str]:
    return [what for _, what in from_log(str(log_dir), NAME, ABOUT)]


def test_each_try_is_told_in_order(tmp_path: Path) -> None:
    """Over rotated files, and without what concerns others."""
    old = line(1, f"failed {SHOWN} {ABOUT}: answered 500; event held for 0.5 s")
    old += line(2, f"failed 1795402356123457_*0617 {ABOUT}: answered 500; event held for 0.5 s")
    (tmp_path / "pdagentd.log.1").write_text(old)
    new = line(3, f"throttled {SHOWN} {ABOUT}: 429; key held for 5.0 s")
    new += line(4, f"delivered {SHOWN} {ABOUT}: 202 in 12 ms", "INFO")
    new += line(5, f"in error: {SHOWN}: it is empty")
    (tmp_path / "pdagentd.log").write_text(new)
    assert history(tmp_path) == [
        "failed: answered 500; event held for 0.5 s",
        "throttled: 429; key held for 5.0 s",
        "delivered: 202 in 12 ms",
        "in error: it is empty",
    ]
    times = [at for at, _ in from_log(str(tmp_path), NAME, ABOUT)]
    assert times == sorted(times)
    assert times[0] % 60 == 1.25


def test_other_lines_that_name_it_are_not_its_history(tmp_path: Path) -> None:
    """A sender may write anything into a dedup key, another event's history too."""
    forged = f"(trigger, incident_key = refused {SHOWN} {ABOUT}: 400)"
    text = line(1, f"delivered 1795402356123459_*0617 {forged}: 202 in 1 ms")
    text += line(2, f"cannot read {SHOWN}: I/O error")
    text += f"delivered {SHOWN}: 202\n"
    (tmp_path / "pdagentd.log").write_text(text)
    assert history(tmp_path) == []


def test_no_log_no_history(tmp_path: Path) -> None:
    """Nor is a link followed, or a FIFO waited for."""
    assert history(tmp_path) == []
    (tmp_path / "pdagentd.log").symlink_to("/etc/hostname")
    assert history(tmp_path) == []
