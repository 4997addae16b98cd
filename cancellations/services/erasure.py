"""Erasing personal data: on request, unless a hold prevents it (GDPR, article 17), and after the retention periods.

What the company has to keep (payments, dates, decisions, states, amounts) stays under the account number. Names,
addresses, free text and files are erased from the rows and from their history. A receipt keeps its number, its
seals and the hash of its PDF, so that the chain stays intact and the customer's file can still be checked.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

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
    ScanState,
    Termination,
)
from cancellations.models.erasing import ERASED, overwrite
from cancellations.models.states import RequestState
from cancellations.queries.personal_data import accounts_past_retention, erasure_blockers
from cancellations.services.common import RequestRefused
from messaging.addresses import fold_address
from messaging.due import UNLIMITED, Run, Work
from messaging.models import IncomingMessage, MessageState, OutgoingMessage, ReadState

RETENTION_GROUND = "The retention period is over."
BATCH = 100
FORMS_KEPT_FOR = timedelta(days=732)  # as far back as the dashboard goes; they hold no personal data
REQUEST_WORDS = (
    "name_given", "username_given", "words", "cause", "refund_reason", "survey_words", "kind_ground", "end_unread",
    "decision_words", "notice_waived_ground", "enforcement_error",
)  # fmt: skip
REFUND_WORDS = ("customer_reason", "proposal_ground", "decision_ground", "computed_ground", "failure",
                "payee_name", "payee_account")  # fmt: skip
CONVERSATION_WORDS = ("name", "subject", "closing_words")
TERMINATION_WORDS = ("description", "evidence", "refund_ground", "settled_ground")


@permitted("cancellations.hold_data")
@transaction.atomic
def place_hold(*, account: Account, by: User, ground: str, now: datetime) -> Hold:
    """Prevents the erasure of the account's data until the hold is lifted. Raises RequestRefused without a ground."""
    if not ground.strip():
        raise RequestRefused("State the ground for keeping the data, such as a legal claim.")
    with recorded("hold", actor="staff", by=by.pk, why=ground):
        return Hold.objects.create(account=account, ground=ground.strip(), placed_at=now, placed_by=by)


@permitted("cancellations.hold_data")
@transaction.atomic
def lift_hold(*, hold: Hold, by: User, ground: str, now: datetime) -> Hold:
    """Lifts a hold. Raises RequestRefused without a ground, or if it is already lifted."""
    hold = Hold.objects.select_for_update().get(pk=hold.pk)
    if hold.lifted_at is not None:
        raise RequestRefused("This hold is already lifted.")
    if not ground.strip():
        raise RequestRefused("State the ground for lifting the hold.")
    hold.lifted_at, hold.lifted_by, hold.lifted_ground = now, by, ground.strip()
    with recorded("lift", actor="staff", by=by.pk, why=ground):
        hold.save()
    return hold


@permitted("cancellations.erase_data")
@transaction.atomic
def erase(*, account: Account, by: User | None, ground: str, now: datetime) -> Erasure:
    """Erases the account’s personal data for good. Raises RequestRefused if something blocks it."""
    account = Account.objects.select_for_update().get(pk=account.pk)
    if not ground.strip():
        raise RequestRefused("State the ground for erasing. It is stored with the record of the erasure.")
    if account.erased_at is not None:
        raise RequestRefused("The data of this account is already erased.")
    if blockers := erasure_blockers(account, now=now):
        raise RequestRefused(" ".join(blockers))
    actor = {"actor": "staff", "by": by.pk} if by else {"actor": "system"}
    with recorded("erase", **actor):
        rows = _erase_rows(account, now)
        return Erasure.objects.create(
            account=account, erased_at=now, erased_by=by, ground=ground.strip(), rows=dict(rows)
        )


def apply_retention(*, now: datetime, seconds: float = UNLIMITED) -> Counter[str]:
    """Erases accounts, unproven requests and messages whose retention period is over. Returns how many of each."""
    run = Run(now, seconds=seconds)
    counts = Counter(
        accounts=sum(ACCOUNTS.results(run)),
        requests=sum(UNPROVEN.results(run)),
        messages=sum(OLD_MESSAGES.results(run)) + sum(OLD_MAILS.results(run)),
    )
    BegunForm.objects.filter(begun_at__lt=now - FORMS_KEPT_FOR).delete()
    return counts


