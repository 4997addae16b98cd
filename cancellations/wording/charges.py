"""What will still be charged until a subscription ends, in the reader's language."""

from datetime import date

from django.utils.translation import gettext

from billing.models import Subscription
from billing.queries import charges_to_come
from cancellations.models import CancellationRequest
from messaging.wording import day_words, money_words


def words_to_come(subscription: Subscription | None, *, today: date, end: date | None) -> str:
    """Returns a sentence about the charges from `today` until the end; empty without an end or a price.

    Both are dates of the account's time zone; `end` is the first day without service.
    """
    if subscription is None or end is None or subscription.price.amount == 0:
        return ""
    days = charges_to_come(subscription, today=today, end=end)
    amount = money_words(subscription.price)
    if not days:
        return gettext("Nothing more will be charged.")
    if len(days) == 1:
        words = gettext("Still to be charged: %(amount)s on %(day)s, then nothing more.")
        return words % {"amount": amount, "day": day_words(days[0])}
    words = gettext("Still to be charged: %(count)s times %(amount)s, from %(first)s to %(last)s, then nothing more.")
    return words % {"count": len(days), "amount": amount, "first": day_words(days[0]), "last": day_words(days[-1])}


def words_to_come_of(request: CancellationRequest, *, today: date) -> str:
    """Returns the sentence for an open request; empty if it ends at once, or may do so when its ground is accepted."""
    is_dated = request.is_open and not request.at_once and not request.ground_is_open
    return words_to_come(request.subscription, today=today, end=request.effective_on) if is_dated else ""
