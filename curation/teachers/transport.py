"""An HTTP transport that connects only to addresses that were judged (``curation.addresses``).

The URL, its ``Host`` header and the name on the certificate stay those of the endpoint; only where
the connection goes is decided here, so that no second look-up can lead elsewhere.
"""

from __future__ import annotations

import asyncio
import time

import httpx

from curation.addresses import Address, look_up_checked

KEEP = 30.0  # seconds for which the answers of a look-up are used again


class Guard:
    """The judged IP addresses of one endpoint, shared by its connections."""

    def __init__(self, address: Address, *, private: bool) -> None:
        self.address, self.private = address, private
        self._ips: list[str] = []
        self._until = 0.0

    def ips(self) -> list[str]:
        """Where to connect, the address that answered last first; AddressError."""
        if not self._ips or time.monotonic() > self._until:
            self._ips = look_up_checked(self.address, private=self.private)
            self._until = time.monotonic() + KEEP
        return self._ips

    def prefer(self, ip: str) -> None:
        if self._ips[0] != ip:
            self._ips = [ip, *(each for each in self._ips if each != ip)]

    @property
    def is_fresh(self) -> bool:
        """Whether ``ips`` answers without asking the network."""
        return self.address.is_literal or bool(self._ips and time.monotonic() <= self._until)

    def aim(self, request: httpx.Request, ip: str) -> httpx.Request:
        """The same request with its connection led to ``ip``."""
        asked = self.address
        if (request.url.host, request.url.port or asked.port) != (asked.host, asked.port):
            raise httpx.UnsupportedProtocol("a request for another host than the endpoint's")
        return httpx.Request(
            request.method,
            request.url.copy_with(host=ip),
            headers=request.headers,  # holds the Host that was asked for
            stream=request.stream,
            extensions=request.extensions | {"sni_hostname": asked.host},
        )


class CheckedTransport(httpx.AsyncBaseTransport):
    """Asks ``inner`` for one endpoint's requests, at judged addresses, one after the other."""

    def __init__(self, inner: httpx.AsyncBaseTransport, guard: Guard) -> None:
        self._inner, self._guard = inner, guard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        guard = self._guard
        ips = guard.ips() if guard.is_fresh else await asyncio.to_thread(guard.ips)
        for ip in ips:
            try:
                answer = await self._inner.handle_async_request(guard.aim(request, ip))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if ip == ips[-1]:
                    raise
                continue  # nothing was sent yet
            guard.prefer(ip)
            return answer
        raise AssertionError("a look-up gives at least one address")

    async def aclose(self) -> None:
        await self._inner.aclose()


class CheckedClientTransport(httpx.BaseTransport):
    """The same for a client without an event loop."""

    def __init__(self, inner: httpx.BaseTransport, guard: Guard) -> None:
        self._inner, self._guard = inner, guard

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        guard = self._guard
        ips = guard.ips()
        for ip in ips:
            try:
                answer = self._inner.handle_request(guard.aim(request, ip))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if ip == ips[-1]:
                    raise
                continue  # nothing was sent yet
            guard.prefer(ip)
            return answer
        raise AssertionError("a look-up gives at least one address")

    def close(self) -> None:
        self._inner.close()