def _erase_accounts(keys: list[int], now: datetime) -> Iterator[int]:
    for account in Account.objects.filter(pk__in=keys):
        try:
            erase(account=account, by=None, ground=RETENTION_GROUND, now=now)
        except RequestRefused:  # something blocks it that is still going on
            continue
        yield 1


def _erase_rows(account: Account, now: datetime) -> Counter[str]:
    email, placeholder = account.email, f"erased-{account.pk}@erased.invalid"
    requests = CancellationRequest.objects.filter(account=account)
    references = [*requests.values_list("declaration", flat=True).distinct()]
    terminations = Termination.objects.filter(account=account)
    references += [*terminations.values_list("reference", flat=True), account.account_number]
    refunds = Refund.objects.filter(account=account)
    references += refunds.values_list("reference", flat=True)
    counts = Counter(
        requests=_erase_fields(requests, REQUEST_WORDS, {"email_given": placeholder}),
        refunds=_erase_fields(refunds, REFUND_WORDS, {"notify": placeholder}),
        transfers=overwrite(TransferBatch.objects.filter(items__refund__in=refunds).distinct(), {"file": b""}),
        terminations=_erase_fields(terminations, TERMINATION_WORDS, {}),
        holds=_erase_fields(Hold.objects.filter(account=account), ("ground", "lifted_ground"), {}),
        receipts=_erase_receipts(Receipt.objects.filter(request__account=account), now),
        notes=overwrite(Note.objects.filter(request__account=account), {"words": ERASED}),
        files=_erase_files(Attachment.objects.filter(Q(request__account=account) | Q(termination__account=account))),
        conversations=_erase_fields(
            Conversation.objects.filter(Q(account=account) | Q(email__same_address=email) | Q(about__in=references)),
            CONVERSATION_WORDS,
            {"email": placeholder},
        ),
        mails=_erase_mails(IncomingMessage.objects.filter(Q(sender__same_address=email) | Q(about__in=references))),
        messages=_erase_messages(
            OutgoingMessage.objects.filter(Q(recipient__same_address=email) | Q(about__in=references)), placeholder
        ),
    )
    if not Account.objects.filter(email__same_address=email).exclude(pk=account.pk).exists():
        counts["people"] = User.objects.filter(email=fold_address(email), is_staff=False).delete()[0]
    erased_values = {"name": ERASED, "email": placeholder, "username": f"erased-{account.pk}"}
    Account.objects.filter(pk=account.pk).update(**erased_values, erased_at=now)
    _erase_history(Account, Account.objects.filter(pk=account.pk), (), erased_values)
    return counts


def _erase_fields(rows: QuerySet[Any], fields: Iterable[str], placeholders: Mapping[str, str]) -> int:
    """Overwrites `fields` with «(erased)» if not empty, others with their placeholders; also in the history."""
    rows = rows.model._base_manager.filter(pk__in=list(rows.values_list("pk", flat=True)))  # not by what is erased
    for name in fields:
        overwrite(rows.exclude(**{name: ""}), {name: ERASED})
    if placeholders:
        overwrite(rows, placeholders)
    _erase_history(rows.model, rows, fields, placeholders)
    return rows.count()


def _erase_history(
    model: type[Model], rows: QuerySet[Any], fields: Iterable[str], placeholders: Mapping[str, str]
) -> None:
    events: Any = model.events.rel.related_model  # type: ignore[attr-defined]  # made by pghistory
    history = events.objects.filter(pgh_obj_id__in=rows.values("pk"))
    for name in fields:
        overwrite(history.exclude(**{name: ""}), {name: ERASED})
    if placeholders:
        overwrite(history, placeholders)
    for context in Context.objects.filter(pk__in=history.values("pgh_context_id")):
        if context.metadata.get("why") and context.metadata.get("verb") != "erase":
            context.metadata["why"] = ERASED
            context.save(update_fields=["metadata"])


def _erase_receipts(receipts: QuerySet[Receipt], now: datetime) -> int:
    return overwrite(receipts, {"content": "", "pdf": None, "erased_at": now})


def _erase_files(files: QuerySet[Attachment]) -> int:
    values = {"name": ERASED, "content": b"", "size": 0}
    return overwrite(files, {**values, "scan_state": ScanState.NOT_CHECKED, "scan_due_at": None, "scan_result": ""})


