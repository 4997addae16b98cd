"""Reading the mail that came in: what is a cancellation becomes a request, everything else a conversation.

A mail is read in one transaction: all that becomes of it, or nothing. A worker that is killed over it leaves it as
it was; a mail that cannot be understood is set aside with a task for staff, and holds up none behind it.
"""

import logging
from datetime import datetime, timedelta
from uuid import uuid5

from django.conf import settings
from django.db import OperationalError, transaction

from billing.rules.periods import local_date
from cancellations.letters.conversations import send_too_large
from cancellations.models import Conversation, Kind, Todo
from cancellations.models.states import OPEN
from cancellations.queries.policies import NoPolicyInForce
from cancellations.queries.requests import declared
from cancellations.rules.recognition import MOST_NUMBERS, Recognised, recognise
from cancellations.services.common import accounts_at, open_conversation
from cancellations.services.submission import declared_by_mail, send_proof_again, submit_by_mail
from messaging.addresses import our_message, reference_in
from messaging.inbound.mime import Mail
from messaging.inbound.quoting import own_words
from messaging.inbound.sorting import report_of
from messaging.models import IncomingMessage, OutgoingMessage, ReadState, Sort
from messaging.runs import Run
from messaging.services.inbox import MOST_ATTEMPTS, claim_waiting, earlier_copy, parse_into_row
from messaging.services.outbox import record_bounce
from messaging.waking import wake
from messaging.wording import language_for

log = logging.getLogger(__name__)
RUN_SECONDS = 120
WITHOUT_POLICY = timedelta(minutes=5)
MOST_ANSWERS = 5  # by themselves, to one address in a day: whoever writes in somebody's name floods nobody
LONGEST_ADDRESS = 254  # of a request


def read_due(*, now: datetime) -> int:
    """Reads what waits, several workers at once if need be; returns how many mails were read."""
    done, run = 0, Run(now, seconds=RUN_SECONDS)
    while (message := claim_waiting(now=run.now)) is not None:
        _read(message, now)
        done += 1
        if run.is_over:
            wake("mail.read")
            break
    return done


def _read(message: IncomingMessage, now: datetime) -> None:
    try:
        if message.attempts > MOST_ATTEMPTS:
            raise RuntimeError(f"Reading it was begun {MOST_ATTEMPTS} times and never ended.")
        with transaction.atomic():
            row = IncomingMessage.objects.select_for_update().get(pk=message.pk)
            if row.state == ReadState.WAITING:
                row.state = ReadState.READ
                _take_in(row, parse_into_row(row), now)
                row.save()
    except OperationalError:
        raise  # the database's trouble, not the mail's: it is read later
    except NoPolicyInForce:
        waiting = IncomingMessage.objects.filter(pk=message.pk, state=ReadState.WAITING)
        waiting.update(due_at=now + WITHOUT_POLICY, attempts=0, last_error="No policy version is in force yet.")
    except Exception as error:
        log.exception("Mail %s could not be read and is set aside.", message.pk)
        _set_aside(message, error, now)


def _take_in(row: IncomingMessage, mail: Mail, now: datetime) -> None:
    original = earlier_copy(row)
    if original is not None:
        row.state, row.duplicate_of = ReadState.DUPLICATE, original
        row.about, row.thread, row.outcome = original.about, original.thread, "It had come before."
    elif row.sort == Sort.BOUNCE:
        _take_report(row, mail, now)
    elif row.sort == Sort.OWN:
        row.outcome = "We wrote it ourselves."
    else:
        _take_words(row, mail, now)


def _take_report(row: IncomingMessage, mail: Mail, now: datetime) -> None:
    report = report_of(mail)
    if report is None or not report.failed:
        row.outcome = "A report that changes nothing, such as of a delay."
        return
    message = record_bounce(message_id=report.message_id, recipient=report.recipient, words=report.words, now=now)
    if message is None:
        row.outcome = "It is about no message of ours."
        return
    row.about, row.thread = message.about, message.thread
    row.outcome = f"The message «{message.subject}»"[:200] + " did not arrive."
    wake("mail.failed")


def _take_words(row: IncomingMessage, mail: Mail, now: datetime) -> None:
    _file(row, mail)
    words, forwarded = own_words(mail.text)
    on = local_date(row.arrived_at, settings.COMPANY_TIME_ZONE)
    found = recognise(mail.subject, words, example=settings.ACCOUNT_NUMBER_EXAMPLE, received_on=on)
    if row.sort in (Sort.AUTOMATIC, Sort.LIST):  # never answered by itself (RFC 3834, 2)
        if found.sure and not row.about:
            _converse(row, Todo.MAYBE, found, now)
            row.outcome = "A machine wrote it, but it reads like a cancellation."
        else:
            row.outcome = "Not answered: a machine wrote it."
        return
    subject_alone = not words and forwarded
    too_large = not row.is_whole
    clear = found.sure and 0 < len(row.sender) <= LONGEST_ADDRESS and len(found.numbers) <= MOST_NUMBERS
    if clear and not subject_alone and not _open_request(row) and _may_be_answered(row, now):
        _cancel(row, words or mail.text, found, now)
        if too_large:  # it counts, but its files are not here
            send_too_large(row, _converse(row, Todo.TOO_LARGE, found, now), now=now)
        return
    todo = Todo.TOO_LARGE if too_large else Todo.TAKES_BACK if found.takes_back else Todo.ANSWER
    if todo == Todo.ANSWER and (found.maybe or found.sure) and not row.about:
        todo = Todo.MAYBE
    conversation = _converse(row, todo, found, now)
    if too_large and row.sender and _may_be_answered(row, now):
        send_too_large(row, conversation, now=now)
    row.outcome = "A person has to look at it."


