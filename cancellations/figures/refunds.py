"""Figures about refunds: times to decision and payment, and sums by currency."""

from urllib.parse import urlencode

from django.conf import settings
from django.db import connection
from django.db.models import Count, Sum
from django.urls import reverse
from moneyed import Money

from billing.models import Refund, RefundBasis
from billing.models.states import UNDECIDED, RefundState
from cancellations.figures.spans import Figure, Group, Span, times
from messaging.wording import money_words


def refunds_figures(span: Span) -> list[Group]:
    return [_charged_after_end(span), _refund_times(span), _refunds_by_currency(span)]


def _refunds(**filters: str) -> str:
    return f"{reverse('admin:billing_refund_changelist')}?{urlencode(filters)}"


def _charged_after_end(span: Span) -> Group:
    rows = Refund.objects.filter(charged_after_end=True)
    in_span = rows.filter(requested_at__gte=span.start, requested_at__lt=span.end).count()
    is_open = rows.filter(state__in=UNDECIDED).count()
    return Group(
        "Charged after the end",
        [
            Figure(
                "charged after the end",
                str(in_span),
                "the target is 0",
                _refunds(**span.of("requested_at"), charged="yes"),
            ),
            Figure("of them to decide", str(is_open), "at any time", _refunds(charged="yes", due="decide")),
        ],
        tiles=True,
    )


_DECIDED = """SELECT {what} FROM billing_refund r JOIN billing_refundevent e ON e.pgh_obj_id = r.id
    AND e.state IN ({states}) WHERE r.requested_at >= %s AND r.requested_at < %s GROUP BY r.id"""


def _refund_times(span: Span) -> Group:
    decided = "extract(epoch FROM min(e.state_changed_at) - r.requested_at)"
    median, ninth, count = times(_DECIDED.format(what=decided, states="'approved', 'declined'"), span)
    paid = """extract(epoch FROM min(e.state_changed_at) FILTER (WHERE e.state = 'paid')
              - min(e.state_changed_at) FILTER (WHERE e.state = 'approved'))"""
    decided_and_paid = _DECIDED.format(what=paid, states="'approved', 'paid'") + " HAVING bool_or(e.state = 'paid')"
    median_paid, ninth_paid, count_paid = times(decided_and_paid, span)
    in_time, in_time_paid = _decided_and_paid_in_time(span)
    filters = span.of("requested_at")
    decided_url = _refunds(**filters, state__in="approved,declined,sending,paid,failed")
    paid_url = _refunds(**filters, state__exact="paid")
    return Group(
        "Refunds",
        [
            Figure("median time to decision", median, f"{in_time} of {count} by the target", decided_url),
            Figure("90th percentile to decision", ninth, "nine of ten are decided faster", decided_url),
            Figure("median time to payment", median_paid, f"{in_time_paid} of {count_paid} by the target", paid_url),
            Figure("90th percentile to payment", ninth_paid, "from the approval", paid_url),
        ],
        tiles=True,
    )


def _decided_and_paid_in_time(span: Span) -> tuple[int, int]:
    """Returns how many refunds were decided, and how many were paid, by their due date."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH refunds AS (
                SELECT r.decision_due_on, r.payment_due_on, r.paid_on,
                    (min(e.state_changed_at) AT TIME ZONE %s)::date AS decided_on
                FROM billing_refund r
                JOIN billing_refundevent e ON e.pgh_obj_id = r.id AND e.state IN ('approved', 'declined')
                WHERE r.requested_at >= %s AND r.requested_at < %s GROUP BY r.id)
            SELECT count(*) FILTER (WHERE decided_on <= decision_due_on),
                count(*) FILTER (WHERE paid_on <= payment_due_on) FROM refunds
            """,
            [settings.COMPANY_TIME_ZONE, span.start, span.end],
        )
        decided, paid = cursor.fetchone()
    return decided, paid


def _refunds_by_currency(span: Span) -> Group:
    counting = (RefundState.APPROVED, RefundState.SENDING, RefundState.PAID)
    rows = Refund.objects.filter(requested_at__gte=span.start, requested_at__lt=span.end, state__in=counting)
    groups = rows.values_list("amount_currency", "basis").annotate(n=Count("pk"), total=Sum("amount")).order_by()
    group = Group("Refunds approved, by currency and basis")
    for currency, basis, count, total in sorted(groups):
        name = f"{currency}, {RefundBasis(basis).label}"
        filters = {**span.of("requested_at"), "currency": currency, "basis__exact": basis}
        url = _refunds(**filters, state__in=",".join(counting))
        group.figures.append(Figure(name, money_words(Money(total, currency)), f"{count} refunds", url, count))
    return group
