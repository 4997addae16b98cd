"""Cancellation requests: the declaration, the data that it is based on, and the decision."""

import uuid
from datetime import date

import pghistory
import pgtrigger
from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Left, Upper
from django.utils.translation import gettext_lazy as _
from djmoney.models.fields import MoneyField

from accounts.history import tracked
from accounts.models import PREFIX, Account, User
from billing.models import AMOUNT, Refund, RefundBasis, Subscription
from billing.rules.references import new_reference
from cancellations.models.policy import PolicyVersion
from cancellations.models.states import OPEN, TRANSITIONS, RequestState
from cancellations.rules.jurisdictions import DEFAULT


class Channel(models.TextChoices):
    SIGNED_IN = "signed_in", _("web, signed in")
    GUEST = "guest", _("web, as a guest")
    EMAIL = "email", _("e-mail")


class Proof(models.TextChoices):
    """How the sender proves to be the account holder."""

    LINK = "link", "the link sent to the address"
    LINK_AND_NUMBER = "number", "the link, and a number or name that the account holder knows"


class Kind(models.TextChoices):
    ORDINARY = "ordinary", _("ordinary")
    COOLING_OFF = "cooling_off", _("cooling-off")
    FOR_CAUSE = "for_cause", _("for cause")


class Reason(models.TextChoices):
    """The reason codes of the field, in the customer's words."""

    TOO_EXPENSIVE = "too_expensive", _("It costs too much")
    UNUSED = "unused", _("I don’t use it enough")
    MISSING_FEATURES = "missing_features", _("Something is missing")
    LOW_QUALITY = "low_quality", _("It does not work well enough")
    SWITCHED_SERVICE = "switched_service", _("I use something else now")
    CUSTOMER_SERVICE = "customer_service", _("I am not happy with the support")
    TOO_COMPLEX = "too_complex", _("It is too complicated")
    OTHER = "other", _("Another reason")


class DeclineGround(models.TextChoices):
    """A request may be declined on these grounds and on no other."""

    NOT_ACCOUNT_HOLDER = "not_account_holder", _("The request did not come from the account holder")
    NOT_OUR_CUSTOMER = "not_our_customer", _("There is no such account with us")
    DUPLICATE = "duplicate", _("Another request for the same subscription is open")
    ALREADY_ENDED = "already_ended", _("The subscription had already ended")


def request_reference() -> str:
    return new_reference("CR")


REFERENCE_LENGTH = len("CR-7KQ4-M9XT")


