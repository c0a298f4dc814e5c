"""In place of certifi, for `requests`: the system's CA bundle, not one that grows old."""

import os

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine
)


def where() -> str:
    """The first bundle there is, else the first of the list, for the error message."""
    return next(filter(os.path.exists, _BUNDLES), _BUNDLES[0])


def contents() -> str:
    with open(where(), encoding="ascii") as bundle:
        return bundle.read()
