"""When keys expire, against keys that gpg itself made."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdagent.check import openpgp
from tests.support.repository import Keys, keys

pytestmark = pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")


@pytest.fixture(scope="module")
def gnupg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    with keys(tmp_path_factory.mktemp("gnupg") / "home") as gnupg:
        yield gnupg


def times(gnupg: Keys, key: str) -> tuple[int, int | None]:
    """What gpg says: made, expires."""
    fields = gnupg.gpg("--with-colons", "--list-keys", key).partition("pub:")[2].split(":")
    return int(fields[4]), int(fields[5]) if fields[5] else None


def test_as_gpg_sees_it(gnupg: Keys, tmp_path: Path) -> None:
    """Binary or armoured, with a subkey of its own expiry, changed since: the newest word on the
    primary key counts."""
    never = gnupg.make("never")
    some = gnupg.make("some", "3d", "ed25519/sign")
    gnupg.gpg("--passphrase", "", "--quick-add-key", some, "cv25519", "encr", "1d")
    gnupg.gpg("--passphrase", "", "--quick-set-expire", some, "400d")
    armoured = gnupg.export(tmp_path / "keys.asc", never, some).read_bytes()
    found = openpgp.keys(armoured)
    assert {(key.made, key.expires) for key in found} == {times(gnupg, never), times(gnupg, some)}
    gnupg.gpg("--output", tmp_path / "keys.gpg", "--export", never, some)
    assert openpgp.keys((tmp_path / "keys.gpg").read_bytes()) == found
    with pytest.raises(ValueError, match=r"\w"):
        openpgp.keys(armoured[: len(armoured) // 3])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"no key",
        b"\xff",
        b"\x99\x01",
        b"\xc6\x05\x04",
        b"\xc2\x02\x04\x13",
        b"-----BEGIN",
    ],
)
def test_other_things(data: bytes) -> None:
    """What is no key is said to be none, whatever it is."""
    with pytest.raises(ValueError, match=r"\w"):
        openpgp.keys(data)
