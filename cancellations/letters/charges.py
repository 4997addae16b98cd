"""The letter about a payment for a time after the end of a subscription."""

from collections.abc import Iterable
from datetime import datetime

from django.utils.translation import gettext

from billing.models import Payment, Refund
from messaging.outbound.rendering import Value
from messaging.services.outbox import queue_message
from messaging.wording import day_words, money_words, use_language


def send_charged_letter(refund: Refund, payments: Iterable[Payment], *, now: datetime) -> None:
    """Queues the letter that says that we charged after the end and review it. An erased account has no address."""
    if not refund.notify:
        return
    with use_language(refund.language):
        context: dict[str, Value] = {
            "reference": refund.reference,
            "about": refund.about,
            "plan": refund.subscription.plan_name,
            "effective": day_words(refund.ended_on),
            "charges": [_charge(payment) for payment in payments],
            "decision_due": day_words(refund.decision_due_on),
        }
        about = refund.about or refund.reference
        queue_message(kind="charged_after_end", recipient=refund.notify, context=context, now=now, about=about)


def _charge(payment: Payment) -> str:
    return gettext("%(sum)s for %(start)s to %(end)s (%(payment)s)") % {
        "sum": money_words(payment.amount),
        "start": day_words(payment.period_start),
        "end": day_words(payment.period_end),
        "payment": payment.reference,
    }
