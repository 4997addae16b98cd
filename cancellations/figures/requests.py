"""Figures about requests, reasons, channels and forms that were not finished."""

from collections import Counter
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import TruncDate
from django.urls import reverse

from cancellations.figures.spans import Figure, Group, Span, times
from cancellations.models import BegunForm, CancellationRequest, Channel, Reason
from cancellations.models.states import OPEN, RequestState
from cancellations.queries.requests import overdue_requests


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


def _requests(**filters: str) -> str:
    return f"{reverse('admin:cancellations_cancellationrequest_changelist')}?{urlencode(filters)}"


def _headline(rows: QuerySet[CancellationRequest], span: Span, now: datetime) -> Group:
    counts = rows.aggregate(
        all=Count("pk"), timely=Count("pk", filter=Q(on_time=True)), late=Count("pk", filter=Q(on_time=False))
    )
    matched = counts["timely"] + counts["late"]
    share = f"{100 * counts['timely'] / matched:.0f} %" if matched else "–"
    median, ninth, count = times(
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
            Figure("received", str(counts["all"]), url=_requests(**span.of("received_at")), count=counts["all"]),
            Figure(
                "on time", share, f"{counts['timely']} of {matched}", _requests(**span.of("received_at"), time="yes")
            ),
            Figure("median time to decision", median, f"{count} decided", decided),
            Figure("90th percentile", ninth, "nine of ten are decided faster", decided),
            Figure("overdue now", str(overdue_count), "only staff can move them on", _requests(due="overdue")),
        ],
        tiles=True,
    )


def _by_day(rows: QuerySet[CancellationRequest], span: Span) -> Group:
    zone = ZoneInfo(settings.COMPANY_TIME_ZONE)
    counts = dict(rows.annotate(day=TruncDate("received_at", tzinfo=zone)).values_list("day").annotate(n=Count("pk")))
    group = Group("Requests per day", chart="bar", wide=True)
    for offset in range((span.last - span.first).days + 1):
        day = span.first + timedelta(days=offset)
        url = _requests(**Span(day, day).of("received_at"))
        group.figures.append(Figure(f"{day:%d %b}", str(counts.get(day, 0)), url=url, count=counts.get(day, 0)))
    return group


def _open_by_state() -> Group:
    counts = dict(CancellationRequest.objects.filter(state__in=OPEN).values_list("state").annotate(n=Count("pk")))
    group = Group("Open now, by state", chart="bar")
    for state in OPEN:
        count, name = counts.get(state, 0), str(RequestState(state).label)
        group.figures.append(Figure(name, str(count), url=_requests(state__exact=state), count=count))
    return group


def _reasons(rows: QuerySet[CancellationRequest], span: Span) -> Group:
    group = Group("Reasons for leaving", chart="bar")
    counts = Counter(dict(rows.values_list("reason").annotate(n=Count("pk"))))
    for code, count in counts.most_common():
        name = str(Reason(code).label) if code else "no reason given"
        url = _requests(**span.of("received_at"), reason__exact=code)
        group.figures.append(Figure(name, str(count), url=url, count=count))
    return group


def _channels(rows: QuerySet[CancellationRequest], span: Span) -> Group:
    group = Group("Channels", chart="bar")
    counts = dict(rows.values_list("channel").annotate(n=Count("pk")))
    for channel in Channel:
        url = _requests(**span.of("received_at"), channel__exact=channel)
        count = counts.get(channel, 0)
        group.figures.append(Figure(str(channel.label), str(count), url=url, count=count))
    return group


def abandoned_forms(span: Span, now: datetime) -> QuerySet[BegunForm]:
    """Returns forms that were begun in the span and are too old to be finished."""
    cutoff = now - timedelta(minutes=settings.FORM_MINUTES)
    begun = BegunForm.objects.filter(begun_at__gte=span.start, begun_at__lt=span.end)
    return begun.filter(finished_at__isnull=True, begun_at__lt=cutoff)


def _forms(span: Span, now: datetime) -> Group:
    """Returns the figures of abandoned forms. A customer who does not finish is a fault of the form, not a success."""
    rows = abandoned_forms(span, now)
    begun = BegunForm.objects.filter(begun_at__gte=span.start, begun_at__lt=span.end).count()
    errors = Counter(name for names in rows.values_list("errors", flat=True) for name in names)
    list_url = reverse("admin:cancellations_begunform_changelist")

    def url(**filters: str) -> str:
        return f"{list_url}?{urlencode({**span.of('begun_at'), 'left': 'yes', **filters})}"

    count = rows.count()
    group = Group("Forms begun but not finished")
    group.figures.append(Figure("abandoned", str(count), f"of {begun} begun", url(), count))
    at_check = rows.filter(stopped_at="check").count()
    group.figures.append(Figure("left at the check of answers", str(at_check), url=url(stopped_at__exact="check")))
    for name, field_count in errors.most_common(5):
        label = "the form as a whole" if name == "__all__" else name.replace("_", " ")
        group.figures.append(
            Figure(f"stopped by: {label}", str(field_count), url=url(stopped_at__exact="form"), count=field_count)
        )
    return group
