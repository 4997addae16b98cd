"""The states of a cancellation request, a termination and a policy version. Data: the database holds the same table."""

from django.db import models


class RequestState(models.TextChoices):
    UNVERIFIED = "unverified", "waiting for proof"
    IN_REVIEW = "in_review", "in review"
    SCHEDULED = "scheduled", "scheduled"
    EFFECTIVE = "effective", "effective"
    DECLINED = "declined", "declined"
    EXPIRED = "expired", "expired"
    WITHDRAWN = "withdrawn", "withdrawn"
    SUPERSEDED = "superseded", "superseded"


S = RequestState
OPEN = (S.UNVERIFIED, S.IN_REVIEW, S.SCHEDULED)
TRANSITIONS = (
    (S.UNVERIFIED, S.IN_REVIEW),
    (S.UNVERIFIED, S.SCHEDULED),
    (S.UNVERIFIED, S.DECLINED),
    (S.UNVERIFIED, S.EXPIRED),
    (S.UNVERIFIED, S.WITHDRAWN),
    (S.UNVERIFIED, S.SUPERSEDED),
    (S.IN_REVIEW, S.SCHEDULED),
    (S.IN_REVIEW, S.DECLINED),
    (S.IN_REVIEW, S.WITHDRAWN),
    (S.IN_REVIEW, S.SUPERSEDED),
    (S.SCHEDULED, S.EFFECTIVE),
    (S.SCHEDULED, S.WITHDRAWN),
    (S.SCHEDULED, S.SUPERSEDED),
    (S.EXPIRED, S.IN_REVIEW),
    (S.DECLINED, S.IN_REVIEW),
    (S.SUPERSEDED, S.IN_REVIEW),
)


class PolicyState(models.TextChoices):
    DRAFT = "draft", "draft"
    PUBLISHED = "published", "published"


POLICY_TRANSITIONS = ((PolicyState.DRAFT, PolicyState.PUBLISHED),)


class TerminationState(models.TextChoices):
    PROPOSED = "proposed", "waiting for a second manager"
    EFFECTIVE = "effective", "effective"
    DISCARDED = "discarded", "discarded"
    REVERSED = "reversed", "reversed"


TERMINATION_TRANSITIONS = (
    (TerminationState.PROPOSED, TerminationState.EFFECTIVE),
    (TerminationState.PROPOSED, TerminationState.DISCARDED),
    (TerminationState.EFFECTIVE, TerminationState.REVERSED),
)
