"""Identity: what this host shows to a relay so that it may send: a token, a certificate, or both.

PagerDuty itself gets neither.
"""

import ssl

from pdagent import api
from pdagent.config import Config
from pdagent.queue.regular import never_waiting
from pdagent.wire import pem

TOKEN_BYTES = 4096


class NoIdentity(Exception):
    """A file can't be used; the text says which, by its setting, and why."""


def authorization(settings: Config) -> str:
    """The header Authorization for a relay; "" if none is set. Raises NoIdentity."""
    path = settings.events_token_file
    if not path or is_pagerduty(settings):
        return ""
    try:
        with open(path, "rb", opener=never_waiting) as file:  # a FIFO must not stop a page
            token = file.read(TOKEN_BYTES).decode("utf-8", "replace").strip()
    except OSError as error:
        raise NoIdentity(f"events_token_file = {path}: {error.strerror}") from error
    if not (token.isascii() and token.isprintable() and token and " " not in token):
        raise NoIdentity(f"events_token_file = {path}: it must hold one token, and nothing else")
    return f"Bearer {token}"


def show(context: ssl.SSLContext, settings: Config) -> None:
    """Makes the context show this host's certificate to a relay that asks for one. Raises
    NoIdentity."""
    cert, key = settings.events_client_cert, settings.events_client_key
    if not cert or is_pagerduty(settings):
        return
    for name, path in (("events_client_cert", cert), ("events_client_key", key)):
        try:
            if path:
                pem.mode_of(path)
        except OSError as error:
            raise NoIdentity(f"{name} = {path}: {error.strerror}") from error
    try:
        context.load_cert_chain(cert, key or None, password=lambda: "")
    except OSError as error:  # ssl.SSLError is one
        raise NoIdentity(
            f"events_client_cert = {cert}, events_client_key = {key}: they must hold a "
            "certificate and its private key, without a password, in PEM form"
        ) from error


def is_pagerduty(settings: Config) -> bool:
    """Whether events go to PagerDuty itself, and not to a relay."""
    return settings.base_url in api.BASE_URLS.values()