def _file(row: IncomingMessage, mail: Mail) -> None:
    """What it replies to: by a signed address of ours, by a Message-ID of ours, or by that of a mail sent before.

    Never by a reference in the subject, which anybody can guess or copy.
    """
    for reference in filter(None, map(reference_in, mail.recipients)):
        if reference.startswith("CV-"):
            _into(row, reference)
        else:
            row.about = reference
        return
    known = [row.in_reply_to, *reversed(row.references)]
    keys = [key for key in map(our_message, filter(None, known)) if key]
    ours = {one.pk: one for one in OutgoingMessage.objects.filter(pk__in=keys)}
    message = next((ours[key] for key in keys if key in ours), None)
    if message is not None:
        row.about, row.thread = message.about, message.thread
        return
    own = IncomingMessage.objects.filter(message_id__in=list(filter(None, known)), sender__iexact=row.sender)
    before = own.exclude(about="", thread="").order_by("-arrived_at").first() if row.sender else None
    if before is not None:
        row.about, row.thread = before.about, before.thread


def _into(row: IncomingMessage, thread: str) -> None:
    conversation = Conversation.objects.filter(reference=thread).first()
    if conversation is not None:
        row.about, row.thread = conversation.about, thread


def _open_request(row: IncomingMessage) -> bool:
    """Whether it replies to something that is still open, so that it is no cancellation of its own."""
    return bool(row.about) and declared(row.about).filter(state__in=OPEN).exists()


def _may_be_answered(row: IncomingMessage, now: datetime) -> bool:
    lately = OutgoingMessage.objects.filter(recipient__iexact=row.sender, created_at__gt=now - timedelta(days=1))
    return lately.exclude(in_reply_to="").filter(kind__in=["prove_address", "mail_too_large"]).count() < MOST_ANSWERS


def _cancel(row: IncomingMessage, words: str, found: Recognised, now: datetime) -> None:
    """A request for each account or contract that is named, or one for the sender; each waits for proof."""
    holder = accounts_at(row.sender).first()
    told = []
    for number in found.numbers or ("",):
        key = uuid5(row.pk, number)
        declaration = declared_by_mail(
            row,
            email=row.sender.lower(),
            words=words,
            holder=holder,
            account_number=number[:40],
            username=found.username[:150] if len(found.numbers) < 2 else "",
            kind=Kind(found.kind),
            requested_end=found.requested_end,
            language=found.language or (holder.language if holder else settings.LANGUAGE_CODE),
        )
        request = submit_by_mail(declaration=declaration, submission_key=key, mail=row, now=now)
        if request.submission_key != key:
            send_proof_again(request=request, now=now)
        told.append(request.declaration)
    row.about = told[0]
    row.outcome = f"A cancellation: {', '.join(told)}."


def _converse(row: IncomingMessage, todo: Todo, found: Recognised | None, now: datetime) -> Conversation:
    request = declared(row.about).first() if row.about else None
    holder = request.account if request else None
    held = list(accounts_at(row.sender)[:2]) if row.sender else []
    holder = holder or (held[0] if len(held) == 1 else None)
    language = (found.language if found else "") or (request.language if request else "")
    conversation = open_conversation(
        thread=row.thread,
        todo=todo,
        email=row.sender.lower(),
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


def _set_aside(message: IncomingMessage, error: Exception, now: datetime) -> None:
    """With what can be read of it, so that staff see whose it is; not where reading it kills the reader."""
    if message.attempts <= MOST_ATTEMPTS:
        try:
            return _keep_aside(message, error, now, with_words=True)
        except OperationalError:
            raise
        except Exception:
            log.info("Mail %s is set aside without its words.", message.pk)
    return _keep_aside(message, error, now, with_words=False)


def _keep_aside(message: IncomingMessage, error: Exception, now: datetime, *, with_words: bool) -> None:
    with transaction.atomic():
        row = IncomingMessage.objects.select_for_update().get(pk=message.pk)
        if row.state != ReadState.WAITING:
            return
        if with_words:
            parse_into_row(row)
        row.state, row.last_error = ReadState.SET_ASIDE, f"{type(error).__name__}: {error}".replace("\x00", "")[:2000]
        row.outcome = "It could not be read. A person has to look at it."
        _converse(row, Todo.NOT_UNDERSTOOD, None, now)
        row.save()
