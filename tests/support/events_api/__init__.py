"""A local Events API that answers as PagerDuty does, for tests, benchmarks and the demo."""

from tests.support.events_api.answers import Answer
from tests.support.events_api.api import EventsApi
from tests.support.events_api.certificates import CertificateAuthority
from tests.support.events_api.incidents import Incident
from tests.support.events_api.record import Request

__all__ = ["Answer", "CertificateAuthority", "EventsApi", "Incident", "Request"]
