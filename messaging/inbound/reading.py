"""Reads mail in a process that can be killed, so that no mail costs more than a second of processor time.

A mail that costs too much is read again with less: without HTML and winmail.dat, then only its headers. `cost` says
so, and a person looks at it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import NamedTuple

from messaging.confined import TooCostly, run_confined
from messaging.inbound.arrival import WRITTEN_BY_SENDER, client_in
from messaging.inbound.authentication import verdict
from messaging.inbound.mime import File, Unreadable, parse, sent_at
from messaging.inbound.quoting import own_words
from messaging.inbound.reports import Report, report_of
from messaging.inbound.sorting import sort_of

STEPS = (("whole", 0.6), ("rough", 0.15), ("headers", 0.05))  # seconds of processor time
WORDS_SECONDS = 0.2
FILE_SECONDS, FILE_MEGABYTES = 5.0, 200
MOST_ROUGH = 500_000  # bytes
MOST_HEADERS, MOST_HEADER_LINES = 100_000, 2_000  # bytes


class FileEntry(NamedTuple):
    name: str
    media_type: str
    size: int


@dataclass(frozen=True)
class ReadMail:
    """What a mail says. `safe_html` is sanitised; `words` are the sender's own, without quotations and signature.

    `client` is the network address from which our servers took it; empty if it is not known.
    `sent_at` is when it was sent, as the sender says; None if it does not say so in a way that can be read.
    """

    message_id: str
    in_reply_to: str
    references: tuple[str, ...]
    sender: str
    sender_name: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    words: str
    is_forward: bool
    safe_html: str
    files: tuple[FileEntry, ...]
    remarks: tuple[str, ...]
    digest: str
    sort: str
    report: Report | None
    checked: str
    results_header: str
    sent_at: datetime | None = None
    client: str = ""
    cost: str = ""


def read(raw: bytes, *, whole: bool, own_servers: tuple[str, ...], results_by: tuple[str, ...] = ()) -> ReadMail:
    """Reads a mail, or as much of it as a second allows. Raises Unreadable."""
    costs = []
    for step, seconds in STEPS:
        function = partial(read_here, whole=whole, own_servers=own_servers, results_by=results_by, step=step)
        try:
            mail = run_confined(function, raw, seconds=seconds)
        except (TooCostly, Unreadable) as error:
            costs.append(str(error))
        else:
            return replace(mail, cost=costs[0]) if costs else mail
    raise Unreadable(costs[0])


def read_file(raw: bytes, number: int, *, whole: bool) -> File | None:
    """Returns the mail's file with this number, counted from 0; None if there is none. Raises Unreadable."""
    function = partial(file_here, number=number, whole=whole)
    try:
        return run_confined(function, raw, seconds=FILE_SECONDS, megabytes=FILE_MEGABYTES)
    except TooCostly as error:
        raise Unreadable(str(error)) from error


# In the other process


def read_here(
    raw: bytes, *, whole: bool, own_servers: tuple[str, ...], results_by: tuple[str, ...], step: str
) -> ReadMail:
    if step == "whole":
        mail = parse(raw, whole=whole)
    else:
        mail = parse(_headers(raw) if step == "headers" else raw, whole=whole, is_rough=True, most=MOST_ROUGH)
    words, is_forward = own_words(mail.text)
    checked, header = verdict(mail, own_servers=list(own_servers), results_by=results_by)
    return ReadMail(
        message_id=mail.message_id,
        in_reply_to=mail.in_reply_to,
        references=mail.references,
        sender=mail.sender,
        sender_name=mail.sender_name,
        recipients=mail.recipients,
        subject=mail.subject,
        text=mail.text,
        words=words,
        is_forward=is_forward,
        safe_html=mail.safe_html,
        files=tuple(FileEntry(file.name, file.media_type, len(file.content)) for file in mail.files),
        remarks=mail.remarks,
        digest=mail.digest,
        sort=sort_of(mail),
        report=report_of(mail),
        checked=checked,
        results_header=header,
        sent_at=sent_at(mail.header("Date")),
        client=client_in(mail.ordered("Received", *WRITTEN_BY_SENDER), own_servers=list(own_servers)),
    )


def file_here(raw: bytes, *, number: int, whole: bool) -> File | None:
    files = parse(raw, whole=whole, most=len(raw)).files
    return files[number] if 0 <= number < len(files) else None


def _headers(raw: bytes) -> bytes:
    lines = [*raw[:MOST_HEADERS].splitlines()[:MOST_HEADER_LINES], b""]
    return b"\n".join(lines[: lines.index(b"")]) + b"\n\n"
