"""What our own mail server found of a sender: Authentication-Results (RFC 8601), believed from it alone."""

import logging

import authres

from messaging.inbound.mime import Mail

log = logging.getLogger(__name__)


def verdict(mail: Mail, *, own_servers: list[str]) -> tuple[str, str]:
    """(passed, failed or unknown; the server's words).

    The newest header of the server counts, and only above the trace of any server that is not ours: what lies
    below came with the mail, and anybody can write it.
    """
    for name, value in mail.ordered("Authentication-Results", "Received"):
        if name == "received":
            if not traced_by(value, own_servers=own_servers):
                break
            continue
        try:
            found = authres.AuthenticationResultsHeader.parse_value(" ".join(value.split()))
        except Exception as error:  # a parser of hostile text: whatever it raises, the header says nothing
            log.info("An Authentication-Results header cannot be read: %s", error)
            continue
        if _is_own(str(found.authserv_id or ""), own_servers):
            return _judged(found, mail.sender.rpartition("@")[2].lower()), " ".join(value.split())[:500]
    return "unknown", ""


def _judged(found: authres.AuthenticationResultsHeader, domain: str) -> str:
    results = [(one.method, str(one.result).lower(), one) for one in found.results]
    dmarc = [result for method, result, _ in results if method == "dmarc"]
    if dmarc and dmarc[0] != "none":
        return "passed" if dmarc[0] == "pass" else "failed"
    for method, result, one in results:
        if method in ("dkim", "spf") and result == "pass" and any(_aligned(value, domain) for value in _domains(one)):
            return "passed"
    known = [result for method, result, _ in results if method in ("dkim", "spf") and result not in ("none", "neutral")]
    return "failed" if known else "unknown"


def _domains(result: authres.core.AuthenticationResult) -> list[str]:
    wanted = {("header", "d"), ("smtp", "mailfrom")}
    return [str(one.value).rpartition("@")[2].lower() for one in result.properties if (one.type, one.name) in wanted]


def _aligned(domain: str, sender: str) -> bool:
    """The same, or one within the other (RFC 7489, 3.1, relaxed)."""
    if not sender or "." not in domain:
        return False
    return domain == sender or domain.endswith(f".{sender}") or sender.endswith(f".{domain}")


def traced_by(received: str, *, own_servers: list[str]) -> bool:
    """Whether a server of ours wrote this Received header (RFC 5321, 4.4)."""
    words = received.lower().split()
    return _is_own(words[words.index("by") + 1] if "by" in words[:-1] else "", own_servers)


def _is_own(server: str, own: list[str]) -> bool:
    told = server.lower().rstrip(".;")
    return any(told == one.lower() or told.endswith(f".{one.lower()}") for one in own)
