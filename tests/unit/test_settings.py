"""Each setting takes the values that people write, and says what is wrong with others."""

import ipaddress
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent import settings
from pdagent.config import Config
from pdagent.lines import parse
from pdagent.settings import OLD, SETTINGS, is_ip_address

# COMPATIBILITY 2.2, and the settings that are new since
DEFAULTS = {
    "send_interval_secs": 10,
    "cleanup_interval_secs": 10800,
    "cleanup_threshold_secs": 604800,
    "backoff_interval_secs": 60,
    "retry_limit_for_possible_errors": 60,
    "source_address": "0.0.0.0",
    "events_api": "auto",
    "integrations_events_api": "v1",
    "service_region": "us",
    "events_url": "",
    "events_token_file": "",
    "events_client_cert": "",
    "events_client_key": "",
    "proxy_url": "",
    "ca_file": "",
    "keys_file": "",
    "listen": "",
    "listen_token": "",
    "listen_tokens_file": "",
    "listen_cert": "",
    "listen_key": "",
    "listen_client_ca": "",
    "listen_pending_most": 100_000,
    "listen_pending_per_sender": 10_000,
    "max_connections": 32,
    "max_per_key": 8,
    "direct_delivery": True,
    "max_delivered_events": 100_000,
    "max_delivered_bytes": 268_435_456,
    "pending_warning": 10_000,
    "heartbeat": False,
    "heartbeat_url": "https://api.pagerduty.com/agent/2014-03-14/heartbeat",
    "metrics_listen": "",
    "metrics_remote": False,
    "metrics_file": "",
    "data_dir": "/var/lib/pdagent",
    "log_dir": "/var/log/pdagent",
    "run_dir": "/var/run/pdagent",
}


def test_defaults_are_the_shipped_values() -> None:
    """With no file at all, the agent is the old agent as it was shipped."""
    config = Config({})
    assert {name: getattr(config, name) for name in DEFAULTS} == DEFAULTS


def test_every_setting_is_a_typed_attribute() -> None:
    """SETTINGS and Config can't drift apart, in names or in types."""
    hints = get_type_hints(Config)
    assert hints == {name: type(DEFAULTS[name]) for name in SETTINGS}


def test_every_default_is_a_good_value() -> None:
    """The shipped file, which lists them all, is one without problems."""
    text = "[Main]\n" + "".join(f"{name} = {value}\n" for name, value in DEFAULTS.items())
    text = text.replace("True", "on").replace("False", "off")
    assert parse(text, "FILE") == (DEFAULTS, [])


