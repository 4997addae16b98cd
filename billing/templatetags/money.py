from decimal import Decimal

from django import template
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from moneyed import Currency, Money

from billing.models import Subscription
from billing.wording import interval_words
from messaging.wording import money_words

register = template.Library()


@register.filter
def money(value: Money | None) -> str:
    return money_words(value)


@register.filter
def in_currency(amount: Decimal, currency: Currency) -> str:
    return money(Money(amount, currency))


@register.filter
def price(subscription: Subscription) -> str:
    """Like «€79.00 a month, 5 seats»."""
    if not subscription.price.amount:
        return gettext("free of charge")
    seats = ""
    if (many := subscription.quantity) > 1:
        seats = ngettext(", %(many)s seat", ", %(many)s seats", many) % {"many": many}
    return format_html(
        '<span class="num">{}</span> {}{}', money(subscription.price), interval_words(subscription), seats
    )
