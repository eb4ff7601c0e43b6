"""Addresses that this server may call: one spelling, and nothing inside unless it is let."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pytest

from curation import addresses
from curation.addresses import Address, AddressError, look_up_checked, parse_address
from curation.teachers.client import Endpoint, TeacherClient
from curation.teachers.outcome import TeacherError
from curation.teachers.transport import CheckedTransport, Guard
from tests.curation.teachers_asking import FAST, request
from tests.fakes.openai_server import ScriptedServer

PLAIN = {
    "http://h.invalid/v1": Address("http", "h.invalid", 80),
    "HTTPS://H.Invalid/v1": Address("https", "h.invalid", 443),
    "https://h.invalid:8443/a/v1": Address("https", "h.invalid", 8443),
    "http://192.0.2.7:1": Address("http", "192.0.2.7", 1),
    "http://[2001:db8:0:0::1]:8000/v1": Address("http", "2001:db8::1", 8000),
    "http://gpu_1:65535/v1": Address("http", "gpu_1", 65535),
    "http://xn--bcher-kva.invalid/": Address("http", "xn--bcher-kva.invalid", 80),
}
CROOKED = (
    "", "h.invalid/v1", "//h.invalid/v1", "ftp://h.invalid", "file:///etc/passwd",
    "http:/h.invalid", "http:///v1", "http://", "http://:80/", "javascript:alert(1)", "unix:///run/x",
    "http:h.invalid",
    "http://u@h.invalid/", "http://u:p@h.invalid/", "http://@h.invalid/", "http://:p@h.invalid/",
    "http://h.invalid@192.0.2.1/", "http://[2001:db8::1]@h.invalid/", "http://u@[2001:db8::1]/",
    "http://h.invalid/v1?x=1", "http://h.invalid/v1#x", "http://h.invalid?", "http://h.invalid#",
    "http://h.invalid/v1 ", " http://h.invalid", "http://h.invalid\t/", "http://h.inv\nalid/",
    "http://h.invalid/\r\nX: y", "http://h.invalid\\@192.0.2.1/", "http://h\x00.invalid/",
    "http://h.invalid/\x7f", "http://bücher.invalid/", "http://h。invalid/", "http://１２７.0.0.1/",
    "http://127。0。0。1/", "http://ⓛocalhost/", "http://h.invalid:/", "http://h.invalid:0/",
    "http://h.invalid:65536/", "http://h.invalid:08/", "http://h.invalid:+80/", "http://h:8 0/",
    "http://h.invalid:80:80/", "http://h.invalid:8x/", "http://h.invalid./", "http://localhost./",
    "http://.h.invalid/", "http://h..invalid/", "http://-h.invalid/", "http://h-.invalid/",
    "http://127.1/", "http://127.0.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/",
    "http://0177.0.0.1/", "http://127.0.0.01/", "http://127.0.0.0x1/", "http://1.2.3.4.5/",
    "http://256.0.0.1/", "http://0/", "http://0x/", "http://a.0x7f/", "http://h.1/", "http://%6c/",
    "http://127.0.0.1%00.invalid/", "http://[::1/", "http://[::1]x/", "http://[::1]:/", "http://::1/",
    "http://[fe80::1%25lo]/", "http://[fe80::1%lo]/", "http://[::ffff:127.0.0.1]/", "http://[1::2::3]/",
    "http://[::ffff:7f00:1]/", "http://[127.0.0.1]/", "http://[v1.x]/", "http://[]/", "http://]/",
    f"http://{'a' * 64}.invalid/", f"http://{'a.' * 130}invalid/",
)  # fmt: skip
INSIDE = (
    "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1",
    "169.254.169.254",
    "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1",
    "::7f00:1", "::ffff:10.0.0.1", "fe80::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "100::1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1",
    "2001::1", "2001:db8::1", "fe80::1%eth0", "5f00::1",
)  # fmt: skip
PUBLIC = "192.0.0.9"  # an anycast address that a registry keeps for a protocol; nobody's machine


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let the resolver give these answers one after the other; the names that were asked for."""
    left, asked = list(answers), []

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("url", PLAIN)
def test_an_address_is_read_in_one_spelling(url: str) -> None:
    assert parse_address(url) == PLAIN[url]


@pytest.mark.parametrize("url", CROOKED)
def test_any_other_spelling_is_refused_for_models_and_webhooks(url: str) -> None:
    with pytest.raises(AddressError):
        parse_address(url)
    with pytest.raises(ValueError):
        Endpoint(url, "m")
    if "?" not in url:
        with pytest.raises(AddressError):
            parse_address(url, query=True)