GOOD: list[tuple[str, str, object]] = [
    ("events_api", "V1", "v1"),
    ("service_region", "eu", "eu"),
    ("events_url", "http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ("events_url", "", ""),
    ("proxy_url", "http://me:p%20w@proxy:3128", "http://me:p%20w@proxy:3128"),
    ("proxy_url", "http://me:p;w#x@proxy:3128", "http://me:p;w#x@proxy:3128"),
    ("ca_file", "/etc/ssl/my.pem", "/etc/ssl/my.pem"),
    ("ca_file", "/100%/%(here)s.pem", "/100%/%(here)s.pem"),
    ("max_connections", "1", 1),
    ("max_connections", "007", 7),
    ("direct_delivery", "on", True),
    ("direct_delivery", "Yes", True),
    ("direct_delivery", "0", False),
    ("heartbeat", "TRUE", True),
    ("data_dir", "/srv/pdagent/", "/srv/pdagent"),
    ("data_dir", "/", "/"),
    ("source_address", "::1", "::1"),
    ("send_interval_secs", "10 ; seconds", 10),
    ("send_interval_secs", "10\t# seconds", 10),
    ("events_url", "# the default", ""),
    ("proxy_url", "; none", ""),
    ("send_interval_secs", "+5", 5),
    ("source_address", "2001:db8::192.0.2.1", "2001:db8::192.0.2.1"),
    ("source_address", "::", "0.0.0.0"),
    ("metrics_listen", "[::1]:9110", "[::1]:9110"),
    ("metrics_listen", "127.0.0.1:65535", "127.0.0.1:65535"),
    ("listen", "/run/pdagent/events.sock", "/run/pdagent/events.sock"),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_value_as_people_write_it(name: str, text: str, value: object) -> None:
    """Any case of words, trailing slashes, comments behind a blank; `%` is just a character."""
    assert parse(f"[Main]\n{name} = {text}\n", "FILE") == ({name: value}, [])


WHOLE = "must be a whole number"
BAD = [
    ("max_connections", "many", f"{WHOLE} from 1 to 256"),
    ("max_connections", "1.5", WHOLE),
    ("max_connections", "", WHOLE),
    ("max_connections", "1_0", WHOLE),
    ("max_connections", "\u00b2", WHOLE),
    ("max_connections", "-", WHOLE),
    ("events_api", "v3", "must be one of auto, v2, v1"),
    ("service_region", "mars", "must be one of us, eu"),
    ("direct_delivery", "maybe", "must be on or off"),
    ("events_url", "events.pagerduty.com", "must begin with http:// or https://"),
    ("events_url", "ftp://x", "must begin with http:// or https://"),
    ("events_url", "https://", "must begin with http:// or https://"),
    ("events_url", "https:///", "must begin with http:// or https://"),
    ("events_url", "/v2/enqueue", "must begin with http:// or https://"),
    ("events_url", "https:///v2/enqueue", "must begin with http:// or https://"),
    ("proxy_url", "http://a\x01b", "must be http://HOST:PORT"),
    ("proxy_url", "socks5://proxy:1080", "must be http://HOST:PORT"),
    ("ca_file", "my.pem", "must be an absolute path"),
    ("data_dir", "var", "must be an absolute path"),
    ("data_dir", "", "must be an absolute path"),
    ("metrics_listen", "127.0.1:9110", "must be IP-ADDRESS:PORT, or an absolute path"),
    ("metrics_listen", "127.0.0.1:0", "must be IP-ADDRESS:PORT"),
    ("metrics_listen", "127.0.0.1:65536", "must be IP-ADDRESS:PORT"),
    ("metrics_listen", "127.0.0.1", "must be IP-ADDRESS:PORT"),
    ("metrics_listen", ":9110", "must be IP-ADDRESS:PORT"),
    ("metrics_listen", "localhost:9110", "must be IP-ADDRESS:PORT"),
    ("listen", "::1:80", "must be IP-ADDRESS:PORT"),
    ("listen", "[127.0.0.1]:80", "must be IP-ADDRESS:PORT"),
    ("listen_token", "short", "must have 16 characters of ASCII at least, and no blanks"),
    ("listen_token", "müller" * 3, "must have 16 characters of ASCII at least, and no blanks"),
]


@pytest.mark.parametrize(("name", "text", "why"), BAD)
def test_a_value_without_a_meaning_is_named_with_file_and_line(
    name: str, text: str, why: str
) -> None:
    """The daemon must not guess; pd-send goes on with the default."""
    found, problems = parse(f"[Main]\n# x\n{name} = {text}\nheartbeat = on\n", "/etc/FILE")
    [problem] = problems
    assert problem.fatal
    assert problem.for_senders
    assert problem.text.startswith(f"/etc/FILE, line 3: Bad {name}: ")
    assert why in problem.text
    assert found == {"heartbeat": True}


ADJUSTED: list[tuple[str, str, object, str]] = [
    ("send_interval_secs", "0", 1, f"{WHOLE} from 1 to 3600: 1 is used"),
    ("send_interval_secs", "-1", 1, "1 is used"),
    ("send_interval_secs", "86400", 3600, "3600 is used"),
    ("send_interval_secs", "9" * 5000, 3600, "3600 is used"),
    ("send_interval_secs", "-" + "9" * 5000, 1, "1 is used"),
    ("cleanup_interval_secs", "0", 1, "1 is used"),
    ("cleanup_threshold_secs", "99999999999", 3_153_600_000, "3153600000 is used"),
    ("backoff_interval_secs", "0", 1, "1 is used"),
    ("retry_limit_for_possible_errors", "0", 1, "1 is used"),
    ("retry_limit_for_possible_errors", "10000000", 1_000_000, "1000000 is used"),
    ("max_connections", "257", 256, f"{WHOLE} from 1 to 256: 256 is used"),
    ("source_address", "", "0.0.0.0", "must be an IP address: 0.0.0.0 is used"),
    ("source_address", "cafe", "0.0.0.0", "must be an IP address: 0.0.0.0 is used"),
    ("source_address", "eth0", "0.0.0.0", "0.0.0.0 is used"),
    ("source_address", "300.1.1.1", "0.0.0.0", "0.0.0.0 is used"),
    ("events_url", "https://x:1/v2/enqueue", "https://x:1", "path /v2/enqueue is taken off"),
    ("events_url", "https://x/v2/enqueue/", "https://x", "path /v2/enqueue is taken off"),
    ("events_url", "https://x/pd/v2/change/enqueue", "https://x/pd", "/v2/change/enqueue is"),
    (
        "events_url",
        "https://events.pagerduty.com/generic/2010-04-15/create_event.json",
        "https://events.pagerduty.com",
        "path /generic/2010-04-15/create_event.json is taken off",
    ),
]


@pytest.mark.parametrize(("name", "text", "value", "why"), ADJUSTED)
def test_a_value_whose_meaning_is_clear_is_used_with_one_warning(
    name: str, text: str, value: object, why: str
) -> None:
    """A number out of range is brought into range. It never keeps the daemon from starting, and
    senders are not told: the daemon says it, once."""
    found, problems = parse(f"[Main]\n{name} = {text}\n", "/etc/FILE")
    assert found == {name: value}
    [problem] = problems
    assert problem.text.startswith(f"/etc/FILE, line 2: {name} must be ")
    assert why in problem.text
    assert not problem.fatal
    assert not problem.for_senders


@pytest.mark.parametrize("text", ["often", "", "1.5", "0x10", "~", "10L", "%(x)s"])
@pytest.mark.parametrize("name", OLD)
def test_no_value_of_the_old_agents_settings_is_fatal(name: str, text: str) -> None:
    """It ran with nearly anything there, so its successor does: with the default, and a warning."""
    found, problems = parse(f"[Main]\n{name} = {text}\n", "FILE")
    assert found.get(name, DEFAULTS[name]) == DEFAULTS[name]
    [problem] = problems
    assert "is used" in problem.text
    assert not problem.fatal


def test_every_setting_has_a_bad_value() -> None:
    """No setting takes just anything: a slip of the fingers is found in each of them."""
    for name in SETTINGS:
        _, problems = parse(f"[Main]\n{name} = ~slip~\n", "FILE")
        assert problems, name


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


PIECES = st.sampled_from([":", "::", ".", "0", "1", "01", "255", "256", "f", "abcd", "12345", "g"])
LIKELY = st.lists(PIECES, max_size=17).map("".join)
ADDRESSES = st.ip_addresses().flatmap(
    lambda address: st.sampled_from([str(address), address.exploded])
)


@given(LIKELY | ADDRESSES | st.text(max_size=20))
def test_an_ip_address_is_what_the_library_says(text: str) -> None:
    """Reading one by ourselves, without the library, comes to the same."""
    assert is_ip_address(text) == _is_address(text)


def test_a_credential_of_systemds(monkeypatch: pytest.MonkeyPatch) -> None:
    """credential:NAME is the file of that name where systemd puts the service's credentials: where
    it says in the service, where they are as a rule for others."""
    environment: dict[bytes, bytes] = {}
    monkeypatch.setattr(settings.posix, "environ", environment)  # type: ignore[attr-defined]
    text = "[Main]\nkeys_file = credential:pdagent.keys\n"
    usual = {"keys_file": "/run/credentials/pdagent.service/pdagent.keys"}
    assert parse(text, "FILE") == (usual, [])
    environment[b"CREDENTIALS_DIRECTORY"] = b"/run/credentials/other.service"
    other = {"keys_file": "/run/credentials/other.service/pdagent.keys"}
    assert parse(text, "FILE") == (other, [])
    for odd in (b"", b"relative", b"/a\nb", b"\xff"):
        environment[b"CREDENTIALS_DIRECTORY"] = odd
        assert parse(text, "FILE") == (usual, [])


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "../x", "a/b", "a b", "\xe4"])
def test_what_no_credential_can_be_called(name: str) -> None:
    """No name leads out of the directory."""
    values, [problem] = parse(f"[Main]\nlisten_key = credential:{name}\n", "FILE")
    assert values == {}
    assert problem.text == (
        "FILE, line 2: Bad listen_key: must be credential:NAME, of letters, digits, hyphens, dots "
        "and underscores"
    )
