"""Reading incoming mail: a cancellation becomes a request, everything else a conversation.

Each mail is read in one transaction. If a worker is killed, the mail stays unread. A mail that cannot be read is set
aside with a task for staff, so that it does not block the mails behind it.
"""

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid5

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Q

from billing.rules.periods import local_date
from cancellations.letters.conversations import send_too_large
from cancellations.models import Conversation, Kind, Todo
from cancellations.models.states import OPEN
from cancellations.queries.policies import NoPolicyInForce
from cancellations.queries.requests import declared
from cancellations.rules.recognition import MAX_NUMBERS, Recognised, recognise
from cancellations.services.common import accounts_at, open_conversation
from cancellations.services.submission import declared_by_mail, submit_by_mail
from messaging.addresses import fold_address, our_message, reference_in
from messaging.confined import TooCostly, run_confined
from messaging.due import UNLIMITED, Run, Work
from messaging.inbound.attachments import is_pdf, words_in_pdfs
from messaging.inbound.reading import WORDS_SECONDS, ReadMail
from messaging.locking import lock_correspondence
from messaging.models import Checked, IncomingMessage, OutgoingMessage, ReadState, Sort
from messaging.services.inbox import MOST_ATTEMPTS, earlier_copy, lease, read_into_row, waiting_mails
from messaging.services.outbox import latest_to, record_bounce
from messaging.text import replace_unkeepable
from messaging.waking import wake
from messaging.wording import language_for

log = logging.getLogger(__name__)
RETRY_WITHOUT_POLICY = timedelta(minutes=5)
MOST_COVER_WORDS = 400  # characters of a mail that only covers a file
MAX_AUTOMATIC_ANSWERS = 5  # to too large mails, a day to one address: nobody can flood it by forging its name


def read_due(*, now: datetime, seconds: float = UNLIMITED) -> int:
    """Reads waiting mail and returns how many. Several workers can do this at the same time."""
    count, run = 0, Run(now, seconds=seconds)
    for message in READING.results(run):
        with READING.setting_aside(message.pk, run):
            _read(message, run.now)
        count += 1
    return count


def _read(message: IncomingMessage, now: datetime) -> None:
    if message.attempts > MOST_ATTEMPTS:
        raise RuntimeError(f"Reading was started {MOST_ATTEMPTS} times and never finished.")
    try:
        with transaction.atomic():
            row = IncomingMessage.objects.select_for_update().get(pk=message.pk)
            if row.state == ReadState.WAITING:
                row.state = ReadState.READ
                _process(row, read_into_row(row), now)
                row.save()
    except NoPolicyInForce:
        unread = IncomingMessage.objects.filter(pk=message.pk, state=ReadState.WAITING)
        unread.update(due_at=now + RETRY_WITHOUT_POLICY, attempts=0, last_error="No policy version is in force yet.")


def _process(row: IncomingMessage, mail: ReadMail, now: datetime) -> None:
    original = earlier_copy(row)
    if mail.cost:
        _leave_to_staff(row, mail.cost, now)
    elif original is not None:
        row.state, row.duplicate_of = ReadState.DUPLICATE, original
        row.about, row.thread, row.outcome = original.about, original.thread, "Duplicate of an earlier mail."
    elif row.sort == Sort.BOUNCE:
        _process_bounce(row, mail, now)
    elif row.sort == Sort.OWN:
        row.outcome = "Sent by the portal itself."
    else:
        _process_message(row, mail, now)


def _process_bounce(row: IncomingMessage, mail: ReadMail, now: datetime) -> None:
    report = mail.report
    if report is None or not report.is_understood:
        _open_conversation(row, Todo.NOT_UNDERSTOOD, None, now)
        row.outcome = "A mail system wrote this, and it names no message. Waits for staff."
        return
    if not report.failed:
        row.outcome = "A delivery report that changes nothing, such as a delay."
        return
    ours = [message_id for message_id in report.message_ids if our_message(message_id)]
    message = record_bounce(
        message_id=ours[0] if ours else "",
        recipient=report.recipient,
        reference=next(filter(None, map(reference_in, (*report.addresses, *mail.recipients))), ""),
        words=report.words,
        now=now,
    )
    if message is not None:
        row.about, row.thread = message.about, message.thread
        row.outcome = f"The message «{message.subject}»"[:200] + " did not arrive."
        wake("mail.failed")
    elif not ours and (likely := latest_to(report.recipient, now=now)) is not None:
        row.about = likely.about
        _open_conversation(row, Todo.NOT_UNDERSTOOD, None, now)
        row.outcome = (
            "A delivery report that does not say which message it is about. Probably the latest to this address."
        )
    elif ours or report.recipient:
        row.outcome = "A delivery report about a message that is not ours."
    else:
        _open_conversation(row, Todo.NOT_UNDERSTOOD, None, now)
        row.outcome = "A delivery report that names no recipient. Waits for staff."


