"""The letter that reminds of a renewal."""

from datetime import date, datetime
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from billing.models import Subscription
from billing.wording import interval_words
from messaging.outbound.rendering import Value
from messaging.services.outbox import queue_message
from messaging.wording import day_words, money_words, use_language


def send_renewal_reminder(subscription: Subscription, *, renews_on: date, last_day_on: date, now: datetime) -> None:
    """Queues the reminder: the last day to cancel, the price of what follows, and the link that leads to leaving."""
    account = subscription.account
    with use_language(account.language):
        context: dict[str, Value] = {
            "name": account.name,
            "plan": str(subscription),
            "renews_on": day_words(renews_on),
            "last_day": day_words(last_day_on),
            "price": f"{money_words(subscription.price)} {interval_words(subscription)}",
            "form_url": f"{settings.SITE_URL}{reverse('cancel')}?{urlencode({'subscription': subscription.reference})}",
        }
        queue_message(
            kind="renewal_reminder", recipient=account.email, context=context, now=now, about=subscription.reference
        )
