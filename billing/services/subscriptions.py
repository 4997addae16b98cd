"""Ending a subscription, and restoring it when the end is undone."""

from datetime import date

from billing.models import EndedBy, Subscription


def end_subscription(*, subscription: Subscription, ended_on: date) -> Subscription:
    """Ends the subscription; `ended_on` is its first day without service. An earlier end stays.

    Returns an unsaved row with the previous end, so that it can be undone.
    """
    locked = Subscription.objects.select_for_update().get(pk=subscription.pk)
    before = Subscription(ended_on=locked.ended_on, ended_by=locked.ended_by)
    if locked.ended_on is None or locked.ended_on > ended_on:
        locked.ended_on, locked.ended_by = ended_on, EndedBy.PORTAL
        locked.save(update_fields=["ended_on", "ended_by"])
    return before


def restore_subscription(
    *, subscription: Subscription, ended_on: date, ended_on_before: date | None, ended_by_before: str
) -> bool:
    """Undoes the portal's own end on `ended_on`. Returns False, and changes nothing, if the end has changed since."""
    ours = Subscription.objects.select_for_update().filter(
        pk=subscription.pk, ended_on=ended_on, ended_by=EndedBy.PORTAL
    )
    for locked in ours:
        locked.ended_on, locked.ended_by = ended_on_before, ended_by_before
        locked.save(update_fields=["ended_on", "ended_by"])
        return True
    return False
