"""Erasing personal data: on request, with holds (GDPR, article 17), and after the periods of the settings.

What the company has to keep (payments, dates, decisions, states, sums) stays under the account's number; names,
addresses, words and files go, from the rows and from their history. The chain of receipts stays whole: a
receipt keeps its number, its seals and the hash of its PDF, so that the file in the customer's hand can still
be checked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pgtrigger
from django.conf import settings
from django.db import transaction
from django.db.models import Model, Q, QuerySet
from pghistory.models import Context

from accounts.history import recorded
from accounts.models import Account, User
from accounts.permissions import permitted
from billing.models import Refund, TransferBatch
from cancellations.models import (
    Attachment,
    BegunForm,
    CancellationRequest,
    Conversation,
    Erasure,
    Hold,
    Note,
    Receipt,
    Termination,
)
from cancellations.models.states import RequestState
from cancellations.queries.personal_data import holds_on, retained_long_enough
from cancellations.services.common import RequestRefused
from messaging.models import IncomingMessage, MessageState, OutgoingMessage, ReadState

ERASED = "(erased)"
BY_RETENTION = "The period for which we keep it is over."
BATCH = 100
FORMS_KEPT = timedelta(days=732)  # as far back as the dashboard looks; nobody is named in them
# The guards that say «this never changes», which hold for everybody but the law
GUARDS = (
    "cancellations.CancellationRequest:request_declaration_stays",
    "cancellations.CancellationRequestEvent:append_only",
    "cancellations.Termination:termination_case_stays",
    "cancellations.TerminationEvent:append_only",
    "cancellations.Attachment:attachment_stays",
    "cancellations.Receipt:receipt_content_stays",
    "cancellations.Receipt:receipt_pdf_stays",
    "accounts.AccountEvent:append_only",
    "billing.RefundEvent:append_only",
    "billing.TransferBatch:batch_stays",
    "cancellations.HoldEvent:append_only",
    "cancellations.Note:note_stays",
    "cancellations.ConversationEvent:append_only",
    "messaging.IncomingMessage:mail_as_it_came_stays",
)
REQUEST_WORDS = (
    "name_given", "username_given", "words", "cause", "refund_reason", "survey_words", "kind_ground",
    "decision_words", "notice_waived_ground", "enforcement_error",
)  # fmt: skip
REFUND_WORDS = ("customer_reason", "proposal_ground", "decision_ground", "computed_ground", "failure",
                "payee_name", "payee_account")  # fmt: skip
CONVERSATION_WORDS = ("name", "subject", "closing_words")
TERMINATION_WORDS = ("description", "evidence", "refund_ground", "settled_ground")


@permitted("cancellations.hold_data")
@transaction.atomic
def place_hold(*, account: Account, by: User, ground: str, now: datetime) -> Hold:
    """Keeps the account's data from being erased until it is lifted. Raises RequestRefused without a ground."""
    if not ground.strip():
        raise RequestRefused("State the ground for keeping the data, such as a claim in court.")
    with recorded("hold", actor="staff", by=by.pk, why=ground):
        return Hold.objects.create(account=account, ground=ground.strip(), placed_at=now, placed_by=by)


@permitted("cancellations.hold_data")
@transaction.atomic
def lift_hold(*, hold: Hold, by: User, ground: str, now: datetime) -> Hold:
    """Raises RequestRefused without a ground, and where it was lifted already."""
    hold = Hold.objects.select_for_update().get(pk=hold.pk)
    if hold.lifted_at is not None:
        raise RequestRefused("This hold was lifted already.")
    if not ground.strip():
        raise RequestRefused("State the ground for lifting the hold.")
    hold.lifted_at, hold.lifted_by, hold.lifted_ground = now, by, ground.strip()
    with recorded("lift", actor="staff", by=by.pk, why=ground):
        hold.save()
    return hold


