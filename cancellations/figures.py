"""The figures of the dashboard, for a span of days in the company's zone; each with the rows behind it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.urls import reverse
from moneyed import Money

from billing.models import Refund, RefundBasis
from billing.periods import local_date, start_of_day
from billing.states import RefundState
from cancellations.models import BegunForm, CancellationRequest, Channel, Reason
from cancellations.queries import overdue_requests
from cancellations.states import OPEN, RequestState
from messaging.wording import money_words

MOST_DAYS = 732
LISTED = 10


@dataclass(frozen=True)
class Span:
    """The days from `first` to `last`, both in it."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        return start_of_day(self.first, settings.COMPANY_TIME_ZONE)

    @property
    def end(self) -> datetime:
        return start_of_day(self.last + timedelta(days=1), settings.COMPANY_TIME_ZONE)

    def of(self, name: str) -> dict[str, str]:
        """As filters of a list."""
        return {f"{name}__gte": self.start.isoformat(), f"{name}__lt": self.end.isoformat()}


@dataclass(frozen=True)
class Figure:
    """One figure: what it says, its value, more in words, and the address of the rows behind it."""

    name: str
    value: str
    more: str = ""
    url: str = ""
    count: float = 0


@dataclass
class Group:
    title: str
    figures: list[Figure] = field(default_factory=list)
    chart: str = ""  # bar or line, where a picture says more


def span_of(given: Any, now: datetime) -> tuple[Span, str]:
    """The span that somebody asked for, or the last 30 days and what was wrong with it."""
    today = local_date(now, settings.COMPANY_TIME_ZONE)
    usual = Span(today - timedelta(days=29), today)
    if not given.get("from") and not given.get("to"):
        return usual, ""
    try:
        first = date.fromisoformat(given.get("from") or usual.first.isoformat())
        last = date.fromisoformat(given.get("to") or today.isoformat())
    except ValueError:
        return usual, "Enter days like 2026-01-31. The last 30 days are shown."
    if first > last:
        return usual, "The first day lies after the last. The last 30 days are shown."
    if (last - first).days >= MOST_DAYS:
        return usual, "At most two years at once. The last 30 days are shown."
    return Span(first, last), ""


def requests_figures(span: Span, now: datetime) -> list[Group]:
    rows = CancellationRequest.objects.filter(received_at__gte=span.start, received_at__lt=span.end)
    return [
        _headline(rows, span, now),
        _by_day(rows, span),
        _open_by_state(),
        _reasons(rows, span),
        _channels(rows, span),
        _forms(span, now),
    ]


def refunds_figures(span: Span) -> list[Group]:
    return [_refund_times(span), _refunds_by_currency(span)]


def overdue(now: datetime) -> list[tuple[str, str, str]]:
    """What is overdue, most pressing first: reference, what, address."""
    today = local_date(now, settings.COMPANY_TIME_ZONE)
    found = []
    for refund in Refund.objects.filter(due_on__lt=today).select_related("account").order_by("due_on")[:LISTED]:
        what = "to decide" if refund.payment_due_on is None else "to pay"
        url = reverse("admin:billing_refund_change", args=[refund.pk])
        found.append((refund.reference, f"refund {what} since {refund.due_on:%d %b %Y}, {refund.account.name}", url))
    rows = overdue_requests(now, CancellationRequest.objects.select_related("account"))
    for request in rows.order_by("received_at")[:LISTED]:
        what = "set aside by the worker" if request.enforcement_error else f"waits since {request.received_at:%d %b %Y}"
        found.append((request.reference, what, _page(request)))
    return found


def _page(request: CancellationRequest) -> str:
    return reverse("admin:cancellations_cancellationrequest_change", args=[request.pk])


def _requests(**filters: str) -> str:
    return f"{reverse('admin:cancellations_cancellationrequest_changelist')}?{urlencode(filters)}"


def _refunds(**filters: str) -> str:
    return f"{reverse('admin:billing_refund_changelist')}?{urlencode(filters)}"


