"""Filters and the search of the queue."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Account, User
from billing.rules.periods import local_date
from cancellations.models import CancellationRequest, Kind
from cancellations.models.states import OPEN, ConversationState, RequestState
from cancellations.queries.requests import overdue_requests
from cancellations.rules.jurisdictions import PROFILES
from messaging.models import NOT_ARRIVED, OutgoingMessage
from messaging.numbers import tidy_reference

MAX_MATCHES = 500
UNFINISHED = (ConversationState.OPEN, ConversationState.WAITING)


class Due(admin.SimpleListFilter):
    title, parameter_name = "due", "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("overdue", "overdue: staff have to act"),
            ("today", "by the end of today"),
            ("week", "within 7 days"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
        now = timezone.now()
        if self.value() == "overdue":
            return overdue_requests(now, queryset)
        if days := {"today": 1, "week": 8}.get(self.value() or ""):
            return queryset.filter(state__in=OPEN, due_at__lt=_midnight_after(now, days))
        return queryset


def _midnight_after(now: datetime, days: int) -> datetime:
    zone = ZoneInfo(settings.COMPANY_TIME_ZONE)
    return datetime.combine(local_date(now, str(zone)) + timedelta(days=days), time.min, tzinfo=zone)


class Assigned(admin.SimpleListFilter):
    title, parameter_name = "assigned to", "assigned"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        people = request_workers().exclude(pk=request.user.pk or 0)
        return [("me", "me"), ("nobody", "nobody"), *((str(person.pk), str(person)) for person in people)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
        value = self.value() or ""
        if value == "nobody":
            return queryset.filter(assigned_to__isnull=True, state__in=[*OPEN, *UNFINISHED])
        if value == "me":
            return queryset.filter(assigned_to=request.user.pk)
        return queryset.filter(assigned_to=int(value)) if value.isdecimal() and len(value) < 10 else queryset


class OnTime(admin.SimpleListFilter):
    title, parameter_name = "on time", "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "on time"), ("late", "late"), ("waived", "late, notice waived"), ("unknown", "not matched yet")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
        conditions = {
            "yes": Q(on_time=True),
            "late": Q(on_time=False, notice_waived_by__isnull=True),
            "waived": Q(notice_waived_by__isnull=False),
            "unknown": Q(on_time__isnull=True),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


class Jurisdiction(admin.SimpleListFilter):
    title, parameter_name = "jurisdiction", "law"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, code) for code in PROFILES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
        return queryset.filter(jurisdiction=self.value()) if self.value() else queryset


class Ground(admin.SimpleListFilter):
    """The ground of a for-cause cancellation: waiting for a decision, or accepted."""

    title, parameter_name = "ground", "ground"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "for cause, to be reviewed"), ("accepted", "for cause, accepted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
        conditions = {
            "open": Q(kind=Kind.FOR_CAUSE, ground_accepted=False, state__in=OPEN),
            "accepted": Q(ground_accepted=True),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


def request_workers() -> QuerySet[User]:
    """Returns active staff whose roles may claim requests."""
    return _staff_with("assign_request")


def mail_workers() -> QuerySet[User]:
    """Returns active staff whose roles may answer mail."""
    return _staff_with("answer_conversation")


def _staff_with(codename: str) -> QuerySet[User]:
    roles = Group.objects.filter(permissions__codename=codename)
    return User.objects.filter(is_staff=True, is_active=True, groups__in=roles).distinct().order_by("name", "email")


class Informed(admin.SimpleListFilter):
    """Requests whose customer did not get a message."""

    title, parameter_name = "informed", "informed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "customer not informed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
        if self.value() == "no":
            failed = OutgoingMessage.objects.filter(NOT_ARRIVED)
            return queryset.filter(declaration__in=failed.exclude(about="").values("about"))
        return queryset


def search_requests(queryset: QuerySet[CancellationRequest], term: str) -> QuerySet[CancellationRequest]:
    """Returns requests whose reference, account number, username, e-mail address or customer's name matches the term.

    Each field is searched by a query of its own, so that each can use an index.
    """
    words = term.split()
    if not words:
        return queryset
    whole = " ".join(words)
    keys: set[int] = set()
    for name in ("account_number_given", "username_given", "email_given"):
        keys.update(_keys(CancellationRequest.objects.filter(**{f"{name}__istartswith": whole})))
    keys.update(_keys(CancellationRequest.objects.filter(reference__startswith=tidy_reference(whole))))
    accounts = set(_matching_accounts(whole, words))
    keys.update(_keys(CancellationRequest.objects.filter(account__in=accounts)))
    return queryset.filter(pk__in=keys)


def _keys(rows: QuerySet[Any]) -> Iterable[int]:
    return rows.values_list("pk", flat=True)[:MAX_MATCHES]


def _matching_accounts(whole: str, words: list[str]) -> Iterable[int]:
    for name in ("account_number", "username", "email"):
        yield from _keys(Account.objects.filter(**{f"{name}__istartswith": whole}))
    yield from _keys(Account.objects.filter(account_number__same_number=whole))
    letters = ["".join(character for character in word if character.isalnum()) for word in words]
    if prefixes := [f"{word}:*" for word in letters if word]:
        query = SearchQuery(" & ".join(prefixes), search_type="raw", config="simple")
        yield from _keys(
            Account.objects.annotate(name_vector=SearchVector("name", config="simple")).filter(name_vector=query)
        )


def waiting_for(rows: QuerySet[CancellationRequest], user: User) -> QuerySet[CancellationRequest]:
    """Returns the requests in review that the user may work on next: those not assigned to somebody else."""
    return rows.filter(Q(assigned_to__isnull=True) | Q(assigned_to=user), state=RequestState.IN_REVIEW)
