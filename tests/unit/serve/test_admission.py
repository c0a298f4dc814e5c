"""Nobody reaches the endpoint from elsewhere but over TLS, and known."""

from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.serve.admission import Admission, NotSafe
from tests.support.events_api.certificates import CertificateAuthority

FAR, NEAR = "0.0.0.0:49463", "127.0.0.1:49463"
TOKEN = {"listen_token": "1234567890abcdef"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    cert, key = CertificateAuthority().files(str(tmp_path_factory.mktemp("files")), "127.0.0.1")
    return {"listen_cert": cert, "listen_key": key}


@pytest.mark.parametrize("address", [NEAR, "/run/events.sock"])
def test_this_host_needs_nothing(address: str) -> None:
    """Neither a certificate nor a token is asked for on a loopback address or a Unix socket."""
    made = Admission(Config({}), address)
    assert (made.local, bool(made.senders), made.context) == (True, False, None)


def test_others_need_both(files: dict[str, str]) -> None:
    """A certificate of ours, and a token or a certificate of theirs."""
    for settings, said in [
        ({}, "without encryption: set listen_cert"),
        (TOKEN, "without encryption: set listen_cert"),
        (files, "lets everybody in: set listen_tokens_file or listen_client_ca"),
    ]:
        with pytest.raises(NotSafe, match=said):
            Admission(Config({**settings}), FAR)
    assert Admission(Config({**files, **TOKEN}), FAR).context is not None
    theirs = {"listen_client_ca": files["listen_cert"]}
    assert Admission(Config({**files, **theirs}), FAR).context is not None


def test_tls_on_this_host(files: dict[str, str]) -> None:
    """For clients that insist on it. A Unix socket has none: nobody but this host is there."""
    assert Admission(Config({**files}), NEAR).context is not None
    assert Admission(Config({**files}), "/run/events.sock").context is None


@pytest.mark.parametrize("name", ["listen_key", "listen_client_ca"])
def test_half_of_it_is_a_mistake(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotSafe, match=f"{name} is set without a certificate"):
        Admission(Config({name: str(tmp_path)}), NEAR)


@pytest.mark.parametrize("name", ["listen_cert", "listen_tokens_file"])
def test_files_that_are_not_there(name: str) -> None:
    with pytest.raises(NotSafe, match=f"{name} = /nowhere: No such file"):
        Admission(Config({name: "/nowhere"}), NEAR)