def _headline(rows: QuerySet[CancellationRequest], span: Span, now: datetime) -> Group:
    told = rows.aggregate(
        all=Count("pk"), timely=Count("pk", filter=Q(on_time=True)), late=Count("pk", filter=Q(on_time=False))
    )
    dated = told["timely"] + told["late"]
    share = f"{100 * told['timely'] / dated:.0f} %" if dated else "–"
    median, ninth, count = _times(
        """SELECT extract(epoch FROM min(e.state_changed_at) - r.received_at)
           FROM cancellations_cancellationrequest r
           JOIN cancellations_cancellationrequestevent e ON e.pgh_obj_id = r.id AND e.state IN ('scheduled', 'declined')
           WHERE r.received_at >= %s AND r.received_at < %s GROUP BY r.id, r.received_at""",
        span,
    )
    overdue_count = overdue_requests(now, CancellationRequest.objects.all()).count()
    decided = _requests(**span.of("received_at"), state__in="scheduled,declined,effective")
    return Group(
        "Requests",
        [
            Figure("received", str(told["all"]), url=_requests(**span.of("received_at")), count=told["all"]),
            Figure("on time", share, f"{told['timely']} of {dated}", _requests(**span.of("received_at"), time="yes")),
            Figure("median time to decision", median, f"{count} decided", decided),
            Figure("90th percentile", ninth, "nine of ten are decided sooner", decided),
            Figure("overdue now", str(overdue_count), "only a person can move them on", _requests(due="overdue")),
        ],
    )


def _times(rows: str, span: Span) -> tuple[str, str, int]:
    """Median and 90th percentile of the seconds that the rows say, in words, and how many they are."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY taken), percentile_cont(0.9) WITHIN GROUP
                (ORDER BY taken), count(*) FROM ({rows}) AS found(taken)""",  # noqa: S608 - our own queries
            [span.start, span.end],
        )
        median, ninth, count = cursor.fetchone()
    return _duration(median), _duration(ninth), count


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    hours = max(seconds, 0) / 3600
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def _by_day(rows: QuerySet[CancellationRequest], span: Span) -> Group:
    zone = ZoneInfo(settings.COMPANY_TIME_ZONE)
    found = dict(rows.annotate(day=TruncDate("received_at", tzinfo=zone)).values_list("day").annotate(n=Count("pk")))
    group = Group("Requests a day", chart="bar")
    for step in range((span.last - span.first).days + 1):
        day = span.first + timedelta(days=step)
        url = _requests(**Span(day, day).of("received_at"))
        group.figures.append(Figure(f"{day:%d %b}", str(found.get(day, 0)), url=url, count=found.get(day, 0)))
    return group


def _open_by_state() -> Group:
    found = dict(CancellationRequest.objects.filter(state__in=OPEN).values_list("state").annotate(n=Count("pk")))
    group = Group("Open now, by state", chart="bar")
    for state in OPEN:
        many, name = found.get(state, 0), str(RequestState(state).label)
        group.figures.append(Figure(name, str(many), url=_requests(state__exact=state), count=many))
    return group


def _reasons(rows: QuerySet[CancellationRequest], span: Span) -> Group:
    group = Group("Reasons for leaving", chart="bar")
    found = Counter(dict(rows.values_list("reason").annotate(n=Count("pk"))))
    for code, many in found.most_common():
        name = str(Reason(code).label) if code else "none asked or given"
        url = _requests(**span.of("received_at"), reason__exact=code)
        group.figures.append(Figure(name, str(many), url=url, count=many))
    return group


def _channels(rows: QuerySet[CancellationRequest], span: Span) -> Group:
    group = Group("Channels", chart="bar")
    found = dict(rows.values_list("channel").annotate(n=Count("pk")))
    for channel in Channel:
        url = _requests(**span.of("received_at"), channel__exact=channel)
        many = found.get(channel, 0)
        group.figures.append(Figure(str(channel.label), str(many), url=url, count=many))
    return group


def abandoned_forms(span: Span, now: datetime) -> QuerySet[BegunForm]:
    """Forms begun in the span and never finished, once there was time enough to finish them."""
    over = now - timedelta(minutes=settings.FORM_MINUTES)
    begun = BegunForm.objects.filter(begun_at__gte=span.start, begun_at__lt=span.end)
    return begun.filter(finished_at__isnull=True, begun_at__lt=over)


