from decimal import Decimal

from django import template
from django.utils.html import format_html
from moneyed import Currency, Money

from billing.models import Subscription
from billing.wording import money_words

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
    count, unit = subscription.interval_count, subscription.get_interval_unit_display()
    span = {"day": "a day", "week": "a week", "month": "a month", "year": "a year"}[unit]
    each = span if count == 1 else f"every {count} {unit}s"
    seats = f", {subscription.quantity} seats" if subscription.quantity > 1 else ""
    if not subscription.price.amount:
        return "free of charge"
    return format_html('<span class="num">{}</span> {}{}', money(subscription.price), each, seats)
