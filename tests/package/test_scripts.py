"""What the maintainer scripts and the init script do, as far as it can be tried without a host."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pdagent.wire.environment import parse
from tests.package.packages import ROOT, Package, output
from tests.support import users
from tests.support.agent import directory
from tests.support.users import SENDER


def test_the_init_script_keeps_its_path(tmp_path: Path) -> None:
    """Whatever the environment file has for the daemon: the script itself finds its commands."""
    text = (ROOT / "init/pdagent.init").read_text()
    function = text[text.index("read_environment() {") : text.index("for file in /etc/default")]
    (tmp_path / "environment").write_text("PATH=/nowhere\nIFS=o\nhttp_proxy=http://proxy:3128\n")
    script = f'{function}\nread_environment <"$1"; foo=$http_proxy; printf "%s\\n" $foo; id -u'
    done = subprocess.run(
        ["sh", "-c", script, "sh", tmp_path / "environment"], stdout=subprocess.PIPE, check=True
    )
    assert done.stdout.decode() == f"http://proxy:3128\n{os.getuid()}\n"


def test_scripts_are_whole(package: Package) -> None:
    """In the package each script is one file of plain POSIX shell."""
    if package.path.suffix == ".deb":
        control = output("dpkg-deb", "--ctrl-tarfile", package.path)
        names = subprocess.run(
            ["tar", "-t"], input=control, check=True, stdout=subprocess.PIPE
        ).stdout.decode()
        assert {"./preinst", "./postinst", "./prerm", "./postrm"} <= set(names.split())
    for script in (ROOT / "build/packages" / package.path.suffix[1:]).iterdir():
        text = script.read_text()
        assert not re.search(r'common(-rpm)?\.sh"', text)
        assert "debconf" not in text
        assert "chown -R" not in text
        subprocess.run(
            ["shellcheck", "--shell=sh", "--severity=warning", "--exclude=SC2046", script],
            check=True,
        )


def test_anchors() -> None:
    """The lines that the guide has people look for, near where it says."""
    unit = (ROOT / "init/pdagent.service").read_text().splitlines()
    anchor = "ExecStartPre=/bin/chown -R pdagent:pdagent /var/run/pdagent"
    assert abs(unit.index(anchor) + 1 - 8) <= 2
    script = (ROOT / "init/pdagent.init").read_text().splitlines()
    assert abs(script.index("PID_FILE=$PID_DIR/pdagentd.pid") + 1 - 48) <= 4


def test_init_script_reads_the_environment_as_systemd_does(tmp_path: Path) -> None:
    """Nothing in the file is run, and quotes around a value are not part of it."""
    file = tmp_path / "environment"
    file.write_text(
        "# comment\nA=plain\nB=\"in quotes\"\nC='$(touch it)'\nD=$(touch it)\nE=x=y&z\n"
        "not a setting\n2BAD=x\nF=last"
    )
    text = (ROOT / "init/pdagent.init").read_text()
    function = text[text.index("read_environment() {") : text.index("for file in")]
    script = f'{function}read_environment <environment; printf "%s|" "$A" "$B" "$C" "$D" "$E" "$F"'
    seen = subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    assert seen.stdout.decode() == "plain|in quotes|$(touch it)|$(touch it)|x=y&z|last|"
    assert list(tmp_path.iterdir()) == [file]


def test_init_script_and_commands_read_the_environment_alike(tmp_path: Path) -> None:
    """Blanks around "=" and a CR are no part of a setting, "export" makes a line
    nobody's, a comment behind a value is part of it."""
    text = (
        ' http_proxy = http://a:1 \r\nexport https_proxy=http://b:1\nno_proxy= "x, y"\t\r\n'
        "# HTTP_PROXY=c\n;HTTPS_PROXY=d\nall_proxy=http://e:1 # ours\n"
    )
    (tmp_path / "environment").write_text(text)
    script = (
        function_of("init/pdagent.init", "read_environment")
        + "unset http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY || :\n"
        + "read_environment <environment; env"
    )
    seen = subprocess.run(["sh", "-c", script], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    lines = [line.partition("=") for line in seen.stdout.decode().splitlines()]
    read = {name: value for name, _, value in lines if name.lower().endswith("_proxy")}
    assert read == parse(text)
    assert read == {
        "http_proxy": "http://a:1",
        "no_proxy": "x, y",
        "all_proxy": "http://e:1 # ours",
    }


def function_of(path: str, name: str) -> str:
    """The shell function of that name."""
    text = (ROOT / path).read_text()
    begin = text.index(f"\n{name}() {{") + 1
    return text[begin : text.index("\n}\n", begin) + 3]


def shell(script: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f"set -eu\n{script}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_init_script_sees_a_process_end(tmp_path: Path) -> None:
    """One that ends between two looks at it does not run, and nothing else is said."""
    (tmp_path / "pid").write_text("4194305\n")  # above the kernel's largest
    running = function_of("init/pdagent.init", "running")
    seen = shell(f"PID_FILE={tmp_path}/pid; grep() {{ :; }}; {running} running || echo ended")
    assert (seen.stdout, seen.stderr) == ("ended\n", "")


@pytest.mark.skipif(not users.ROOT, reason="only root can hide processes")
def test_init_script_does_not_see_processes() -> None:
    """To a user from whom /proc hides them it says that it does not know: 4, in the LSB."""
    functions = function_of("init/pdagent.init", "running") + function_of(
        "init/pdagent.init", "status"
    )
    with directory() as root:
        (root / "pid").write_text("2\n")
        (root / "status").write_text(f"PID_FILE={root}/pid\n{functions}status\n")
        hide = "mount -o remount,hidepid=2 /proc"
        user = f"setpriv --reuid={SENDER.uid} --regid={SENDER.gid} --clear-groups"
        script = f"{hide} && {user} sh {root}/status; exit $?"  # the first process stays root's
        seen = subprocess.run(
            ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (seen.returncode, seen.stdout) == (4, "")
    assert seen.stderr == "pdagent: only root may know\n"


@pytest.mark.parametrize(
    ("ends", "sent", "code"), [("TERM", "TERM", 0), ("KILL", "TERM KILL", 0), ("-", "TERM KILL", 1)]
)
def test_init_script_stops_a_daemon(tmp_path: Path, ends: str, sent: str, code: int) -> None:
    """One that hangs is killed. It has ended when the script says so, and its pid file is gone; of
    one that cannot be ended the script says that."""
    (tmp_path / "pid").write_text("4194305\n")
    stubs = (
        f"PID_FILE={tmp_path}/pid; pid=4194305; ended=; need_root() {{ :; }}; sleep() {{ :; }};"
        'running() { [ -z "$ended" ]; };'
        f'kill() {{ echo "$2"; [ "$2" != {ends} ] || ended=yes; }}'
    )
    functions = function_of("init/pdagent.init", "end") + function_of("init/pdagent.init", "stop")
    seen = shell(f"{stubs}\n{functions} code=0; stop || code=$?; echo $code")
    assert seen.stdout.split()[-len(sent.split()) - 1 :] == [*sent.split(), str(code)]
    assert ("can't be ended" in seen.stderr) == bool(code)
    assert (tmp_path / "pid").exists() == bool(code)


def test_an_old_daemon_that_cannot_be_ended() -> None:
    """It is named after a bounded number of looks, and the installation goes on."""
    stop = function_of("packaging/common.sh", "stop_old_agent")
    stubs = "agent_pids() { echo 4194305; }; sleep() { echo slept; };"
    seen = shell(f"{stubs} {stop} stop_old_agent; echo done")
    assert seen.stderr == "pdagent: the old daemon can't be ended: process 4194305\n"
    assert seen.stdout.endswith("done\n")
    assert 100 < seen.stdout.count("slept") < 500


def test_a_small_image_without_find_or_cmp(tmp_path: Path) -> None:
    """What is edited is told from what is not, and nothing is removed that may be in use."""
    (tmp_path / "bin").mkdir()
    for name in ("cat", "rm"):
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    for name, text in (("ours", "same\n"), ("same", "same\n"), ("edited", "same\n\n#\n")):
        (tmp_path / name).write_text(text)
    are_equal = function_of("packaging/common.sh", "are_equal")
    calls = "".join(
        f"are_equal {tmp_path}/ours {tmp_path}/{name} && echo {name} || :\n"
        for name in ("same", "edited", "missing")
    )
    assert shell(f"PATH={tmp_path}/bin\n{are_equal}{calls}").stdout == "same\n"

    module = tmp_path / "python2.6/site-packages/pdagent/config.py"
    module.parent.mkdir(parents=True)
    module.touch()
    remove = function_of("packaging/common.sh", "remove_bytecode")
    remove = remove.replace("/usr/lib/", f"{tmp_path}/")
    shell(f"PATH={tmp_path}/bin\n{remove}remove_bytecode")
    assert module.exists()
    module.rename(module.with_suffix(".pyc"))
    shell(f"{remove}remove_bytecode")
    assert not module.parent.exists()


@pytest.mark.parametrize(
    ("there", "called"),
    [
        (["start-stop-daemon", "runuser", "su"], "start-stop-daemon --start --quiet"),
        (["runuser", "su"], "runuser -s /bin/sh -g pdagent pdagent -c exec /bin/pdagentd"),
        (["su"], "su -s /bin/sh pdagent -c exec /bin/pdagentd"),
    ],
)
def test_who_becomes_the_agents_user(tmp_path: Path, there: list[str], called: str) -> None:
    """PAM, which su asks, refuses an expired account: it comes last."""
    for name in there:
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    as_agent = function_of("init/pdagent.init", "as_agent")
    seen = shell(f"PATH={tmp_path}; {as_agent} as_agent /bin/pdagentd")
    assert seen.stdout.startswith(called)


def test_init_script_usage() -> None:
    """2 is LSB's word for a wrong argument; 3, for a service that does not run."""
    script = ROOT / "init/pdagent.init"
    assert subprocess.run(["sh", script, "dance"], stderr=subprocess.DEVNULL).returncode == 2
    if not Path("/var/run/pdagent").exists():
        seen = subprocess.run(["sh", script, "status"], stdout=subprocess.PIPE)
        assert (seen.returncode, seen.stdout) == (3, b"pdagent is not running.\n")
        assert subprocess.run(["sh", script, "try-restart"]).returncode == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_unit(tmp_path: Path) -> None:
    """systemd has nothing to say about the unit, except for what an old one does not know, and
    finds it hardened. (The manual page that it names is not on this machine.)"""
    text = (ROOT / "init/pdagent.service").read_text()
    unit = tmp_path / "pdagent.service"
    for program in ("/usr/share/pdagent/bin/pdagentd -f", "/usr/bin/pdagent reload"):
        assert program in text
        text = text.replace(program, "/bin/true")
    unit.write_text(text)
    seen = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert seen.returncode == 0
    new = "'ImportCredential' in section"  # to systemd before 254
    assert [line for line in seen.stdout.decode().splitlines() if new not in line] == []
    said = output("systemd-analyze", "security", "--offline=true", "--no-pager", unit).decode()
    (line,) = (line for line in said.splitlines() if "Overall exposure level" in line)
    assert float(line.split(": ")[1].split()[0]) <= 1.5


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_unit_that_pages(tmp_path: Path) -> None:
    """Nor has it anything to say about the unit that pages for others, by whatever name."""
    text = (ROOT / "init/pdagent-failed@.service").read_text()
    assert "/usr/bin/pd-send unit -- %i" in text
    text = text.replace("/usr/bin/pd-send unit --", "/bin/true")
    (tmp_path / "pdagent-failed@.service").write_text(text)
    names = ("my-backup.service", r"dev-disk-by\x2duuid-1.swap", "-.mount")
    units = [tmp_path / f"pdagent-failed@{name}.service" for name in names]
    seen = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True)
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, b"", b"")


SYSTEMD = Path("/lib/systemd/systemd")


@pytest.mark.skipif(not (SYSTEMD.exists() and users.ROOT), reason="needs systemd, and root")
def test_a_page_for_all_services_is_not_for_the_one_that_pages() -> None:
    """systemd itself puts the units together: a service has the drop-in for all services, but for
    those that have an empty one of its name, as the package's has."""
    with directory() as root:
        ours, admins = root / "ours", root / "admins"
        for place in (ours / "pdagent-failed@.service.d", admins / "service.d"):
            place.mkdir(parents=True)
        (admins / "noisy.service.d").mkdir()
        shutil.copy(ROOT / "init/pdagent-failed@.service", ours)
        shutil.copy(ROOT / "init/pdagent-failed.conf", ours / "pdagent-failed@.service.d")
        page = "[Unit]\nOnFailure=pdagent-failed@%n.service\n"
        (admins / "service.d/pdagent-failed.conf").write_text(page)
        (admins / "noisy.service.d/pdagent-failed.conf").touch()
        for name in ("noisy", "job"):
            text = "[Unit]\nWants=noisy.service\n[Service]\nExecStart=/bin/true\n"
            (admins / f"{name}.service").write_text(text)
        subprocess.run(["chmod", "-R", "a+rX", root], check=True)
        seen = subprocess.run(
            [SYSTEMD, "--test", "--system", "--no-pager", "--unit=job.service"],
            env={"SYSTEMD_UNIT_PATH": f"{admins}:{ours}:/lib/systemd/system"},
            capture_output=True,
            text=True,
            timeout=60,
            **SENDER.popen(),
        ).stdout
    found = {}
    for text in re.split(r"^\s*-> Unit ", seen, flags=re.MULTILINE)[1:]:
        name = text.partition(":\n")[0]
        found[name] = re.findall(r"OnFailure: (\S+)", text)
    pages = "pdagent-failed@job.service.service"
    assert found["job.service"] == [pages]
    assert found[pages] == []
    assert found["noisy.service"] == []


def test_every_line_of_the_sandbox_has_its_reason() -> None:
    """A group of settings under a comment, no bare list of them."""
    service = (ROOT / "init/pdagent.service").read_text().split("# Life and death\n")[1]
    for paragraph in service.split("[Install]")[0].strip().split("\n\n"):
        assert "#" in paragraph


# What a host has of SELinux, and what the scripts of pdagent-selinux then do with the module.
STORES = {
    "off": ("selinuxenabled() { false; }", "-n -X 200"),
    "on": ("selinuxenabled() { true; }", "-X 200"),
    "not installed": (":", "-n -X 200"),
}


@pytest.mark.parametrize("outcome", ["true", "false"])
@pytest.mark.parametrize("store", STORES)
def test_selinux_scripts(store: str, outcome: str) -> None:
    """An installation loads the module, a removal unloads it, an upgrade's old half does nothing;
    where that is not possible, the transaction goes on."""
    enabled, options = STORES[store]
    for script, words, does in (
        ("postinst", ("configure", "1", "2"), "-i /usr/share/selinux/packages/pdagent.cil"),
        ("prerm", ("remove", "0"), "-r pdagent"),
        ("postinst", ("abort-upgrade",), ""),
        ("prerm", ("upgrade", "1"), ""),
    ):
        for word in words:
            stubs = f'{enabled}; PATH=/nowhere; semodule() {{ echo "$*"; {outcome}; }}'
            said = output(
                "sh", "-c", f'{stubs}; . "$0"', ROOT / f"packaging/selinux/{script}", word
            )
            assert said.decode().strip() == (f"{options} {does}" if does else "")
