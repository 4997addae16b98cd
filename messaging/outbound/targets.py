"""Calling addresses that somebody entered, without being led into our own network (SSRF).

The name is looked up once, each address that it has is judged, and the connection goes to the address that was
judged: a second answer of the name server changes nothing. Nothing is redirected.
"""

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import certifi
import urllib3
from django.conf import settings

CONNECT_SECONDS, READ_SECONDS = 5, 15
MOST_ANSWER = 4000
NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(Exception):
    """The address is not one that may be called."""


@dataclass(frozen=True)
class Answer:
    status: int
    retry_after: int
    words: str


def refuse_unless_callable(url: str) -> None:
    """Raises Refused where the address is not one that may be called, as far as it says itself."""
    told = _split(url)
    try:
        _judge(ipaddress.ip_address(told.hostname or ""))
    except ValueError:  # a name: it is looked up when it is called
        if not settings.WEBHOOK_PRIVATE_TARGETS and (told.hostname or "").rpartition(".")[2] in ("localhost", "local"):
            raise Refused("This name leads into our own network.") from None


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Sends it. Raises Refused, OSError, urllib3.exceptions.HTTPError."""
    told = _split(url)
    host = told.hostname or ""
    secure = told.scheme == "https"
    port = told.port or (443 if secure else 80)
    address = _looked_up(host, port)
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    pool: urllib3.HTTPConnectionPool
    if secure:
        pool = urllib3.HTTPSConnectionPool(
            str(address), port, timeout=timeout, server_hostname=host, assert_hostname=host,
            cert_reqs="CERT_REQUIRED", ca_certs=certifi.where(),
        )  # fmt: skip
    else:
        pool = urllib3.HTTPConnectionPool(str(address), port, timeout=timeout)
    named = f"[{host}]" if ":" in host else host
    sent = {**headers, "Host": named if told.port is None else f"{named}:{port}"}
    path = (told.path or "/") + (f"?{told.query}" if told.query else "")
    with pool:
        answer = pool.urlopen(
            "POST", path, body=body, headers=sent, redirect=False, retries=False, preload_content=False
        )
        words = answer.read(MOST_ANSWER, decode_content=False).decode("utf-8", "replace").replace("\x00", "")
        answer.close()
    wait = answer.headers.get("Retry-After", "")
    return Answer(answer.status, int(wait) if wait.isdecimal() and len(wait) < 6 else 0, " ".join(words.split())[:300])


def _split(url: str) -> SplitResult:
    try:
        told = urlsplit(url)
        port = told.port
    except ValueError as error:
        raise Refused("This is not an address.") from error
    allowed = ("https", "http") if settings.WEBHOOK_PRIVATE_TARGETS else ("https",)
    if told.scheme not in allowed or not told.hostname or port == 0:
        raise Refused("The address has to begin with https:// and name a host.")
    if told.username is not None or told.password is not None:
        raise Refused("Leave name and password out of the address: the signature says who we are.")
    return told


def _looked_up(host: str, port: int) -> Address:
    """The first of its addresses, once none of them is refused. Raises OSError where it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    for address in addresses:
        _judge(address)
    return addresses[0]


def _judge(address: Address) -> None:
    if settings.WEBHOOK_PRIVATE_TARGETS:
        return
    for one in (address, *_wrapped(address)):
        if not one.is_global or one.is_multicast or one.is_reserved or one.is_unspecified:
            raise Refused(f"{address} lies in our own network, or in none.")


def _wrapped(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 address carries."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    found: list[Address] = [one for one in (address.ipv4_mapped, address.sixtofour) if one is not None]
    if address.teredo is not None:
        found += address.teredo
    if address in NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found
