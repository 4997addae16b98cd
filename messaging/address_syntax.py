"""The syntax of e-mail addresses (RFC 5321, 4.1.2; RFC 6531), and reading them from headers (RFC 5322, 3.4). Pure."""

import re
from collections.abc import Iterator

MOST_ADDRESS, MOST_LOCAL_PART, MOST_LABEL = 254, 64, 63  # octets (RFC 5321, 4.5.3.1 and erratum 1690; RFC 1035, 2.3.4)
_ATOM = r"[^\s<>@,;:\\\"()\[\]]"
_QUOTED = r'"(?:[^"\\\r\n]|\\[^\r\n])*"'
_DOMAIN = r"(?:\[[^\s<>@\[\]]+\]|[^\s<>@,;:\\\"()\[\]]+)"
_ADDRESS = re.compile(rf"(?:{_ATOM}+|{_QUOTED})@{_DOMAIN}")
# Begins and ends where no character of an address stands, so that none is cut out of a longer text
_ADDRESS_IN_TEXT = re.compile(rf"(?<!{_ATOM})(?<![@\\\"]){_ATOM}+@{_DOMAIN}(?![^\s<>,;:()\]])")
_QUOTED_NEEDLESSLY = re.compile(rf'^"((?!\.)(?:(?!\.\.|\."){_ATOM})+)"(?=@)')
_MARK = re.compile(rf"{_QUOTED}|\\.|.", re.DOTALL)


def is_sendable(address: str) -> bool:
    """Whether the address is within the limits of SMTP, so that a mail server can accept it."""
    local_part, _, domain = address.rpartition("@")
    return (
        len(address.encode()) <= MOST_ADDRESS
        and 0 < len(local_part.encode()) <= MOST_LOCAL_PART
        and all(0 < len(label) <= MOST_LABEL for label in domain.split("."))
    )


def needs_smtputf8(address: str) -> bool:
    """Whether only a server with SMTPUTF8 (RFC 6531) can accept the address. A domain can be written in ASCII."""
    return not address.rpartition("@")[0].isascii()


def addresses_in(value: str) -> list[tuple[str, str]]:
    """Returns the (display name, address) pairs of a header, in its order. What SMTP cannot send to is left out.

    What stands before an address in angle brackets is its display name, even if it looks like an address, as mail
    programs have it. Of an entry in no known form, the addresses that stand in it as whole words are returned.
    """
    pairs: list[tuple[str, str]] = []
    for name, text in _entries(value):
        address = _QUOTED_NEEDLESSLY.sub(r"\1", text)  # "a.b"@c and a.b@c are one address (RFC 5321, 4.1.2)
        if _ADDRESS.fullmatch(address):
            pairs.append((name, address))
        else:
            pairs += [("", match[0]) for match in _ADDRESS_IN_TEXT.finditer(address)]
    return [(name, address) for name, address in pairs if is_sendable(address)]


def _entries(value: str) -> Iterator[tuple[str, str]]:
    """Yields (display name or comment, address as written) for each entry of a list of addresses."""
    outside, inside, comment = "", "", ""
    depth, is_angle = 0, False
    for mark in [*_MARK.findall(value), ""]:
        if mark and (depth or mark == "("):
            is_outermost = depth == 0
            depth += (mark == "(") - (mark == ")")
            comment += mark if depth and not is_outermost else ""
        elif mark in (",", ";", ""):
            name = outside if inside else comment
            yield _unquoted(name), (inside or outside).strip()
            outside, inside, comment, is_angle = "", "", "", False
        elif mark in ("<", ">"):
            is_angle = mark == "<"
            inside += " " if is_angle and inside else ""
        elif is_angle:
            inside += mark
        else:
            outside = "" if mark == ":" else outside + mark  # what stands before is the name of a group


def _unquoted(name: str) -> str:
    return re.sub(r"\\(.)|\"", r"\1", name).strip()
