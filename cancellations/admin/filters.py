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

MOST_FOUND = 500
AT_WORK = (ConversationState.OPEN, ConversationState.WAITING)


class Due(admin.SimpleListFilter):
    title, parameter_name = "due", "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("overdue", "overdue: a person has to act"),
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
        people = who_work_on_requests().exclude(pk=request.user.pk or 0)
        return [("me", "me"), ("nobody", "nobody"), *((str(one.pk), str(one)) for one in people)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
        value = self.value() or ""
        if value == "nobody":
            return queryset.filter(assigned_to__isnull=True, state__in=[*OPEN, *AT_WORK])
        if value == "me":
            return queryset.filter(assigned_to=request.user.pk)
        return queryset.filter(assigned_to=int(value)) if value.isdecimal() and len(value) < 10 else queryset


class OnTime(admin.SimpleListFilter):
    title, parameter_name = "on time", "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "on time"), ("late", "late"), ("waived", "late, notice waived"), ("unknown", "not matched yet")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
        asked = {
            "yes": Q(on_time=True),
            "late": Q(on_time=False, notice_waived_by__isnull=True),
            "waived": Q(notice_waived_by__isnull=False),
            "unknown": Q(on_time__isnull=True),
        }
        return queryset.filter(asked.get(self.value() or "", Q()))


class Jurisdiction(admin.SimpleListFilter):
    title, parameter_name = "jurisdiction", "law"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, code) for code in PROFILES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
        return queryset.filter(jurisdiction=self.value()) if self.value() else queryset


class Ground(admin.SimpleListFilter):
    """The ground for leaving at once, and where it stands."""

    title, parameter_name = "ground", "ground"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "for cause, to be looked at"), ("accepted", "for cause, accepted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
        asked = {
            "open": Q(kind=Kind.FOR_CAUSE, ground_accepted=False, state__in=OPEN),
            "accepted": Q(ground_accepted=True),
        }
        return queryset.filter(asked.get(self.value() or "", Q()))


def who_work_on_requests() -> QuerySet[User]:
    """Active staff of the roles that may claim requests."""
    return _who_may("assign_request")


def who_answer_mail() -> QuerySet[User]:
    """Active staff of the roles that may answer mail."""
    return _who_may("answer_conversation")


def _who_may(codename: str) -> QuerySet[User]:
    roles = Group.objects.filter(permissions__codename=codename)
    return User.objects.filter(is_staff=True, is_active=True, groups__in=roles).distinct().order_by("name", "email")


class Informed(admin.SimpleListFilter):
    """Requests of which a message did not arrive."""

    title, parameter_name = "informed", "informed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "customer not informed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CancellationRequest]) -> QuerySet[CancellationRequest]:
        if self.value() == "no":
            failed = OutgoingMessage.objects.filter(NOT_ARRIVED)
            return queryset.filter(declaration__in=failed.exclude(about="").values("about"))
        return queryset


def found(queryset: QuerySet[CancellationRequest], term: str) -> QuerySet[CancellationRequest]:
    """The requests that begin with the term in reference, account number, username or e-mail, or name it.

    Each field is asked by itself, so that each answer comes from an index, however many requests there are.
    """
    words = term.split()
    if not words:
        return queryset
    whole = " ".join(words)
    keys: set[int] = set()
    for name in ("account_number_given", "username_given", "email_given"):
        keys.update(_first(CancellationRequest.objects.filter(**{f"{name}__istartswith": whole})))
    keys.update(_first(CancellationRequest.objects.filter(reference__startswith=whole.upper())))
    accounts = set(_accounts(whole, words))
    keys.update(_first(CancellationRequest.objects.filter(account__in=accounts)))
    return queryset.filter(pk__in=keys)


def _first(rows: QuerySet[Any]) -> Iterable[int]:
    return rows.values_list("pk", flat=True)[:MOST_FOUND]


def _accounts(whole: str, words: list[str]) -> Iterable[int]:
    for name in ("account_number", "username", "email"):
        yield from _first(Account.objects.filter(**{f"{name}__istartswith": whole}))
    letters = ["".join(mark for mark in word if mark.isalnum()) for word in words]
    if prefixes := [f"{word}:*" for word in letters if word]:
        asked = SearchQuery(" & ".join(prefixes), search_type="raw", config="simple")
        yield from _first(Account.objects.annotate(told=SearchVector("name", config="simple")).filter(told=asked))


def waiting_for(rows: QuerySet[CancellationRequest], user: User) -> QuerySet[CancellationRequest]:
    """What a person of support goes on with: in review, and not in somebody else's hands."""
    return rows.filter(Q(assigned_to__isnull=True) | Q(assigned_to=user), state=RequestState.IN_REVIEW)
