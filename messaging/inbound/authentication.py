"""Whether our own mail server could confirm the sender: Authentication-Results headers (RFC 8601)."""

import logging

import authres

from messaging.inbound.arrival import is_own, traced_by
from messaging.inbound.mime import Mail

log = logging.getLogger(__name__)


def verdict(mail: Mail, *, own_servers: list[str]) -> tuple[str, str]:
    """Returns (passed, failed or unknown; the header's text).

    Only the newest header of our own server counts, and only if it stands above the Received header of any other
    server: everything below came with the mail and can be forged.
    """
    for name, value in mail.ordered("Authentication-Results", "Received"):
        if name == "received":
            if not traced_by(value, own_servers=own_servers):
                break
            continue
        try:
            header = authres.AuthenticationResultsHeader.parse_value(" ".join(value.split()))
        except Exception as error:  # the header may be hostile: whatever the parser raises, skip it
            log.info("An Authentication-Results header cannot be read: %s", error)
            continue
        if is_own(str(header.authserv_id or ""), own_servers):
            return _result(header, mail.sender.rpartition("@")[2].lower()), " ".join(value.split())[:500]
    return "unknown", ""


def _result(header: authres.AuthenticationResultsHeader, domain: str) -> str:
    checks = [(check.method, str(check.result).lower(), check) for check in header.results]
    dmarc = [result for method, result, _ in checks if method == "dmarc"]
    if dmarc and dmarc[0] != "none":
        return "passed" if dmarc[0] == "pass" else "failed"
    for method, result, check in checks:
        if method in ("dkim", "spf") and result == "pass" and any(_aligned(name, domain) for name in _domains(check)):
            return "passed"
    conclusive = [
        result for method, result, _ in checks if method in ("dkim", "spf") and result not in ("none", "neutral")
    ]
    return "failed" if conclusive else "unknown"


def _domains(result: authres.core.AuthenticationResult) -> list[str]:
    wanted = {("header", "d"), ("smtp", "mailfrom")}
    matches = [prop for prop in result.properties if (prop.type, prop.name) in wanted]
    return [str(prop.value).rpartition("@")[2].lower() for prop in matches]


def _aligned(domain: str, sender: str) -> bool:
    """Whether the domains are equal or one is a subdomain of the other (RFC 7489, 3.1, relaxed alignment)."""
    if not sender or "." not in domain:
        return False
    return domain == sender or domain.endswith(f".{sender}") or sender.endswith(f".{domain}")
