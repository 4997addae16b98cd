"""States and transitions of requests, conversations, terminations and policy versions. Triggers enforce them."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class RequestState(models.TextChoices):
    UNVERIFIED = "unverified", _("waiting for proof")
    IN_REVIEW = "in_review", _("in review")
    SCHEDULED = "scheduled", _("scheduled")
    EFFECTIVE = "effective", _("effective")
    DECLINED = "declined", _("declined")
    EXPIRED = "expired", _("expired")
    WITHDRAWN = "withdrawn", _("taken back")
    SUPERSEDED = "superseded", _("superseded")


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
    RECALLED = "recalled", "recalled"


POLICY_TRANSITIONS = (
    (PolicyState.DRAFT, PolicyState.PUBLISHED),
    (PolicyState.PUBLISHED, PolicyState.RECALLED),  # before its day
)


class ConversationState(models.TextChoices):
    OPEN = "open", "waits for us"
    WAITING = "waiting", "waits for the customer"
    CLOSED = "closed", "closed"


CONVERSATION_TRANSITIONS = (
    (ConversationState.OPEN, ConversationState.WAITING),
    (ConversationState.OPEN, ConversationState.CLOSED),
    (ConversationState.WAITING, ConversationState.OPEN),
    (ConversationState.WAITING, ConversationState.CLOSED),
    (ConversationState.CLOSED, ConversationState.OPEN),
    (ConversationState.CLOSED, ConversationState.WAITING),
)


class TerminationState(models.TextChoices):
    PROPOSED = "proposed", _("waiting for a second manager")
    EFFECTIVE = "effective", _("effective")
    DISCARDED = "discarded", _("discarded")
    REVERSED = "reversed", _("reversed")


TERMINATION_TRANSITIONS = (
    (TerminationState.PROPOSED, TerminationState.EFFECTIVE),
    (TerminationState.PROPOSED, TerminationState.DISCARDED),
    (TerminationState.EFFECTIVE, TerminationState.REVERSED),
)
