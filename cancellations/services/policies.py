"""Publishing policy versions (policy 4.1)."""

from collections.abc import Sequence
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.history import recorded
from accounts.models import User
from accounts.permissions import permitted
from billing.models.states import IllegalTransition
from cancellations.letters.webhooks import emit_policy_published
from cancellations.models import PolicyVersion
from cancellations.models.states import PolicyState
from cancellations.services.announcing import announce, stop_announcement
from cancellations.services.common import RequestRefused
from cancellations.wording.policy import unknown_figures
from messaging.text import find_unkeepable


@permitted("cancellations.publish_policyversion")
@transaction.atomic
def publish(
    *,
    version: PolicyVersion,
    change_summary: str,
    effective_from: datetime,
    now: datetime,
    by: User | None = None,
    tell_holders: bool = False,
    instead_of: Sequence[PolicyVersion] = (),
) -> PolicyVersion:
    """Publishes a draft, in force from `effective_from`. It can never be changed afterwards.

    With `tell_holders`, it is announced to account holders. The announced versions `instead_of` which it is published
    are recalled; the others still come into force on their day. Raises RequestRefused for an incomplete draft or a time
    in the past, IllegalTransition for a version that is already published.
    """
    version = PolicyVersion.objects.select_for_update().get(pk=version.pk)
    if version.state != PolicyState.DRAFT:
        raise IllegalTransition(reference=f"Policy {version}", state=version.state, verb="publish")
    if not change_summary.strip():
        raise RequestRefused("Say in a sentence what changes. Customers read it in the policy's history.")
    if unkeepable := find_unkeepable(change_summary) or find_unkeepable(version.text):
        raise RequestRefused(f"Remove the character U+{ord(unkeepable):04X} from the draft: it cannot be kept.")
    if effective_from < now:
        raise RequestRefused("A version cannot come into force in the past. Choose now or a later time.")
    try:
        version.full_clean()
    except ValidationError as error:
        raise RequestRefused(f"Correct the draft first. {' '.join(error.messages)}") from error
    if unknown := unknown_figures(version):
        raise RequestRefused(f"The text names figures that do not exist: {', '.join(unknown)}. Correct it first.")
    version.change_summary, version.effective_from = change_summary.strip(), effective_from
    version.state, version.published_at, version.published_by = PolicyState.PUBLISHED, now, by
    with recorded("publish", actor="staff", by=by.pk if by else None, why=change_summary):
        version.save()
        emit_policy_published(version, now)
    for other in sorted(instead_of, key=lambda other: other.number):
        recall(version=other, ground=f"Version {version.number} was published instead.", by=by, now=now)
    if tell_holders:
        announce(version=version, by=by, now=now)
    return version


@permitted("cancellations.publish_policyversion")
@transaction.atomic
def recall(*, version: PolicyVersion, ground: str, now: datetime, by: User | None = None) -> PolicyVersion:
    """Recalls a published version before it comes into force. The history keeps it, with the ground.

    A running announcement of it stops. Raises RequestRefused without a ground or from its day on, IllegalTransition
    for a version that is not published.
    """
    version = PolicyVersion.objects.select_for_update().get(pk=version.pk)
    if version.state != PolicyState.PUBLISHED:
        raise IllegalTransition(reference=f"Policy {version}", state=version.state, verb="recall")
    if not ground.strip():
        raise RequestRefused("Say why it is recalled. Customers read it in the policy's history.")
    if version.effective_from is None or version.effective_from <= now:
        raise RequestRefused("This version is in force already. Publish another version instead of it.")
    version.state, version.recalled_at, version.recalled_by = PolicyState.RECALLED, now, by
    version.recall_ground = ground.strip()
    with recorded("recall", actor="staff", by=by.pk if by else None, why=ground):
        version.save(update_fields=["state", "recalled_at", "recalled_by", "recall_ground"])
        stop_announcement(version=version, now=now)
    return version
