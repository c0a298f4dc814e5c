"""The quick way through pd-send and the complete one can't be told apart, but by their speed."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pdagent import quick
from pdagent.commands import pd_send
from pdagent.submission import Submission
from tests.support.users import ROOT
from tests.support.ways import NOT_PLAIN, in_a_child, outcome


def quickly(arguments: list[str]) -> int:
    quick.main(arguments)
    return NOT_PLAIN


def completely(arguments: list[str]) -> int:
    return pd_send.main(arguments)


def as_installed(arguments: list[str]) -> int:
    """As the frozen program does: the quick way, once more, then the complete one."""
    quick.main(arguments)
    quick.main(arguments)
    return pd_send.main(arguments)


NAMES = [*Submission.texts, "-f", "--field"]
NAMES.remove("--config")
ODD = ["-q", "--quiet", "-h", "--help", "--version", "--serv", "--nope", "-x", "word", "--", "-"]
ODD += ["--change", "--dry-run", "-kKEY2", "-ttrigger", "-qd", "--link", "--image", "-k=K", ""]
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUES = (
    TEXTS
    | st.sampled_from(["KEY1", "trigger", "resolve", "a=b", "=", "critical", "-", "--", "-1", "-x"])
    | st.sampled_from(["", " ", "a b", "-a b", "\udcff", "caf\u00e9", "x" * 2000, "\U0001f525"])
)
GOOD = {
    "-t": st.sampled_from(["trigger", "acknowledge", "resolve"]),
    "-k": st.sampled_from(["KEY1", "c7a4f1e2b9d84c6fa0b1c2d3e4f50617", "a b", "\u00e4"]),
    "--severity": st.sampled_from(["critical", "error", "warning", "info"]),
    "-f": TEXTS.filter(lambda text: text[:1] != "-").map(lambda text: text + "=v"),
}
WORDS = TEXTS.filter(lambda text: text[:1] != "-")


@st.composite
def options(draw: st.DrawFn, name: str, values: st.SearchStrategy[str]) -> list[str]:
    """An option as one word or as two."""
    value = draw(values)
    if name.startswith("--") and draw(st.booleans()):
        return [f"{name}={value}"]
    return [name, value]


def shuffled(parts: list[list[str]]) -> st.SearchStrategy[list[str]]:
    return st.permutations(parts).map(lambda order: [word for part in order for word in part])


@st.composite
def good_lines(draw: st.DrawFn, keyed: bool = True) -> list[str]:
    """What people and monitoring systems write; `keyed`: with an integration key."""
    parts = []
    if keyed:
        parts = [draw(options(draw(st.sampled_from(["-k", "--service-key"])), GOOD["-k"]))]
    parts.append(draw(options(draw(st.sampled_from(["-t", "--event-type"])), GOOD["-t"])))
    parts.append(draw(options("-d", WORDS.map(lambda text: "x" + text))))
    parts.append(draw(options("--incident-key", WORDS.map(lambda text: "x" + text))))
    rest = st.sampled_from(sorted(set(NAMES) - {"-k", "--service-key", "-t", "--event-type"}))
    for name in draw(st.lists(rest, max_size=4)):
        good = GOOD.get({"--field": "-f"}.get(name, name), WORDS.map(lambda text: "y" + text))
        parts.append(draw(options(name, good)))
    if draw(st.booleans()):
        parts.append([draw(st.sampled_from(["-q", "--quiet"]))])
    return draw(shuffled(parts))


@st.composite
def any_lines(draw: st.DrawFn) -> list[str]:
    """What somebody could type: options that lack something, clash, or are none."""
    parts = [["-k", "KEY1"], ["-t", "trigger"], ["-d", "x"]]
    parts = [part for part in parts if draw(st.integers(0, 5))]
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(NAMES + ODD))
        parts.append(draw(options(name, VALUES)) if draw(st.integers(0, 4)) else [name])
    return draw(shuffled(parts))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=20)
@given(good_lines())
def test_good_lines_take_the_quick_way(arguments: list[str]) -> None:
    """And come to the same thing as with argparse: body, output, exit code."""
    fast = outcome(quickly, arguments)
    assert fast[0] == 0
    assert fast == outcome(completely, arguments)
    assert len(fast[3]) == 1


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40)
@given(any_lines())
def test_any_line_comes_to_the_same_thing(arguments: list[str]) -> None:
    """What the quick way takes, it does as argparse would; what it does not, it leaves alone."""
    fast = outcome(quickly, arguments)
    if fast[0] == NOT_PLAIN:
        assert fast == (NOT_PLAIN, b"", b"", [])
    else:
        assert fast == outcome(completely, arguments)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40)
@given(any_lines())
@example(["-k", "KEY1", "-t", "trigger", "-d", "x", "--dry-run"])
def test_what_is_handed_over_comes_to_the_same_thing(arguments: list[str]) -> None:
    """However far the quick way got."""
    assert outcome(as_installed, arguments) == outcome(completely, arguments)


DEFAULT = "[Keys]\ndefault = KEY9\n[Main]"


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=10)
@given(good_lines(keyed=False))
def test_the_default_key_is_that_of_both_ways(arguments: list[str]) -> None:
    """Quick, too. Where no key has that name, both say that one is needed."""
    fast = outcome(quickly, arguments, DEFAULT)
    assert fast[0] == 0
    assert fast == outcome(completely, arguments, DEFAULT)
    assert fast[3][0].startswith("@default.txt")
    assert outcome(quickly, arguments)[0] == NOT_PLAIN
    code, _, err, queued = outcome(as_installed, arguments)
    assert (code, queued) == (2, [])
    assert b"argument -k/--service-key is required" in err


@pytest.mark.parametrize("conf", ["events_api = v1", "events_api = v2", "direct_delivery = on"])
def test_the_configuration_counts_on_both_ways(conf: str) -> None:
    """v1 where v1 is wanted."""
    arguments = ["-k", "KEY1", "-t", "trigger", "-d", "x", "-f", "a=b"]
    fast = outcome(quickly, arguments, conf)
    assert fast[0] == 0
    assert fast == outcome(completely, arguments, conf)
    assert ("service_key" in fast[3][0]) == conf.endswith("v1")


@pytest.mark.parametrize("conf", ["max_connections = x", "unknown = 1", "junk"])
def test_a_problem_with_the_configuration_is_left_to_the_complete_way(conf: str) -> None:
    """Which has a word for it, and queues the event all the same."""
    arguments = ["-k", "KEY1", "-t", "trigger", "-d", "x"]
    assert outcome(quickly, arguments, conf) == (NOT_PLAIN, b"", b"", [])
    code, _, err, queued = outcome(completely, arguments, conf)
    assert (code, len(queued)) == (0, 1)
    assert err.startswith(b"pd-send: warning: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-h"],
        ["--help"],
        ["--version"],
        ["-kKEY1"],
        ["--service", "KEY1"],
        ["-k"],
        ["-k", "-x"],
        ["word", "word"],
        ["--", "x"],
        ["--quiet=x"],
        ["--change", "-d", "x"],
        ["run", "--", "true"],
        ["run", "-k", "KEY1", "--", "pd-send", "-t", "trigger", "-d", "x"],
        ["--service-key-file", "/x"],
    ],
)
def test_what_is_not_plain_is_not_read(arguments: list[str]) -> None:
    """argparse has rules of its own for these."""
    assert not Submission().read(arguments)


def test_reading_a_plain_line() -> None:
    """Each option where the complete way would put it."""
    line = ["-k", "K", "--field=a=b", "-f", "c=d", "-q", "--class", "disk", "--config", "/c"]
    read = Submission()
    assert read.read(line)
    assert (read.key, read.fields, read.quiet) == ("K", ["a=b", "c=d"], True)
    assert (read.event_class, read.config) == ("disk", "/c")


def test_every_option_of_the_quick_way_is_one_of_the_complete() -> None:
    """Under the same names, into the same places."""
    known = {
        name: action.dest for action in pd_send.parser()._actions for name in action.option_strings
    }
    assert Submission.texts.items() <= known.items()


@pytest.mark.skipif(not ROOT, reason="only root may chroot")
def test_closed_descriptors_where_there_is_no_dev(tmp_path: Path) -> None:
    """They are opened all the same, and none is a directory: Python does not start with one for its
    stdin, and the complete way comes after this."""

    def task() -> int:
        os.chroot(tmp_path)
        os.closerange(0, 3)
        quick.hold_standard_descriptors()
        kinds = [os.fstat(descriptor).st_mode for descriptor in range(3)]
        return sum(stat.S_ISDIR(kind) for kind in kinds)

    assert in_a_child(task, b"")[0] == 0
