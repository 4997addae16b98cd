"""Delivery reports: what mail systems say about a message that did not arrive (RFC 3464), also in words alone.

Structured reports are read first, then flufl.bounce reads those of mail systems that have a form of their own. Our
Message-ID or our signed reply address counts wherever it stands in the report.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from flufl.bounce import all_failures

from messaging.address_syntax import addresses_in
from messaging.inbound.mime import Mail

MOST_VALUE = 1000
MOST_FOUND = 20  # Message-IDs and addresses of a report that are looked at
MOST_TEXT = 200_000  # characters of a report that are searched
# Local parts that mail systems write reports from
DAEMONS = re.compile(
    r"^(?:mailer-?daemon|post-?master|mail-?daemon|mdaemon|mail-?delivery|delivery|smtp|noreply-bounce)$"
)
# How reports are called, one phrase a line, for those that come from another address
SUBJECTS = (
    "undeliver",
    "undelivrable",
    "delivery status notification",
    "delivery failure",
    "delivery has failed",
    "delivery report",
    "delivery delayed",
    "mail delivery failed",
    "mail delivery system",
    "mail system error",
    "message delivery",
    "failure notice",
    "returned mail",
    "returned to sender",
    "non delivery",
    "non-delivery",
    "could not be delivered",
    "couldn't be delivered",
    "not delivered",
    "unzustellbar",
    "nicht zustellbar",
    "zustellung fehlgeschlagen",
    "nachricht nicht zugestellt",
    "échec de la remise",
    "non remis",
    "non distribué",
    "no se pudo entregar",
    "no entregado",
    "mancato recapito",
    "impossibile recapitare",
    "niet bezorgd",
    "onbestelbaar",
)
# Words of a report that delivery goes on, where no status code says so
SOFT = (
    "delayed",
    "will be retried",
    "will retry",
    "will continue to try",
    "will keep trying",
    "still trying",
    "still being retried",
    "not yet been delivered",
    "not been delivered yet",
    "warning message only",
    "do not need to resend",
    "temporarily deferred",
    "wird weiter versucht",
    "verzögert",
    "retardé",
    "nouvelle tentative",
)
# Words that it has ended, which count more
HARD = (
    "giving up",
    "given up",
    "permanent",
    "no such user",
    "user unknown",
    "expired",
    "too long",
    "returned to sender",
)
STATUS = re.compile(r"(?<![\d.])([245])\.\d{1,3}\.\d{1,3}(?![\d.])")  # RFC 3463
REPLY_CODE = re.compile(r"(?<![\d.])([45])[0-5]\d[ -]")  # RFC 5321, 4.2
ANSWERED = re.compile(r"^(?:re|aw|sv|tr|fwd?|wg|antw|rv|i)\s*:", re.IGNORECASE)
MESSAGE_ID = re.compile(r"<[^<>\s@]{1,120}@[^<>\s@]{1,120}>")
OWN_ID = re.compile(rf"message-id:\s{{0,80}}({MESSAGE_ID.pattern})", re.IGNORECASE)
ADDRESS = re.compile(r"[A-Za-z0-9._%+=-]{1,100}@[A-Za-z0-9.-]{1,120}")


@dataclass(frozen=True)
class Report:
    """A mail system's report about a message. `failed` means that delivery failed for good.

    `message_ids` and `addresses` are all that stand in it: one may be our Message-ID, or our signed reply address.
    Anybody can write the rest. `is_understood` is False for a report that names neither a message nor a recipient.
    """

    message_ids: tuple[str, ...]
    addresses: tuple[str, ...]
    recipient: str
    failed: bool
    words: str

    @property
    def is_understood(self) -> bool:
        return bool(self.message_ids or self.recipient)


def report_of(mail: Mail) -> Report | None:
    """Parses a delivery report; None if the mail is none, for example if a person forwards us one."""
    if not _is_from_mail_system(mail):
        return None
    fields = _status_fields(mail.message)
    texts = list(_texts(mail))
    own_ids = [found for text in texts for found in OWN_ID.findall(text)]  # before those that it answers
    all_ids = [found for text in texts for found in MESSAGE_ID.findall(text)]
    ids = tuple(dict.fromkeys([*own_ids, *all_ids]))[:MOST_FOUND]
    addresses = tuple(dict.fromkeys(found for text in texts for found in ADDRESS.findall(text)))[:MOST_FOUND]
    if groups := [group for group in fields if group.get("Action") or group.get("Final-Recipient")]:
        return _structured(groups, ids, addresses)
    soft, hard = _by_second_reader(mail.message)
    recipient = next(iter([*hard, *soft]), "")
    words = " ".join(mail.text.split())[:500]
    return Report(ids, addresses, recipient, failed=bool(hard) or _has_failed(mail, is_soft=bool(soft)), words=words)


def is_daemon(mail: Mail) -> bool:
    return DAEMONS.match(mail.sender.lower().partition("@")[0]) is not None


def _is_from_mail_system(mail: Mail) -> bool:
    """Whether a mail system wrote it, and not a person or an answering machine."""
    if mail.message.get_content_type() == "multipart/report":
        kind = str(mail.message.get_param("report-type") or "").lower()
        return kind in ("", "delivery-status") or bool(_status_fields(mail.message))
    if is_daemon(mail):
        return True
    if ANSWERED.match(mail.subject) or not any(phrase in mail.subject.lower() for phrase in SUBJECTS):
        return False
    path = mail.header("Return-Path").replace(" ", "")
    return path == "<>" or any(_by_second_reader(mail.message))  # RFC 5321, 4.5.5


def _status_fields(message: Message) -> list[Message]:
    return [
        group
        for part in message.walk()
        if part.get_content_type() == "message/delivery-status" and isinstance(part.get_payload(), list)
        for group in part.get_payload()
        if isinstance(group, Message)
    ]


def _structured(groups: list[Message], ids: tuple[str, ...], addresses: tuple[str, ...]) -> Report:
    group = next((one for one in groups if _action(one) == "failed"), groups[0])
    recipient = str(group.get("Final-Recipient", "") or group.get("Original-Recipient", ""))
    found = addresses_in(recipient.rpartition(";")[2].strip())
    words = " ".join(str(group.get("Diagnostic-Code", "") or group.get("Status", "")).split())
    action, status = _action(group), str(group.get("Status", "")).strip()
    failed = action == "failed" or (action not in ("delayed", "delivered", "relayed", "expanded") and status[:1] == "5")
    return Report(ids, addresses, found[0][1] if found else "", failed=failed, words=words[:500])


def _action(group: Message) -> str:
    return str(group.get("Action", "")).partition("(")[0].strip().lower()


def _texts(mail: Mail) -> Iterator[str]:
    """Yields what stands in the report: its texts, and the headers and texts of the message that it returns."""
    left = MOST_TEXT
    for part in mail.message.walk():
        if part is not mail.message:
            headers = "\n".join(f"{name}: {value}" for name, value in part.items())[:left]
            left -= len(headers)
            yield headers
        if not part.is_multipart() and part.get_content_maintype() in ("text", "message"):
            content = part.get_payload(decode=True)
            text = (content if isinstance(content, bytes) else b"")[:left].decode("utf-8", "replace")
            left -= len(text)
            yield text
        if left <= 0:
            return


def _by_second_reader(message: Message) -> tuple[list[str], list[str]]:
    """The recipients that have failed for a time, and those for good, as flufl.bounce reads the report."""
    try:
        soft, hard = all_failures(message)
    except Exception:  # it reads hostile text by many rules: what it cannot read is read by nobody
        return [], []
    return [_text(address) for address in sorted(soft)], [_text(address) for address in sorted(hard)]


def _text(address: bytes | str) -> str:
    text = address.decode("utf-8", "replace") if isinstance(address, bytes) else address
    found = addresses_in(text)
    return found[0][1] if found else ""


def _has_failed(mail: Mail, *, is_soft: bool) -> bool:
    """Whether it failed for good: by the status codes, or else by the words."""
    text = f"{mail.subject}\n{mail.text[:20_000]}".lower()
    classes = {match[1] for match in STATUS.finditer(text)} or {match[1] for match in REPLY_CODE.finditer(text)}
    if "5" in classes or any(phrase in text for phrase in HARD):
        return True
    return not (is_soft or "4" in classes or any(phrase in text for phrase in SOFT))