def _process_message(row: IncomingMessage, mail: ReadMail, now: datetime) -> None:
    lock_correspondence(row.sender)
    _set_references(row, mail)
    words = mail.words if mail.words.strip() else ""
    try:
        recognised = _recognised(row, mail)
        if _may_be_in_a_file(recognised, mail, words):
            recognised, words = _recognised_in_files(row, mail, recognised, words)
    except TooCostly as error:
        _leave_to_staff(row, str(error), now)
        return
    if row.sort in (Sort.AUTOMATIC, Sort.LIST):  # never answer these automatically (RFC 3834, 2)
        if recognised.is_certain and not row.about:
            _open_conversation(row, Todo.MAYBE, recognised, now)
            row.outcome = "Sent by a machine, but it reads like a cancellation."
        else:
            row.outcome = "Not answered, because a machine sent it."
        return
    is_subject_only = not words and mail.is_forward
    is_too_large = not row.is_whole
    is_clear = recognised.is_certain and bool(row.sender) and len(recognised.numbers) <= MAX_NUMBERS
    if is_clear and not is_subject_only and not _is_about_open_request(row):
        _submit_requests(row, mail, words or mail.text, recognised, now)
        if is_too_large:  # the cancellation counts, but its files were cut off
            conversation = _open_conversation(row, Todo.TOO_LARGE, recognised, now)
            if _is_below_answer_limit(row, now):
                send_too_large(row, conversation, now=now)
        return
    todo = Todo.TOO_LARGE if is_too_large else Todo.TAKES_BACK if recognised.takes_back else Todo.ANSWER
    if todo == Todo.ANSWER and (recognised.is_possible or recognised.is_certain) and not row.about:
        todo = Todo.MAYBE
    conversation = _open_conversation(row, todo, recognised, now)
    if is_too_large and row.sender and _is_below_answer_limit(row, now):
        send_too_large(row, conversation, now=now)
    row.outcome = "Waits for staff."


def _recognised(row: IncomingMessage, mail: ReadMail) -> Recognised:
    """Raises TooCostly."""
    on = local_date(row.arrived_at, settings.COMPANY_TIME_ZONE)
    question = partial(recognise, mail.subject, mail.words, example=settings.ACCOUNT_NUMBER_EXAMPLE, received_on=on)
    return run_confined(question, seconds=WORDS_SECONDS)


def _may_be_in_a_file(recognised: Recognised, mail: ReadMail, words: str) -> bool:
    """Whether the mail says little itself and has a PDF file, as a letter that was scanned or saved."""
    has_pdf = any(is_pdf(file.name, file.media_type) for file in mail.files)
    return has_pdf and not recognised.is_certain and not recognised.takes_back and len(words) < MOST_COVER_WORDS


def _recognised_in_files(
    row: IncomingMessage, mail: ReadMail, recognised: Recognised, words: str
) -> tuple[Recognised, str]:
    """Recognises a cancellation in the text of PDF files. One without text may be a scan of one: a person looks."""
    attached = words_in_pdfs(bytes(row.raw), whole=row.is_whole)
    if attached:
        found = _recognised(row, replace(mail, words=attached))
        return (found, f"{words}\n\n{attached}".strip()) if found.is_certain else (recognised, words)
    names = " ".join(file.name for file in mail.files)
    named = _recognised(row, replace(mail, words=names.replace("_", " ").replace(".", " ")))
    return replace(recognised, is_possible=named.is_certain or named.is_possible or recognised.is_possible), words


def _set_references(row: IncomingMessage, mail: ReadMail) -> None:
    """Sets `about` and `thread` from what the mail replies to: an address or Message-ID of ours, or an earlier mail.

    Our addresses are signed. A reference in the subject does not count, because anybody can guess or copy it.
    """
    for reference in filter(None, map(reference_in, mail.recipients)):
        if reference.startswith("CV-"):
            _file_under_conversation(row, reference)
        else:
            row.about = reference
        return
    replied_to = [row.in_reply_to, *reversed(row.references)]
    keys = [key for key in map(our_message, filter(None, replied_to)) if key]
    messages = {message.pk: message for message in OutgoingMessage.objects.filter(pk__in=keys)}
    message = next((messages[key] for key in keys if key in messages), None)
    if message is not None:
        row.about, row.thread = message.about, message.thread
        return
    if not row.sender:
        return
    same_sender = IncomingMessage.objects.filter(sender__same_address=row.sender).order_by("-arrived_at")
    earlier = same_sender.filter(message_id__in=list(filter(None, replied_to))).exclude(about="", thread="").first()
    if earlier is not None:
        row.about, row.thread = earlier.about, earlier.thread
    elif row.message_id:  # a reply to this mail may have been read before it; the mail still counts on its own
        is_reply = Q(in_reply_to=row.message_id) | Q(references__contains=[row.message_id])
        row.thread = same_sender.filter(is_reply).exclude(thread="").values_list("thread", flat=True).first() or ""


