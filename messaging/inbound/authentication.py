"""Whether our own mail server could confirm the sender: Authentication-Results headers (RFC 8601).

A header that names our server proves nothing: anybody can write one into a mail (RFC 8601, 5 and 7.1). Only a header
that our server added above everything that the sender could write counts.
"""

import logging
from collections.abc import Collection

import authres

from messaging.inbound.arrival import WRITTEN_BY_SENDER, is_own, traced_by
from messaging.inbound.mime import Mail

log = logging.getLogger(__name__)
RESULTS, TRACE = "authentication-results", "received"
IDENTIFIERS = (("header", "d"), ("smtp", "mailfrom"))  # what DKIM and SPF authenticate


def verdict(mail: Mail, *, own_servers: list[str], results_by: Collection[str] = ()) -> tuple[str, str]:
    """Returns (passed, failed or unknown; the text of the headers that count).

    Mail servers add headers at the top. The topmost Received header is our server's, so what stands above it is ours,
    too. Many servers write their results just below their Received header, where a forged one would stand if they
    wrote none. So that counts only if `results_by` names the server exactly: its operator says that it writes a
    result for each mail, which then stands above a forged one.
    """
    headers = _first_of(mail, own_servers, results_by) if results_by else _above_trace(mail, own_servers)
    if not headers:
        return "unknown", ""
    checks = [check for header, _ in headers for check in header.results]
    return _result(checks, _ascii_domain(mail.sender)), "; ".join(text for _, text in headers)[:500]


Header = tuple[authres.AuthenticationResultsHeader, str]


def _above_trace(mail: Mail, own_servers: list[str]) -> list[Header]:
    """Returns the results of our servers above the topmost Received header; none if that is not ours."""
    headers: list[Header] = []
    for name, value in mail.ordered(RESULTS, TRACE, *WRITTEN_BY_SENDER):
        if name == TRACE:
            return headers if traced_by(value, own_servers=own_servers) else []
        if name != RESULTS:
            return []
        if (header := _parsed(value)) and is_own(_server(header), own_servers):
            headers.append((header, _on_one_line(value)))
    return []


def _first_of(mail: Mail, own_servers: list[str], results_by: Collection[str]) -> list[Header]:
    """Returns the first result of the named servers among the trace headers of our servers, at the top of the mail."""
    names = {name.lower() for name in results_by}
    for name, value in mail.ordered(RESULTS, TRACE, *WRITTEN_BY_SENDER):
        if name == TRACE and traced_by(value, own_servers=own_servers):
            continue
        if name != RESULTS:
            return []
        if (header := _parsed(value)) and _server(header) in names:
            return [(header, _on_one_line(value))]
    return []


def _parsed(value: str) -> authres.AuthenticationResultsHeader | None:
    try:
        return authres.AuthenticationResultsHeader.parse_value(_on_one_line(value))
    except Exception as error:  # the header may be hostile: whatever the parser raises, skip it
        log.info("An Authentication-Results header cannot be read: %s", error)
        return None


def _server(header: authres.AuthenticationResultsHeader) -> str:
    return str(header.authserv_id or "").lower().rstrip(".")


def _on_one_line(value: str) -> str:
    return " ".join(value.split())


def _result(results: list[authres.core.AuthenticationResult], domain: str) -> str:
    checks = [(check.method, str(check.result).lower(), check) for check in results]
    for method, result, check in checks:
        if method == "dmarc" and result != "none" and _is_about(check, domain, passed=result == "pass"):
            return "passed" if result == "pass" else "failed"
    for method, result, check in checks:
        names = _domains(check, *IDENTIFIERS) if method in ("dkim", "spf") and result == "pass" else []
        if any(_aligned(name, domain) for name in names):
            return "passed"
    conclusive = [
        result for method, result, _ in checks if method in ("dkim", "spf") and result not in ("none", "neutral")
    ]
    return "failed" if conclusive else "unknown"


def _is_about(dmarc: authres.core.AuthenticationResult, domain: str, *, passed: bool) -> bool:
    """Whether a verdict is about the domain of the sender that we took (RFC 7489, 11.1: header.from).

    A From header can be written so that servers read another address from it. One that does not say which domain
    passed proves nothing, but a failure counts.
    """
    domains = _domains(dmarc, ("header", "from"))
    return domain in domains if domains else not passed


def _domains(result: authres.core.AuthenticationResult, *names: tuple[str, str]) -> list[str]:
    return [_ascii_domain(str(prop.value)) for prop in result.properties if (prop.type, prop.name) in names]


def _ascii_domain(address: str) -> str:
    """Returns the domain of an address as it stands in the DNS (RFC 5890)."""
    domain = address.rpartition("@")[2].lower().rstrip(".")
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return domain


def _aligned(domain: str, sender: str) -> bool:
    """Whether the domains are equal or one is a subdomain of the other (RFC 7489, 3.1, relaxed alignment)."""
    if not sender or "." not in domain:
        return False
    return domain == sender or domain.endswith(f".{sender}") or sender.endswith(f".{domain}")
