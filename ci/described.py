"""What each setting is for, as the shipped pdagent.conf, pdagent.conf(5) and docs/configuration.md
have it.

It stands here, since every pd-send reads what the agent has of its settings.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pdagent.settings import SETTINGS


class Described(NamedTuple):
    """A setting for a person: `written` is its default as it is written in the file."""

    name: str
    written: str
    meaning: str


def settings() -> Iterator[Described]:
    """All settings, in the order of the agent's table."""
    assert list(MEANINGS) == list(SETTINGS)
    for name, (default, _) in SETTINGS.items():
        written = str(default) if not isinstance(default, bool) else "on" if default else "off"
        yield Described(name, written, MEANINGS[name])


MEANINGS = {
    "send_interval_secs": (
        "Seconds between looks at the whole queue directory. New events do not wait for this: "
        "pd-send wakes the daemon. The looks are a safety net, and find files that scripts drop in."
    ),
    "cleanup_interval_secs": (
        "Seconds between clean-ups of delivered events, events in error and what senders that died "
        "have left in tmp/."
    ),
    "cleanup_threshold_secs": (
        "Seconds for which delivered events and events in error are kept. Pending events are kept "
        "until they are delivered or refused, however long that takes."
    ),
    "max_delivered_events": (
        "How many delivered events are kept at most, even if they are not old yet."
    ),
    "max_delivered_bytes": (
        "How many bytes of disk delivered events may take up at most. Where the disk runs short "
        "they go before that."
    ),
    "pending_warning": (
        "More pending events than this are worth a warning in the log and in pd-queue status; 0: "
        "no warning. Pending events are never removed."
    ),
    "backoff_interval_secs": (
        "The longest pause, in seconds, between two tries. Pauses start below a second and double."
    ),
    "retry_limit_for_possible_errors": (
        "Tries after which an event that PagerDuty keeps failing on (5xx, no answer) is set aside "
        "as in error; not before 24 hours, and only while other events do get through."
    ),
    "source_address": "The local address to connect from; 0.0.0.0 leaves the choice to the system.",
    "events_api": (
        "The Events API to write for. auto is v2, and v1 for keys that PagerDuty refuses for v2."
    ),
    "integrations_events_api": (
        "The Events API that pd-nagios, pd-zabbix and pd-sensu write for: v1 is what PagerDuty's "
        "integrations of these names expect, v2 is for keys of Events API v2 integrations."
    ),
    "service_region": "The service region of the PagerDuty account.",
    "events_url": (
        "The base address of the Events API, instead of the service region's. The API's paths are "
        "added to it. Or the addresses of several relays, with blanks between them."
    ),
    "events_token_file": (
        "A file with the token that a relay knows this host by. Only root and the agent's group "
        "may read it. The token is not sent to PagerDuty itself."
    ),
    "events_client_cert": (
        "A file with the certificate, in PEM form, that this host shows a relay which asks for one."
    ),
    "events_client_key": (
        "A file with the certificate's private key, in PEM form. Empty: it is in "
        "events_client_cert."
    ),
    "proxy_url": (
        "The proxy to use, such as http://proxy:3128. Empty: http_proxy, https_proxy and no_proxy "
        "in the service's environment decide."
    ),
    "ca_file": "A PEM file of certificate authorities to trust, instead of the system's.",
    "keys_file": (
        "A file with a section [Keys] of its own: names of integration keys, for pd-send -k @NAME. "
        "It may be readable by the group pdagent alone. In the place of its path, "
        "credential:pdagent.keys means the file that systemd hands to the service by that name. "
        "All settings that name a file to read take such a name."
    ),
    "listen": (
        "Where to serve an Events API of the agent's own, such as 127.0.0.1:49463, or the path of "
        "a Unix socket, such as /run/pdagent/events.sock. Empty: nowhere."
    ),
    "listen_token": (
        "What clients of that API have to send as Authorization: Token token=... (or Bearer ...). "
        "For clients of this host; those of others have one each, in listen_tokens_file."
    ),
    "listen_tokens_file": (
        "A file of tokens, any of which will do, as lines of NAME = TOKEN: a name for each sender, "
        "for the log and the metrics. Only root and the agent's group may read it."
    ),
    "listen_cert": (
        "A file with the certificate, in PEM form, by which that API speaks TLS, and those between "
        "it and its authority. Must be set where other hosts can reach it."
    ),
    "listen_key": (
        "A file with the certificate's private key, in PEM form. Empty: it is in listen_cert. Only "
        "root and the agent's group may read it."
    ),
    "listen_client_ca": (
        "A file with the authorities, in PEM form, of clients that may connect: each has to show a "
        "certificate of one of them. Empty: clients need none."
    ),
    "listen_pending_most": (
        "Pending events from which on that API answers 429. pd-send queues all the same."
    ),
    "listen_pending_per_sender": (
        "Pending events of one sender from which on that API answers 429 to this sender, while "
        "others are taken. A sender is known by the name of its token, the name in its "
        "certificate, or else its address. Senders of this host that have no name have no such "
        "bound."
    ),
    "max_connections": (
        "How many events may be on their way at once. Connections are made as they are needed. "
        "Where one user's events take them all, four more may go for users who have none on their "
        "way."
    ),
    "max_per_key": (
        "How many events of one integration key may be on their way at once, each of another dedup "
        "key: events of one dedup key go one by one. A key begins with two, until PagerDuty has "
        "taken one of its events. After PagerDuty has throttled it, it begins with one, and each "
        "event that is taken lets one more go."
    ),
    "direct_delivery": (
        "on: where the queue can't be written (a full disk), pd-send and the integrations deliver "
        "to PagerDuty themselves, and succeed only if PagerDuty has the event. off: they fail."
    ),
    "heartbeat": (
        "on: tell PagerDuty every hour that the agent runs, with counts of pending events."
    ),
    "heartbeat_url": "Where the heartbeat goes.",
    "metrics_listen": (
        "Where to serve metrics for Prometheus, and /healthz: ADDRESS:PORT, such as "
        "127.0.0.1:9110, or the path of a Unix socket. Empty: nowhere."
    ),
    "metrics_remote": "on: metrics_listen may be an address that other hosts can reach.",
    "metrics_file": "A file to write the same metrics to, for node_exporter's textfile collector.",
    "data_dir": "Where the queue and the agent's state are kept.",
    "log_dir": "Where pdagentd.log is kept.",
    "run_dir": (
        "Where the daemon tells how it fares, for pdagent check, and where it keeps its pid file "
        "when it runs in the background."
    ),
}
