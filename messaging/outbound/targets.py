"""Calls webhook addresses that staff entered, without letting them reach our own network (SSRF).

The host name is resolved once, every address is checked, and the connection goes to a checked address: a second,
different DNS answer has no effect. Redirects are not followed.
"""

import ipaddress
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

import certifi
import urllib3
from django.conf import settings
from urllib3.exceptions import HTTPError

from messaging.text import replace_unkeepable

CONNECT_SECONDS, READ_SECONDS = 5, 15
TOTAL_SECONDS = 20  # of a call, however slowly the answer drips; less than the lease of a delivery
MOST_ANSWER = 4000
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# The only IPv6 addresses that are handed out (IANA, "IPv6 Global Unicast Address Assignments")
HANDED_OUT = ipaddress.ip_network("2000::/3")
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # a public IPv4 address, as networks without IPv4 write it (RFC 6052)
# The blocks of the IANA special-purpose registries (RFC 6890) and of multicast, also those that are routed: nobody
# offers a web server there. The table is ours because `is_global` of the supported versions of Python differs.
SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)


class Refused(Exception):
    """The address must not be called."""


@dataclass(frozen=True)
class Response:
    status: int
    retry_after: int
    text: str


def refuse_unless_callable(url: str) -> None:
    """Raises Refused if the address must not be called. Checks the URL only; `post` also checks the DNS answer."""
    parts = _split(url)
    try:
        _check(ipaddress.ip_address(parts.hostname or ""))
    except ValueError:  # a name, which is resolved when it is called
        if not settings.WEBHOOK_PRIVATE_TARGETS and (parts.hostname or "").rstrip(".").rpartition(".")[2] in (
            "localhost",
            "local",
        ):
            raise Refused("This name leads into our own network. Enter a public address.") from None


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Response:
    """Posts the body to the URL. Raises Refused, OSError, urllib3.exceptions.HTTPError."""
    parts = _split(url)
    host = parts.hostname or ""
    is_secure = parts.scheme == "https"
    port = parts.port or (443 if is_secure else 80)
    address = _resolve(host, port)
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    pool: urllib3.HTTPConnectionPool
    if is_secure:
        pool = urllib3.HTTPSConnectionPool(
            str(address), port, timeout=timeout, server_hostname=host, assert_hostname=host,
            cert_reqs="CERT_REQUIRED", ca_certs=certifi.where(),
        )  # fmt: skip
    else:
        pool = urllib3.HTTPConnectionPool(str(address), port, timeout=timeout)
    name = f"[{host}]" if ":" in host else host
    all_headers = {**headers, "Host": name if parts.port is None else f"{name}:{port}"}
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with pool, _Deadline(pool, TOTAL_SECONDS) as deadline:
        try:
            response = pool.urlopen(
                "POST", path, body=body, headers=all_headers, redirect=False, retries=False, preload_content=False
            )
            text = replace_unkeepable(response.read(MOST_ANSWER, decode_content=False).decode("utf-8", "replace"))
            response.close()
        except (OSError, HTTPError, ValueError) as error:
            if deadline.is_over:
                raise TimeoutError(f"The answer was not complete after {TOTAL_SECONDS} seconds.") from error
            raise
    wait = response.headers.get("Retry-After", "")
    seconds = int(wait) if wait.isdecimal() and len(wait) < 6 else 0
    return Response(response.status, seconds, " ".join(text.split())[:300])


class _Deadline:
    """Ends the connections of a pool after some seconds. A timeout of reading starts again with each byte."""

    def __init__(self, pool: urllib3.HTTPConnectionPool, seconds: float) -> None:
        self.is_over = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        deadline, base = self, pool.ConnectionCls

        class Watched(base):  # type: ignore[misc, valid-type]
            def connect(self) -> None:
                super().connect()
                deadline._sockets.append(self.sock)

        pool.ConnectionCls = Watched

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused("This is not a web address. Enter one that begins with https://.") from error
    allowed = ("https", "http") if settings.WEBHOOK_PRIVATE_TARGETS else ("https",)
    if parts.scheme not in allowed or not parts.hostname or port == 0:
        raise Refused("The address must begin with https:// and name a host.")
    if parts.username is not None or parts.password is not None:
        raise Refused("Remove the user name and password from the address: the signature identifies us.")
    return parts


def _resolve(host: str, port: int) -> Address:
    """Returns the host's first address. Raises Refused if any address must not be called, OSError if it has none."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries]
    for address in addresses:
        _check(address)
    return addresses[0]


def _check(address: Address) -> None:
    if not settings.WEBHOOK_PRIVATE_TARGETS and not is_public(address):
        raise Refused(f"{address} is not a public address.")


def is_public(address: Address) -> bool:
    """Whether the address is on the public internet: globally reachable, and in no special-purpose block of IANA.

    An IPv6 address that stands for an IPv4 address (mapped, NAT64) is judged by that. 6to4 and Teredo are not public.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if (ipv4 := address.ipv4_mapped) is not None:
            return is_public(ipv4)
        if address in NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in HANDED_OUT:
            return False
    return address.is_global and not any(address in block for block in SPECIAL)