def _file_under_conversation(row: IncomingMessage, thread: str) -> None:
    conversation = Conversation.objects.filter(reference=thread).first()
    if conversation is not None:
        row.about, row.thread = conversation.about, thread


def _is_about_open_request(row: IncomingMessage) -> bool:
    """Whether the mail replies about an open request, and so is no new cancellation."""
    return bool(row.about) and declared(row.about).filter(state__in=OPEN).exists()


def _is_below_answer_limit(row: IncomingMessage, now: datetime) -> bool:
    recent = OutgoingMessage.objects.filter(recipient__same_address=row.sender, created_at__gt=now - timedelta(days=1))
    return recent.filter(kind="mail_too_large").count() < MAX_AUTOMATIC_ANSWERS


def _submit_requests(row: IncomingMessage, mail: ReadMail, words: str, recognised: Recognised, now: datetime) -> None:
    """Submits a request for each account number or subscription number in the mail, or one for the sender.

    A mail whose sender is not authenticated may be written in anybody's name, like a form: its network is limited.
    """
    network = "" if row.checked == Checked.PASSED else mail.client
    holder = accounts_at(row.sender).first()
    references = []
    for number in recognised.numbers or ("",):
        key = uuid5(row.pk, number)
        declaration = declared_by_mail(
            row,
            email=fold_address(row.sender),
            words=words,
            holder=holder,
            account_number=number[:40],
            username=recognised.username[:150] if len(recognised.numbers) < 2 else "",
            kind=Kind(recognised.kind),
            requested_end=recognised.requested_end,
            end_unread=recognised.end_unread,
            language=recognised.language or (holder.language if holder else settings.LANGUAGE_CODE),
            sent_at=mail.sent_at,
        )
        request = submit_by_mail(declaration=declaration, submission_key=key, mail=row, now=now, network=network)
        references.append(request.declaration)
    row.about = references[0]
    row.outcome = f"A cancellation: {', '.join(references)}."


def _open_conversation(row: IncomingMessage, todo: Todo, recognised: Recognised | None, now: datetime) -> Conversation:
    request = declared(row.about).first() if row.about else None
    holder = request.account if request else None
    accounts = list(accounts_at(row.sender)[:2]) if row.sender else []
    holder = holder or (accounts[0] if len(accounts) == 1 else None)
    language = (recognised.language if recognised else "") or (request.language if request else "")
    conversation = open_conversation(
        thread=row.thread,
        todo=todo,
        email=fold_address(row.sender),
        name=row.sender_name,
        subject=row.subject,
        language=language_for(language or (holder.language if holder else settings.LANGUAGE_CODE)),
        about=row.about,
        request=request,
        account=holder,
        at=row.arrived_at,
        now=now,
    )
    row.thread = conversation.reference
    return conversation


def _set_aside(key: UUID, error: str, now: datetime) -> tuple[()]:
    """Sets the mail aside with the parts that can be read, unless reading it seems to kill the worker."""
    row = IncomingMessage.objects.select_for_update().get(pk=key)
    if row.state == ReadState.WAITING:
        if row.attempts <= MOST_ATTEMPTS:
            try:
                with transaction.atomic():
                    return _save_set_aside(row, error, now, with_text=True)
            except OperationalError:
                raise
            except Exception:
                log.info("Mail %s is set aside without its text.", key)
                row.refresh_from_db()
        _save_set_aside(row, error, now, with_text=False)
    return ()


def _save_set_aside(row: IncomingMessage, error: str, now: datetime, *, with_text: bool) -> tuple[()]:
    if with_text:
        read_into_row(row)
    _leave_to_staff(row, error, now)
    row.save()
    return ()


def _leave_to_staff(row: IncomingMessage, error: str, now: datetime) -> None:
    """Marks the mail, without saving it, and opens a task with its time of arrival."""
    row.state, row.last_error = ReadState.SET_ASIDE, replace_unkeepable(error)[:2000]
    row.outcome = "It could not be read. Waits for staff."
    _open_conversation(row, Todo.NOT_UNDERSTOOD, None, now)


READING = Work(
    name="mails.read",
    task="mail.read",
    label="read a mail",
    due=waiting_mails,
    process=lease,
    batch=1,
    order=("arrived_at", "pk"),
    set_aside=_set_aside,
)
