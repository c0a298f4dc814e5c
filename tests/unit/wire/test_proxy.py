"""Proxy addresses in every spelling, and which of them counts for an address."""

import base64
import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdagent.config import Config
from pdagent.wire.proxy import BadProxy, Proxy, parse, way_to

URL = "https://events.pagerduty.com"


def login(proxy: Proxy | None) -> str:
    assert proxy is not None
    return base64.b64decode(proxy.authorization.removeprefix("Basic ")).decode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://proxy:3128/", "http://proxy:3128"),
        ("HTTP://Proxy.Example:3128/some/path?x#y", "http://Proxy.Example:3128"),
        (" proxy:3128 ", "http://proxy:3128"),
        ("//proxy:3128", "http://proxy:3128"),
        ("proxy", "http://proxy:80"),
        ("https://proxy", "https://proxy:443"),
        ("https://proxy:8443", "https://proxy:8443"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        ("[::1]", "http://[::1]:80"),
        ("http://10.0.0.1:", "http://10.0.0.1:80"),
        ("http://me:pw@pr%6Fxy:3128", "http://proxy:3128"),
        ("http://@proxy:3128", "http://proxy:3128"),
    ],
)
def test_an_address(text: str, shown: str) -> None:
    """A proxy is shown as an address with its scheme and port, and without its password."""
    assert str(parse(text, "x")) == shown


@pytest.mark.parametrize(
    ("user_part", "said"),
    [
        ("me:pw", "me:pw"),
        ("me", "me:"),
        ("me:S3cret#9", "me:S3cret#9"),
        ("me:a?b", "me:a?b"),
        ("me:a/b", "me:a/b"),
        ("me:a@b", "me:a@b"),
        ("me:a:b", "me:a:b"),
        ("me:a@b/c#d?e", "me:a@b/c#d?e"),
        ("CORP\\me:pw", "CORP\\me:pw"),
        ("me:a%40b%2F%25", "me:a@b/%"),
        ("me:100%", "me:100%"),
        ("me:p%ZZ", "me:p%ZZ"),
        ("m%3Ae:pw", "m:e:pw"),
        ("me:pass wörd", "me:pass wörd"),
        ("me:http://x", "me:http://x"),
    ],
)
@pytest.mark.parametrize("scheme", ["http://", "https://", ""])
def test_a_name_and_a_password(scheme: str, user_part: str, said: str) -> None:
    """All before the last @, as it is, or with %XX."""
    proxy = parse(f"{scheme}{user_part}@proxy:3128/", "x")
    assert login(proxy) == said
    assert proxy.where == "proxy:3128"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("socks5://proxy:1080", "a socks5:// proxy"),
        ("SOCKS5H://me:S3cret@proxy:1080", "a socks5h:// proxy"),
        ("S3cret://me:S3cret@proxy:1080", "of an unknown kind"),
        ("http://", "no host"),
        ("http://me:S3cret@", "no host"),
        ("http://me:S3cret", "not a number"),
        ("http://me:S3cret:3128", "no host"),
        ("http://proxy:99999", "not a number"),
        ("http://proxy:0", "not a number"),
        ("http://::1", "no host"),
        ("http://pro xy:3128", "no host"),
        ("http://proxy\r\nX: y:3128", "no host"),
    ],
)
def test_no_address(text: str, why: str) -> None:
    """What named it and what is wrong are said; nothing of it is."""
    with pytest.raises(BadProxy) as caught:
        parse(text, "https_proxy")
    assert str(caught.value).startswith("https_proxy ")
    assert why in str(caught.value)
    assert "S3cret" not in str(caught.value)


def all_that_shows(text: str) -> str:
    try:
        proxy = parse(text, "x")
    except BadProxy as error:
        return str(error)
    return f"{proxy} {proxy!r} {proxy.where}"


