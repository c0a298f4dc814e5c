"""`python -m tests.support.events_api`: the API by itself, with a page of what arrived."""

import argparse
import signal

from tests.support.events_api.api import EventsApi
from tests.support.events_api.certificates import LOCAL, CertificateAuthority


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="events_api", description="A local Events API that answers as PagerDuty does."
    )
    parser.add_argument("--bind", default="127.0.0.1", metavar="ADDR", help="default: %(default)s")
    parser.add_argument(
        "--port", type=int, default=8080, help="default: %(default)s; 0: a free one"
    )
    parser.add_argument("--tls", metavar="DIR", help="speak HTTPS; DIR/ca.pem is what to trust")
    parser.add_argument(
        "--host", action="append", default=[], help="one more name for the certificate"
    )
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="of every answer")
    parser.add_argument("--rate-limit", type=int, metavar="N", help="events a key in any 60 s")
    parser.add_argument("--strict-keys", action="store_true", help="keys must have 32 characters")
    args = parser.parse_args()

    stop = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    with EventsApi(
        bind=args.bind,
        port=args.port,
        tls=CertificateAuthority(args.tls) if args.tls else None,
        hosts=[*LOCAL, *args.host],
        latency=args.latency / 1000,
        rate_limit=args.rate_limit,
        strict_keys=args.strict_keys,
    ) as api:
        print(api.url, flush=True)
        signal.sigwait(stop)


if __name__ == "__main__":
    main()