def _erase_messages(messages: QuerySet[OutgoingMessage], placeholder: str) -> int:
    values = {"recipient": placeholder, "subject": ERASED, "text": ERASED, "html": "", "last_error": ""}
    return overwrite(messages, values)


def _erase_mails(mails: QuerySet[IncomingMessage]) -> int:
    """Erases the content of mails. Only the fact and the time of their arrival stay."""
    empty_texts = ("sender_name", "message_id", "in_reply_to", "html", "digest", "last_error")
    values: dict[str, Any] = {**dict.fromkeys(empty_texts, ""), **dict.fromkeys(("subject", "text", "outcome"), ERASED)}
    values |= {"raw": b"", "sender": "erased@erased.invalid", "files": [], "remarks": [], "references": []}
    return overwrite(mails, values)


def _unproven_requests(now: datetime) -> QuerySet[CancellationRequest]:
    """Returns old requests that were never proven. They belong to no account, so nobody can request their erasure."""
    if not settings.RETENTION_UNPROVEN_DAYS:
        return CancellationRequest.objects.none()
    cutoff = now - timedelta(days=settings.RETENTION_UNPROVEN_DAYS)
    settled = (RequestState.EXPIRED, RequestState.WITHDRAWN, RequestState.DECLINED)
    expired = CancellationRequest.objects.filter(account__isnull=True, state__in=settled, state_changed_at__lt=cutoff)
    return expired.exclude(email_given__endswith="@erased.invalid").order_by("pk")


def _erase_unproven_requests(keys: list[int], now: datetime) -> list[int]:
    rows = CancellationRequest.objects.filter(pk__in=keys)
    with recorded("erase", actor="system"):
        references = list(rows.values_list("declaration", flat=True))
        _erase_receipts(Receipt.objects.filter(request__in=keys), now)
        _erase_files(Attachment.objects.filter(request__in=keys))
        overwrite(Note.objects.filter(request__in=keys), {"words": ERASED})
        _erase_messages(OutgoingMessage.objects.filter(about__in=references), "erased@erased.invalid")
        _erase_mails(IncomingMessage.objects.filter(about__in=references))
        conversations = Conversation.objects.filter(about__in=references)
        _erase_fields(conversations, CONVERSATION_WORDS, {"email": "erased@erased.invalid"})
        fields = (*REQUEST_WORDS, "account_number_given")
        return [_erase_fields(rows, fields, {"email_given": "erased@erased.invalid"})]


def _message_cutoff(now: datetime) -> datetime:
    days = settings.RETENTION_MESSAGE_DAYS
    return now - timedelta(days=days) if days else datetime.min.replace(tzinfo=UTC)


def _old_messages(now: datetime) -> QuerySet[OutgoingMessage]:
    sent = OutgoingMessage.objects.filter(state=MessageState.SENT, sent_at__lt=_message_cutoff(now))
    return sent.exclude(text=ERASED)


def _erase_old_messages(keys: list[UUID], now: datetime) -> list[int]:
    """Erases the text. When it was sent, and about what, stays."""
    return [OutgoingMessage.objects.filter(pk__in=keys).update(text=ERASED, html="")]


def _old_mails(now: datetime) -> QuerySet[IncomingMessage]:
    settled = IncomingMessage.objects.exclude(state=ReadState.WAITING)
    return settled.filter(arrived_at__lt=_message_cutoff(now)).exclude(text=ERASED)


def _erase_old_mails(keys: list[UUID], now: datetime) -> list[int]:
    return [_erase_mails(IncomingMessage.objects.filter(pk__in=keys))]


TASK = "cancellations.retain"
ACCOUNTS = Work(
    name="accounts.erase",
    task=TASK,
    label="erase an account after its retention period",
    due=accounts_past_retention,
    process=_erase_accounts,
    batch=1,
    order=("pk",),
)
UNPROVEN = Work(
    name="requests.erase_unproven",
    task=TASK,
    label="erase a request that was never proven",
    due=_unproven_requests,
    process=_erase_unproven_requests,
    batch=BATCH,
    order=("pk",),
)
OLD_MESSAGES = Work(
    name="messages.erase_old",
    task=TASK,
    label="erase the text of an old message",
    due=_old_messages,
    process=_erase_old_messages,
    batch=BATCH * 10,
)
OLD_MAILS = Work(
    name="mails.erase_old",
    task=TASK,
    label="erase the text of an old mail",
    due=_old_mails,
    process=_erase_old_mails,
    batch=BATCH,
)