@given(st.text(min_size=1), st.sampled_from(["http://", "https://", "socks5://", "x://", ""]))
@example("S3cret#9", "http://")
def test_no_text_shows_a_password(password: str, scheme: str) -> None:
    """Whatever is in it, and however the address is broken: a host is shown, or a fixed text."""
    assert "ZQXJ" not in all_that_shows(f"{scheme}me:ZQXJ{password}ZQXJ@proxy:3128")
    if "@" not in password:  # behind one, it is a host
        assert "ZQXJ" not in all_that_shows(f"{scheme}me:ZQXJ{password}ZQXJ")


# --- which one counts -----------------------------------------------------------------------------


def chosen(environment: dict[str, str], url: str = URL, **settings: str) -> str:
    return str(way_to(url, Config(dict(settings)), environment).proxy)


def test_the_variable_of_the_scheme() -> None:
    """In either case, the lower one first, also where it is empty."""
    both = {"https_proxy": "a:1", "HTTPS_PROXY": "b:1", "http_proxy": "c:1"}
    assert chosen(both) == "http://a:1"
    assert chosen(both, "http://x") == "http://c:1"
    assert chosen({"HTTPS_PROXY": "b:1"}) == "http://b:1"
    assert chosen({"https_proxy": "", "HTTPS_PROXY": "b:1"}) == "None"
    assert chosen({"HTTP_PROXY": "b:1", "REQUEST_METHOD": "GET"}, "http://x") == "None"
    assert chosen({"http_proxy": "b:1"}) == "None"
    assert chosen({}) == "None"


def test_proxy_url_beats_them_all() -> None:
    environment = {"https_proxy": "a:1", "no_proxy": "*"}
    assert chosen(environment, proxy_url="http://b:1") == "http://b:1"


def test_all_proxy() -> None:
    """It counts where nothing else is set. One that can't be used is named, and is not the end."""
    assert chosen({"all_proxy": "a:1"}) == "http://a:1"
    assert chosen({"ALL_PROXY": "a:1", "https_proxy": "b:1"}) == "http://b:1"
    way = way_to(URL, Config({}), {"all_proxy": "socks5://me:S3cret@a:1080"})
    assert way.proxy is None
    assert "all_proxy names a socks5:// proxy" in way.ignored
    assert "the way is direct" in way.ignored
    assert "S3cret" not in way.ignored


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("events.pagerduty.com", URL, True),
        ("pagerduty.com", URL, True),
        (".pagerduty.com", URL, True),
        ("*.pagerduty.com", URL, True),
        ("PagerDuty.COM", URL, True),
        ("duty.com", URL, False),
        ("events", URL, False),
        ("x, pagerduty.com", URL, True),
        ("x pagerduty.com", URL, True),
        ("x\tpagerduty.com\n", URL, True),
        (" , ,", URL, False),
        ("", URL, False),
        ("*", URL, True),
        ("events.pagerduty.com:443", URL, True),
        ("events.pagerduty.com:8443", URL, False),
        ("10.1.2.3", "http://10.1.2.3:8080", True),
        ("10.1.2.3:8080", "http://10.1.2.3:8080", True),
        ("10.1.2.3:80", "http://10.1.2.3:8080", False),
        ("10.1.2.3:80", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://10.1.2.3:8080", True),
        ("10.1.2.3/8", "http://10.1.2.3:8080", True),
        ("11.0.0.0/8", "http://10.1.2.3:8080", False),
        ("10.0.0.0/8", "http://10.example", False),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("::1", "http://[::1]:8080", True),
        ("fe80::/10", "http://[fe80::1]", True),
        ("localhost,127.0.0.1", URL, False),
    ],
)
def test_exceptions(no_proxy: str, url: str, direct: bool) -> None:
    """Names and what ends in them, addresses, networks and ports, as urllib and curl read them."""
    environment = {"http_proxy": "a:1", "https_proxy": "a:1", "no_proxy": no_proxy}
    assert (chosen(environment, url) == "None") is direct


@given(st.text(), st.text())
def test_no_environment_makes_it_fail(proxy: str, no_proxy: str) -> None:
    """But with a BadProxy."""
    with contextlib.suppress(BadProxy):
        way_to(URL, Config({}), {"https_proxy": proxy, "no_proxy": no_proxy, "all_proxy": proxy})
