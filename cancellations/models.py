"""Policy versions and cancellation requests."""

import uuid

import pghistory
import pgtrigger
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Lower
from djmoney.models.fields import MoneyField

from accounts.models import Account, User
from billing.models import AMOUNT, Refund, Subscription
from billing.references import new_reference
from cancellations.states import OPEN, POLICY_TRANSITIONS, TRANSITIONS, PolicyState, RequestState


class ReviewMode(models.TextChoices):
    EVERY = "every", "support reviews every request"
    EXCEPTIONS = "exceptions", "only requests that are not plain are reviewed"


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class PolicyVersion(models.Model):
    """The policy as text and as figures. Once published, it never changes (policy 4.1)."""

    number = models.PositiveIntegerField(unique=True)
    state = models.CharField(max_length=10, choices=PolicyState.choices, default=PolicyState.DRAFT)
    text = models.TextField(help_text="Markdown. {notice_days} and the other figures are filled in when shown")
    change_summary = models.TextField(blank=True, help_text="What changed, in a sentence; needed to publish")
    effective_from = models.DateTimeField(null=True, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    published_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")

    notice_days = models.PositiveSmallIntegerField("notice (days)", default=10)
    trial_notice_days = models.PositiveSmallIntegerField("notice within a trial (days)", default=0)
    cooling_off_days = models.PositiveSmallIntegerField("cooling-off (days)", default=14)
    verification_days = models.PositiveSmallIntegerField("time to prove the address (days)", default=30)
    review_mode = models.CharField("review", max_length=10, choices=ReviewMode.choices, default=ReviewMode.EVERY)
    refund_decision_days = models.PositiveSmallIntegerField("refund decided within (working days)", default=5)
    refund_payment_days = models.PositiveSmallIntegerField("refund paid within (working days)", default=10)
    approval_limits = models.JSONField(
        "one approver up to",
        default=dict,
        blank=True,
        help_text='By currency, for example {"EUR": "500"}. Above it, and in any other currency, two people approve',
    )

    class Meta:
        ordering = ["-number"]
        permissions = [("publish_policyversion", "Can publish a policy version")]
        constraints = [
            models.CheckConstraint(
                name="policy_published_is_complete",
                condition=Q(state="draft") | (Q(effective_from__isnull=False, published_at__isnull=False)),
            )
        ]
        triggers = [
            pgtrigger.FSM(name="policy_state", field="state", transitions=list(POLICY_TRANSITIONS)),
            pgtrigger.Protect(
                name="policy_published_stays",
                operation=pgtrigger.Update | pgtrigger.Delete,
                condition=pgtrigger.Q(old__state="published"),
            ),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"


class Channel(models.TextChoices):
    SIGNED_IN = "signed_in", "web, signed in"
    GUEST = "guest", "web, as a guest"


class Reason(models.TextChoices):
    """The reason codes of the field, in the customer's words."""

    TOO_EXPENSIVE = "too_expensive", "It costs too much"
    UNUSED = "unused", "I don’t use it enough"
    MISSING_FEATURES = "missing_features", "Something is missing"
    LOW_QUALITY = "low_quality", "It does not work well enough"
    SWITCHED_SERVICE = "switched_service", "I use something else now"
    CUSTOMER_SERVICE = "customer_service", "I am not happy with the support"
    TOO_COMPLEX = "too_complex", "It is too complicated"
    OTHER = "other", "Another reason"


class DeclineGround(models.TextChoices):
    """A request may be declined on these grounds and on no other."""

    NOT_ACCOUNT_HOLDER = "not_account_holder", "The request did not come from the account holder"
    NOT_OUR_CUSTOMER = "not_our_customer", "There is no such account with us"
    DUPLICATE = "duplicate", "Another request for the same subscription is open"
    ALREADY_ENDED = "already_ended", "The subscription had already ended"


def request_reference() -> str:
    return new_reference("CR")


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), exclude=["due_at"])
class CancellationRequest(models.Model):
    """The customer's declaration, what it rests on (frozen), and where it stands.

    Dates are local to `time_zone`, the account's zone at receipt; instants are UTC.
    """

    reference = models.CharField(max_length=20, unique=True, default=request_reference, editable=False)
    submission_key = models.UUIDField(
        unique=True, default=uuid.uuid4, editable=False, help_text="One form shown, one request made of it"
    )
    state = models.CharField(max_length=12, choices=RequestState.choices)
    state_changed_at = models.DateTimeField()
    channel = models.CharField(max_length=12, choices=Channel.choices)
    received_at = models.DateTimeField()

    account_number_given = models.CharField("account number as typed", max_length=40, blank=True)
    username_given = models.CharField("username as typed", max_length=150, blank=True)
    email_given = models.EmailField("e-mail address", max_length=254)
    reason = models.CharField(max_length=20, choices=Reason.choices)
    words = models.TextField("in the customer’s words", blank=True)
    requested_end = models.DateField("wished end", null=True, blank=True)
    refund_wanted = models.BooleanField("asks for a refund", default=False)
    refund_reason = models.TextField("why a refund", blank=True)

    policy_version = models.ForeignKey(PolicyVersion, models.PROTECT, related_name="requests")
    verification_expires_at = models.DateTimeField(null=True, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)

    account = models.ForeignKey(Account, models.PROTECT, null=True, blank=True, related_name="requests")
    subscription = models.ForeignKey(Subscription, models.PROTECT, null=True, blank=True, related_name="requests")
    time_zone = models.CharField(max_length=64, blank=True)
    next_billing_on = models.DateField("next billing date", null=True, blank=True)
    deadline_on = models.DateField("notice deadline", null=True, blank=True)
    on_time = models.BooleanField(null=True, blank=True)
    effective_on = models.DateField("effective date", null=True, blank=True)
    effective_at = models.DateTimeField(null=True, blank=True)
    explanation = models.JSONField(default=list, blank=True)
    refund_quoted = MoneyField(**AMOUNT, default_currency=None, null=True, blank=True)

    decided_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    decision_words = models.TextField("message to the customer", blank=True)
    decline_ground = models.CharField(max_length=20, choices=DeclineGround.choices, blank=True)
    notice_waived_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    notice_waived_ground = models.TextField(blank=True)
    enforcement_error = models.TextField(
        blank=True, help_text="Why the worker could not take it into effect; it is set aside until support looks"
    )
    refund = models.OneToOneField(Refund, models.PROTECT, null=True, blank=True, related_name="+")

    # When it falls due next, for staff and worker alike: proof expires, or it takes effect; a request
    # that nobody could match yet has been due since it came.
    due_at = models.GeneratedField(
        expression=Case(
            When(state=RequestState.UNVERIFIED, then=F("verification_expires_at")),
            When(state=RequestState.IN_REVIEW, effective_at__isnull=True, then=F("received_at")),
            When(state__in=[RequestState.IN_REVIEW, RequestState.SCHEDULED], then=F("effective_at")),
            default=Value(None),
        ),
        output_field=models.DateTimeField(null=True),
        db_persist=True,
    )

    class Meta:
        permissions = [
            ("schedule_request", "Can schedule a cancellation request"),
            ("decline_request", "Can decline a cancellation request"),
            ("waive_notice", "Can waive late notice"),
        ]
        indexes = [
            models.Index(fields=["due_at", "id"], condition=Q(state__in=OPEN), name="request_due"),
            models.Index(fields=["account", "received_at"], name="request_account"),
            models.Index(fields=["-received_at", "-id"], name="request_newest"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"], condition=Q(state__in=OPEN), name="one_open_request_a_subscription"
            ),
            models.UniqueConstraint(
                Lower("account_number_given"),
                Lower("username_given"),
                Lower("email_given"),
                condition=Q(state=RequestState.UNVERIFIED),
                name="one_unproven_request_a_sender",
            ),
            models.CheckConstraint(
                name="request_scheduled_is_matched_and_dated",
                condition=~Q(state__in=["scheduled", "effective"])
                | Q(
                    subscription__isnull=False,
                    effective_on__isnull=False,
                    effective_at__isnull=False,
                    verified_at__isnull=False,
                ),
            ),
            models.CheckConstraint(
                name="request_declined_on_a_ground", condition=~Q(state="declined") | ~Q(decline_ground="")
            ),
            models.CheckConstraint(
                name="request_unproven_is_unmatched",
                condition=~Q(state="unverified")
                | Q(subscription__isnull=True, verified_at__isnull=True, verification_expires_at__isnull=False),
            ),
        ]
        triggers = [
            pgtrigger.FSM(name="request_state", field="state", transitions=list(TRANSITIONS)),
            pgtrigger.Protect(name="request_stays", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="request_declaration_stays",
                fields=[
                    "reference",
                    "submission_key",
                    "channel",
                    "received_at",
                    "account_number_given",
                    "username_given",
                    "email_given",
                    "reason",
                    "words",
                    "requested_end",
                    "policy_version",
                ],
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def came_late(self) -> bool:
        """Whether lateness moved the end: not where it was waived, nor where a later end was wished for anyway."""
        if self.on_time is not False or self.notice_waived_by_id is not None or self.next_billing_on is None:
            return False
        return self.requested_end is None or self.requested_end <= self.next_billing_on