@permitted("cancellations.erase_data")
@transaction.atomic
def erase(*, account: Account, by: User | None, ground: str, now: datetime) -> Erasure:
    """Erases the account’s personal data, once and for good. Raises RequestRefused where something is in the way."""
    account = Account.objects.select_for_update().get(pk=account.pk)
    if not ground.strip():
        raise RequestRefused("State the ground for erasing: it is kept with the record of it.")
    if account.erased_at is not None:
        raise RequestRefused("The data of this account was erased already.")
    if reasons := holds_on(account, now=now):
        raise RequestRefused(" ".join(reasons))
    actor = {"actor": "staff", "by": by.pk} if by else {"actor": "system"}
    with recorded("erase", **actor):
        with pgtrigger.ignore(*GUARDS):
            rows = _erase_rows(account, now)
        return Erasure.objects.create(
            account=account, erased_at=now, erased_by=by, ground=ground.strip(), rows=dict(rows)
        )


def retain(*, now: datetime) -> Counter[str]:
    """What the periods of the settings ask for, a batch at a time: accounts, unproven requests, messages."""
    done: Counter[str] = Counter()
    for account in retained_long_enough(now)[:BATCH]:
        try:
            erase(account=account, by=None, ground=BY_RETENTION, now=now)
        except RequestRefused:  # something came in between
            continue
        done["accounts"] += 1
    done["requests"] = _forget_unproven(now)
    done["messages"] = _forget_messages(now)
    BegunForm.objects.filter(begun_at__lt=now - FORMS_KEPT).delete()
    return done


def _erase_rows(account: Account, now: datetime) -> Counter[str]:
    email, nobody = account.email, f"erased-{account.pk}@erased.invalid"
    requests = CancellationRequest.objects.filter(account=account)
    references = [*requests.values_list("declaration", flat=True).distinct()]
    terminations = Termination.objects.filter(account=account)
    references += [*terminations.values_list("reference", flat=True), account.account_number]
    refunds = Refund.objects.filter(account=account)
    references += refunds.values_list("reference", flat=True)
    done = Counter(
        requests=_wipe(requests, REQUEST_WORDS, {"email_given": nobody}),
        refunds=_wipe(refunds, REFUND_WORDS, {"notify": nobody}),
        transfers=TransferBatch.objects.filter(items__refund__in=refunds).update(file=b""),
        terminations=_wipe(terminations, TERMINATION_WORDS, {}),
        holds=_wipe(Hold.objects.filter(account=account), ("ground", "lifted_ground"), {}),
        receipts=_erase_receipts(Receipt.objects.filter(request__account=account), now),
        notes=Note.objects.filter(request__account=account).update(words=ERASED),
        files=_erase_files(Attachment.objects.filter(Q(request__account=account) | Q(termination__account=account))),
        conversations=_wipe(
            Conversation.objects.filter(Q(account=account) | Q(email__iexact=email) | Q(about__in=references)),
            CONVERSATION_WORDS,
            {"email": nobody},
        ),
        mails=_erase_mails(IncomingMessage.objects.filter(Q(sender__iexact=email) | Q(about__in=references))),
        messages=_erase_messages(
            OutgoingMessage.objects.filter(Q(recipient__iexact=email) | Q(about__in=references)), nobody
        ),
    )
    if not Account.objects.filter(email__iexact=email).exclude(pk=account.pk).exists():
        done["people"] = User.objects.filter(email=email.strip().lower(), is_staff=False).delete()[0]
    gone = {"name": ERASED, "email": nobody, "username": f"erased-{account.pk}"}
    Account.objects.filter(pk=account.pk).update(**gone, erased_at=now)
    _wipe_history(Account, Account.objects.filter(pk=account.pk), (), gone)
    return done


def _wipe(rows: QuerySet[Any], words: Iterable[str], fixed: Mapping[str, str]) -> int:
    """Words that are there become «(erased)», fixed values take the place of what they name; also in the history."""
    for name in words:
        rows.exclude(**{name: ""}).update(**{name: ERASED})
    if fixed:
        rows.update(**fixed)
    _wipe_history(rows.model, rows, words, fixed)
    return rows.count()