@tracked(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(),
    exclude=["due_at", "declaration", "links_used", "link_due_at"],
)
class CancellationRequest(models.Model):
    """The cancellation of one subscription: the declaration, its frozen outcome, and its state.

    A declaration about several subscriptions has a row for each, which are decided one by one. The customer knows
    all of them by the reference of the first (`declaration`). Dates are local to `time_zone`, the account's zone
    when it was matched; instants are UTC.
    """

    reference = models.CharField(max_length=20, unique=True, default=request_reference, editable=False)
    declaration = models.GeneratedField(
        expression=Left("reference", REFERENCE_LENGTH),
        output_field=models.CharField(max_length=REFERENCE_LENGTH),
        db_persist=True,
        help_text="The reference that the customer has",
    )
    part = models.PositiveSmallIntegerField(default=1, editable=False, help_text="Counted within the declaration")
    submission_key = models.UUIDField(
        default=uuid.uuid4, editable=False, help_text="The same key makes only one declaration"
    )
    state = models.CharField(max_length=12, choices=RequestState.choices)
    state_changed_at = models.DateTimeField()
    channel = models.CharField(max_length=12, choices=Channel.choices)
    received_at = models.DateTimeField()
    sent_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the sender of a mail says that it was sent, if that is before its receipt",
    )
    sending_counts = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Support decided that the day of sending counts for the cooling-off days",
    )

    account_number_given = models.CharField("account number as typed", max_length=40, blank=True)
    username_given = models.CharField("username as typed", max_length=150, blank=True)
    email_given = models.EmailField("e-mail address", max_length=254)
    name_given = models.CharField("name as typed", max_length=200, blank=True)
    jurisdiction = models.CharField(
        max_length=10,
        default=DEFAULT,
        help_text="Profile under which the request was declared (jurisdictions.py)",
    )
    proof = models.CharField(
        "required proof",
        max_length=6,
        choices=Proof.choices,
        default=Proof.LINK,
        help_text="More is required if our mail server could not authenticate the sender",
    )
    language = models.CharField(
        max_length=12, default="en", help_text="BCP 47; the language of the page, used for our mails"
    )
    kind_declared = models.CharField(max_length=12, choices=Kind.choices, default=Kind.ORDINARY)
    reason = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    words = models.TextField("in the customer’s words", blank=True)
    cause = models.TextField("ground for leaving at once", blank=True)
    requested_end = models.DateField("requested end date", null=True, blank=True)
    end_unread = models.TextField(
        "unclear end date",
        blank=True,
        default="",
        db_default="",
        help_text="What a mail says about the end, if no date could be read for certain",
    )
    end_stated_at = models.DateTimeField(
        null=True, blank=True, help_text="When the sender, or support, said what the requested end is"
    )
    end_stated_on = models.DateField(
        null=True, blank=True, help_text="What they said; empty for the earliest possible end"
    )
    refund_wanted = models.BooleanField("asks for a refund", default=False)
    refund_reason = models.TextField("why a refund", blank=True)

    survey_reason = models.CharField(
        "reason given after the declaration", max_length=20, choices=Reason.choices, blank=True
    )
    survey_words = models.TextField("words given after the declaration", blank=True)

    policy_version = models.ForeignKey(PolicyVersion, models.PROTECT, related_name="requests")
    verification_expires_at = models.DateTimeField(null=True, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)
    links_used = models.PositiveIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="How often a link from a mail was used to open it; each use ends all links sent before",
    )
    link_due_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When the mail with the proof link may go out, if it has to wait; empty once it went out",
    )

    account = models.ForeignKey(Account, models.PROTECT, null=True, blank=True, related_name="requests")
    subscription = models.ForeignKey(Subscription, models.PROTECT, null=True, blank=True, related_name="requests")
    time_zone = models.CharField(max_length=64, blank=True)
    next_billing_on = models.DateField("next billing date", null=True, blank=True)
    deadline_on = models.DateField("notice deadline", null=True, blank=True)
    deadline_counts_for = models.DateField(
        null=True, blank=True, help_text="The date that the deadline is for, if it is not the next billing date"
    )
    on_time = models.BooleanField(null=True, blank=True)
    effective_on = models.DateField("effective date", null=True, blank=True)
    effective_at = models.DateTimeField(null=True, blank=True)
    explanation = models.JSONField(default=list, blank=True)
    law_end_on = models.DateField("latest end by law", null=True, blank=True)
    law_source = models.CharField(max_length=80, blank=True, default="", db_default="")
    refund_quoted = MoneyField(**AMOUNT, default_currency=None, null=True, blank=True)
    refund_basis = models.CharField(
        max_length=6,
        choices=RefundBasis.choices,
        blank=True,
        default="",
        db_default="",
        help_text="Of the refund quoted",
    )
    refund_days = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Calendar days from the end within which the law wants the money paid back"
    )

    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.ORDINARY, help_text="What it counts as")
    kind_ground = models.TextField(blank=True, help_text="Why it counts as another kind than declared")
    ground_accepted = models.BooleanField(default=False, help_text="Support accepted the ground for leaving at once")
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    decision_words = models.TextField("message to the customer", blank=True)
    decline_ground = models.CharField(max_length=20, choices=DeclineGround.choices, blank=True)
    notice_waived_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    notice_waived_ground = models.TextField(blank=True)
    enforcement_error = models.TextField(
        blank=True, help_text="Why the worker could not take it into effect; it is set aside until support resumes it"
    )
    refund = models.OneToOneField(Refund, models.PROTECT, null=True, blank=True, related_name="+")

    assigned_to = models.ForeignKey(
        User,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Assignee; empty while it is in the queue",
    )
    joined_to = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="joined",
        help_text="The request of the same sender about the same contract with which this declaration counts",
    )
    receipt_counts_of = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        help_text="The joined declaration whose time of receipt and policy version count; empty: its own",
    )
    end_counts_of = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        help_text="The joined declaration whose requested end date counts; empty: its own",
    )
    superseded_by = models.ForeignKey(
        "Termination", models.PROTECT, null=True, blank=True, related_name="superseded_requests"
    )

    # When the request is due next, for staff and for the worker: its proof expires, or it takes effect. A request
    # that only staff can move on, to match it or to review its ground, is due from its receipt.
    due_at = models.GeneratedField(
        expression=Case(
            When(state=RequestState.UNVERIFIED, then=F("verification_expires_at")),
            When(state=RequestState.IN_REVIEW, effective_at__isnull=True, then=F("received_at")),
            When(state=RequestState.IN_REVIEW, kind=Kind.FOR_CAUSE, then=F("received_at")),
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
            ("change_kind", "Can change the kind of a cancellation"),
            ("export_cancellationrequest", "Can export cancellation requests"),
            ("assign_request", "Can claim, assign and release requests, and write notes on them"),
        ]
        indexes = [
            models.Index(fields=["due_at", "id"], condition=Q(state__in=OPEN), name="request_due"),
            models.Index(fields=["account", "received_at"], name="request_account"),
            models.Index(fields=["-received_at", "-id"], name="request_newest"),
            models.Index(fields=["due_at", "-received_at", "-id"], name="request_queue"),
            models.Index(fields=["state", "due_at", "-received_at", "-id"], name="request_queue_by_state"),
            models.Index(
                fields=["assigned_to", "due_at", "-received_at", "-id"],
                condition=Q(assigned_to__isnull=False),
                name="request_queue_by_person",
            ),
            models.Index(
                fields=["received_at"],
                condition=Q(state=RequestState.IN_REVIEW) & (Q(effective_at__isnull=True) | Q(kind=Kind.FOR_CAUSE)),
                name="request_stuck",
            ),
            models.Index(fields=["id"], condition=~Q(enforcement_error=""), name="request_set_aside"),
            models.Index(OpClass(Upper("account_number_given"), PREFIX), name="request_number_given"),
            models.Index(OpClass(Upper("username_given"), PREFIX), name="request_username_given"),
            models.Index(OpClass(Upper("email_given"), PREFIX), name="request_email_given"),
            models.Index(fields=["declaration"], name="request_declaration"),
            models.Index(
                fields=["link_due_at"],
                condition=Q(state=RequestState.UNVERIFIED, link_due_at__isnull=False),
                name="request_link_due",
            ),
            models.Index(fields=["joined_to"], condition=Q(joined_to__isnull=False), name="request_joined"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["submission_key", "part"], name="one_declaration_a_form"),
            models.UniqueConstraint(
                fields=["subscription"], condition=Q(state__in=OPEN), name="one_open_request_a_subscription"
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
                name="request_kind_changes_on_a_ground",
                condition=Q(kind=F("kind_declared")) | ~Q(kind_ground=""),
            ),
            models.CheckConstraint(
                name="request_ground_is_accepted_by_somebody",
                condition=Q(ground_accepted=False) | Q(kind=Kind.FOR_CAUSE, decided_by__isnull=False),
            ),
            models.CheckConstraint(
                name="request_joined_is_superseded",
                condition=Q(joined_to__isnull=True) | Q(state="superseded", verified_at__isnull=False),
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
                    "part",
                    "submission_key",
                    "channel",
                    "received_at",
                    "sent_at",
                    "account_number_given",
                    "username_given",
                    "email_given",
                    "name_given",
                    "jurisdiction",
                    "kind_declared",
                    "reason",
                    "words",
                    "cause",
                    "requested_end",
                    "end_unread",
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
    def counted_receipt(self) -> "CancellationRequest":
        """The declaration whose time of receipt and policy version count: this one, or an earlier one joined to it."""
        return self.receipt_counts_of or self

    @property
    def counted_end(self) -> date | None:
        """The requested end date that counts: this declaration's, or the earliest of those joined to it."""
        return (self.end_counts_of or self).asked_end

    @property
    def asked_end(self) -> date | None:
        """The requested end date of this declaration, as its sender wrote it or explained it later."""
        return self.end_stated_on if self.end_stated_at else self.requested_end

    @property
    def end_is_open(self) -> bool:
        """Whether somebody still has to find out when it should end: nothing ends before.

        What ends at once, within the cooling-off days or for cause, asks for no date.
        """
        return self.kind == Kind.ORDINARY and self.end_unread != "" and self.end_stated_at is None

    @property
    def at_once(self) -> bool:
        """Whether it ends by its receipt, without waiting for a billing date."""
        return self.effective_at is not None and self.effective_at == self.counted_receipt.received_at

    @property
    def ground_is_open(self) -> bool:
        """Whether support still has to review the ground of a for-cause cancellation."""
        return self.state in OPEN and self.kind == Kind.FOR_CAUSE and not self.ground_accepted

    @property
    def may_be_asked_why(self) -> bool:
        """Whether the question after the declaration may be asked: proven, and no reason given yet."""
        return not self.reason and not self.survey_reason and self.verified_at is not None

    @property
    def came_late(self) -> bool:
        """Whether the request ends later because it was late. False if notice was waived or a later end requested."""
        deadline_for = self.deadline_for
        if self.on_time is not False or self.notice_waived_by_id is not None or deadline_for is None:
            return False
        return self.counted_end is None or self.counted_end <= deadline_for

    @property
    def deadline_for(self) -> date | None:
        """The date that the notice deadline is for: the next billing date, or a later one because of a minimum term."""
        return self.deadline_counts_for or self.next_billing_on
