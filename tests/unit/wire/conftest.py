"""The other ends of connections, as fixtures."""

from collections.abc import Iterator

import pytest

from tests.support.events_api import CertificateAuthority
from tests.support.raw_server import RawServer, serving
from tests.unit.wire.conversations import Polite


@pytest.fixture
def server() -> Iterator[RawServer]:
    with serving(Polite) as server:
        yield server


@pytest.fixture
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(str(tmp_path_factory.mktemp("authority")))