def _wipe_history(model: type[Model], rows: QuerySet[Any], words: Iterable[str], fixed: Mapping[str, str]) -> None:
    events: Any = model.events.rel.related_model  # type: ignore[attr-defined]  # made by pghistory
    kept = events.objects.filter(pgh_obj_id__in=rows.values("pk"))
    for name in words:
        kept.exclude(**{name: ""}).update(**{name: ERASED})
    if fixed:
        kept.update(**fixed)
    for context in Context.objects.filter(pk__in=kept.values("pgh_context_id")):
        if context.metadata.get("why") and context.metadata.get("verb") != "erase":
            context.metadata["why"] = ERASED
            context.save(update_fields=["metadata"])


def _erase_receipts(receipts: QuerySet[Receipt], now: datetime) -> int:
    return receipts.update(content="", pdf=None, erased_at=now)


def _erase_files(files: QuerySet[Attachment]) -> int:
    return files.update(name=ERASED, content=b"", size=0)


def _erase_messages(messages: QuerySet[OutgoingMessage], nobody: str) -> int:
    return messages.update(recipient=nobody, subject=ERASED, text=ERASED, html="", last_error="")


def _erase_mails(mails: QuerySet[IncomingMessage]) -> int:
    """What somebody wrote to us; that a mail came, and when, stays."""
    return mails.update(
        raw=b"", sender="erased@erased.invalid", sender_name="", subject=ERASED, text=ERASED, files=[], remarks=[],
        message_id="", in_reply_to="", references=[], digest="", last_error="", outcome=ERASED,
    )  # fmt: skip


def _forget_unproven(now: datetime) -> int:
    """Requests that nobody proved: there is no account that could be asked for them."""
    if not settings.RETENTION_UNPROVEN_DAYS:
        return 0
    over = now - timedelta(days=settings.RETENTION_UNPROVEN_DAYS)
    settled = (RequestState.EXPIRED, RequestState.WITHDRAWN, RequestState.DECLINED)
    stale = CancellationRequest.objects.filter(account__isnull=True, state__in=settled, state_changed_at__lt=over)
    keys = list(stale.exclude(email_given__endswith="@erased.invalid").values_list("pk", flat=True)[:BATCH])
    if not keys:
        return 0
    rows = CancellationRequest.objects.filter(pk__in=keys)
    with transaction.atomic(), recorded("erase", actor="system"), pgtrigger.ignore(*GUARDS):
        references = list(rows.values_list("declaration", flat=True))
        _erase_receipts(Receipt.objects.filter(request__in=keys), now)
        _erase_files(Attachment.objects.filter(request__in=keys))
        Note.objects.filter(request__in=keys).update(words=ERASED)
        _erase_messages(OutgoingMessage.objects.filter(about__in=references), "erased@erased.invalid")
        _erase_mails(IncomingMessage.objects.filter(about__in=references))
        conversations = Conversation.objects.filter(about__in=references)
        _wipe(conversations, CONVERSATION_WORDS, {"email": "erased@erased.invalid"})
        words = (*REQUEST_WORDS, "account_number_given")
        return _wipe(rows, words, {"email_given": "erased@erased.invalid"})


def _forget_messages(now: datetime) -> int:
    """The text of messages that went out long ago; that they did, and about what, stays."""
    if not settings.RETENTION_MESSAGE_DAYS:
        return 0
    over = now - timedelta(days=settings.RETENTION_MESSAGE_DAYS)
    old = OutgoingMessage.objects.filter(state=MessageState.SENT, sent_at__lt=over).exclude(text=ERASED)
    keys = list(old.values_list("pk", flat=True)[: BATCH * 10])
    count = OutgoingMessage.objects.filter(pk__in=keys).update(text=ERASED, html="")
    came = IncomingMessage.objects.exclude(state=ReadState.WAITING).filter(arrived_at__lt=over).exclude(text=ERASED)
    mails = list(came.values_list("pk", flat=True)[:BATCH])
    with pgtrigger.ignore("messaging.IncomingMessage:mail_as_it_came_stays"):
        return count + _erase_mails(IncomingMessage.objects.filter(pk__in=mails))