def _forms(span: Span, now: datetime) -> Group:
    """Somebody wanted to leave and did not get there: that is our fault, and nobody was won by it."""
    rows = abandoned_forms(span, now)
    begun = BegunForm.objects.filter(begun_at__gte=span.start, begun_at__lt=span.end).count()
    stuck = Counter(name for names in rows.values_list("errors", flat=True) for name in names)
    listed = reverse("admin:cancellations_begunform_changelist")

    def url(**filters: str) -> str:
        return f"{listed}?{urlencode({**span.of('begun_at'), 'left': 'yes', **filters})}"

    count = rows.count()
    group = Group("Our fault: forms begun, not finished")
    group.figures.append(Figure("abandoned", str(count), f"of {begun} begun", url(), count))
    at_check = rows.filter(stopped_at="check").count()
    group.figures.append(Figure("left at the answers to be checked", str(at_check), url=url(stopped_at__exact="check")))
    for name, many in stuck.most_common(5):
        told = "the form as a whole" if name == "__all__" else name.replace("_", " ")
        group.figures.append(Figure(f"stopped by: {told}", str(many), url=url(stopped_at__exact="form"), count=many))
    return group


_DECIDED = """SELECT {what} FROM billing_refund r JOIN billing_refundevent e ON e.pgh_obj_id = r.id
    AND e.state IN ({states}) WHERE r.requested_at >= %s AND r.requested_at < %s GROUP BY r.id"""


def _refund_times(span: Span) -> Group:
    decided = "extract(epoch FROM min(e.state_changed_at) - r.requested_at)"
    median, ninth, count = _times(_DECIDED.format(what=decided, states="'approved', 'declined'"), span)
    paid = """extract(epoch FROM min(e.state_changed_at) FILTER (WHERE e.state = 'paid')
              - min(e.state_changed_at) FILTER (WHERE e.state = 'approved'))"""
    both = _DECIDED.format(what=paid, states="'approved', 'paid'") + " HAVING bool_or(e.state = 'paid')"
    median_paid, ninth_paid, count_paid = _times(both, span)
    in_time, in_time_paid = _kept(span)
    of = span.of("requested_at")
    done = _refunds(**of, state__in="approved,declined,sending,paid,failed")
    settled = _refunds(**of, state__exact="paid")
    return Group(
        "Refunds",
        [
            Figure("median time to decision", median, f"{in_time} of {count} by the target", done),
            Figure("90th percentile to decision", ninth, "nine of ten are decided sooner", done),
            Figure("median time to payment", median_paid, f"{in_time_paid} of {count_paid} by the target", settled),
            Figure("90th percentile to payment", ninth_paid, "from the approval", settled),
        ],
    )


def _kept(span: Span) -> tuple[int, int]:
    """How many refunds were decided, and how many paid, by the day that the policy sets."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH told AS (
                SELECT r.decision_due_on, r.payment_due_on, r.paid_on,
                    (min(e.state_changed_at) AT TIME ZONE %s)::date AS decided_on
                FROM billing_refund r
                JOIN billing_refundevent e ON e.pgh_obj_id = r.id AND e.state IN ('approved', 'declined')
                WHERE r.requested_at >= %s AND r.requested_at < %s GROUP BY r.id)
            SELECT count(*) FILTER (WHERE decided_on <= decision_due_on),
                count(*) FILTER (WHERE paid_on <= payment_due_on) FROM told
            """,
            [settings.COMPANY_TIME_ZONE, span.start, span.end],
        )
        decided, paid = cursor.fetchone()
    return decided, paid


def _refunds_by_currency(span: Span) -> Group:
    counting = (RefundState.APPROVED, RefundState.SENDING, RefundState.PAID)
    rows = Refund.objects.filter(requested_at__gte=span.start, requested_at__lt=span.end, state__in=counting)
    found = rows.values_list("amount_currency", "basis").annotate(n=Count("pk"), total=Sum("amount")).order_by()
    group = Group("Refunds approved, by currency and basis")
    for currency, basis, many, total in sorted(found):
        name = f"{currency}, {RefundBasis(basis).label}"
        filters = {**span.of("requested_at"), "currency": currency, "basis__exact": basis}
        url = _refunds(**filters, state__in=",".join(counting))
        group.figures.append(Figure(name, money_words(Money(total, currency)), f"{many} refunds", url, many))
    return group