@pytest.mark.parametrize("ip", INSIDE)
def test_a_name_that_leads_inside_is_not_called(monkeypatch: pytest.MonkeyPatch, ip: str) -> None:
    resolve_to(monkeypatch, [ip], [PUBLIC, ip], [ip, PUBLIC])
    for _ in range(3):
        with pytest.raises(AddressError, match="private and local"):
            look_up_checked(Address("https", "h.invalid", 443), private=False)


def test_a_public_answer_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, [PUBLIC, PUBLIC])
    assert look_up_checked(Address("https", "h.invalid", 443), private=False) == [PUBLIC]


@pytest.mark.parametrize("ip", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "::",
                                "64:ff9b::a9fe:a9fe", "::ffff:169.254.169.254"])  # fmt: skip
def test_even_a_private_name_never_leads_to_metadata_or_everybody(
    monkeypatch: pytest.MonkeyPatch, ip: str
) -> None:
    resolve_to(monkeypatch, [ip])
    with pytest.raises(AddressError):
        look_up_checked(Address("http", "gpu.invalid", 80), private=True)


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1", "10.0.0.1", "fd12::1"])
def test_a_private_name_may_lead_to_its_network(monkeypatch: pytest.MonkeyPatch, ip: str) -> None:
    resolve_to(monkeypatch, [ip])
    assert look_up_checked(Address("http", "gpu.invalid", 80), private=True) == [ip]


def test_a_literal_is_never_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolve_to(monkeypatch, [PUBLIC])
    with pytest.raises(AddressError):
        look_up_checked(Address("http", "127.0.0.1", 80), private=False)
    assert look_up_checked(Address("http", "::1", 80), private=True) == ["::1"]
    assert asked == []


class Seen(httpx.AsyncBaseTransport):
    """Keeps where requests were led; the first ``dead`` connections are refused."""

    def __init__(self, dead: int = 0) -> None:
        self.requests: list[httpx.Request] = []
        self.dead = dead

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if len(self.requests) <= self.dead:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={})


async def _get(seen: Seen, url: str, *, private: bool = True, times: int = 1) -> None:
    guard = Guard(parse_address(url), private=private)
    async with httpx.AsyncClient(transport=CheckedTransport(seen, guard)) as http:
        for _ in range(times):
            await http.get(url)


def get(seen: Seen, url: str, *, private: bool = True, times: int = 1) -> None:
    asyncio.run(_get(seen, url, private=private, times=times))


def test_a_call_goes_to_the_checked_address_and_the_name_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, seen = resolve_to(monkeypatch, ["10.0.0.1"], ["127.0.0.1"]), Seen()
    get(seen, "https://gpu.invalid:8443/v1/models", times=2)
    for sent in seen.requests:
        assert str(sent.url) == "https://10.0.0.1:8443/v1/models"
        assert sent.headers["host"] == "gpu.invalid:8443"
        assert sent.extensions["sni_hostname"] == "gpu.invalid"
    assert asked == ["gpu.invalid"]


def test_the_next_answer_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ["::1", "127.0.0.1"])
    seen = Seen(dead=1)
    get(seen, "http://gpu.invalid/v1", times=2)
    assert [sent.url.host for sent in seen.requests] == ["::1", "127.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize("url", ["http://[::2]:9", "http://127.0.0.2:9/", "http://h.invalid:9/"])
def test_a_client_of_one_endpoint_asks_no_other_host(url: str) -> None:
    guard = Guard(Address("http", "127.0.0.1", 9), private=True)
    with pytest.raises(httpx.UnsupportedProtocol):
        guard.aim(httpx.Request("GET", url), "127.0.0.1")


def test_a_name_that_became_private_is_not_asked_and_closes_the_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ScriptedServer() as server:
        port = parse_address(server.url).port
        resolve_to(monkeypatch, [PUBLIC], ["127.0.0.1"])
        endpoint = Endpoint(f"http://h.invalid:{port}/v1", "fake", "sk-canary")
        assert look_up_checked(endpoint.address, private=False) == [PUBLIC]
        with pytest.raises(TeacherError, match="private and local") as caught:
            complete(endpoint)
        assert caught.value.failure.closes_endpoint
        assert server.requests == []


def test_a_name_inside_that_is_let_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server:
        port = parse_address(server.url).port
        resolve_to(monkeypatch, ["127.0.0.1"])
        complete(Endpoint(f"http://gpu.invalid:{port}/v1", "fake", private=True))
        assert server.requests[0].headers["host"] == f"gpu.invalid:{port}"


def complete(endpoint: Endpoint) -> None:
    async def main() -> None:
        async with TeacherClient(endpoint, FAST) as client:
            await client.complete(request())

    asyncio.run(main())


def test_documentation_ranges_are_no_public_addresses() -> None:
    assert not any(map(addresses.is_public, ("192.0.2.1", "198.51.100.1", "203.0.113.1")))
