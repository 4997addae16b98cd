"""Calls webhook addresses that staff entered, without letting them reach our own network (SSRF).

The host name is resolved once, every address is checked, and the connection goes to a checked address: a second,
different DNS answer has no effect. Redirects are not followed.
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
        if not settings.WEBHOOK_PRIVATE_TARGETS and (parts.hostname or "").rpartition(".")[2] in ("localhost", "local"):
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
    with pool:
        response = pool.urlopen(
            "POST", path, body=body, headers=all_headers, redirect=False, retries=False, preload_content=False
        )
        text = response.read(MOST_ANSWER, decode_content=False).decode("utf-8", "replace").replace("\x00", "")
        response.close()
    wait = response.headers.get("Retry-After", "")
    seconds = int(wait) if wait.isdecimal() and len(wait) < 6 else 0
    return Response(response.status, seconds, " ".join(text.split())[:300])


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
    if settings.WEBHOOK_PRIVATE_TARGETS:
        return
    for target in (address, *_embedded(address)):
        if not target.is_global or target.is_multicast or target.is_reserved or target.is_unspecified:
            raise Refused(f"{address} is not a public address.")


def _embedded(address: Address) -> list[Address]:
    """Returns the IPv4 addresses embedded in an IPv6 address."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    embedded: list[Address] = [ipv4 for ipv4 in (address.ipv4_mapped, address.sixtofour) if ipv4 is not None]
    if address.teredo is not None:
        embedded += address.teredo
    if address in NAT64:
        embedded.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return embedded
