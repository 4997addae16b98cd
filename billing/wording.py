"""Texts about billing in the active language."""

from django.utils.translation import gettext, ngettext

from billing.models import Subscription


def interval_words(subscription: Subscription) -> str:
    """Like «a month» or «every 3 months»."""
    count, unit = subscription.interval_count, subscription.interval_unit
    if count == 1:
        single = {"day": gettext("a day"), "week": gettext("a week"), "month": gettext("a month")}
        return single.get(unit) or gettext("a year")
    words = {
        "day": ngettext("every %(count)s day", "every %(count)s days", count),
        "week": ngettext("every %(count)s week", "every %(count)s weeks", count),
        "month": ngettext("every %(count)s month", "every %(count)s months", count),
        "year": ngettext("every %(count)s year", "every %(count)s years", count),
    }
    return words[unit] % {"count": count}
