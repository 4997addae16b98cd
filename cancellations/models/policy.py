"""Policy versions: the text and the figures that apply to a request (policy 4.1)."""

from decimal import Decimal, InvalidOperation

import pghistory
import pgtrigger
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from moneyed import CURRENCIES

from accounts.history import tracked
from accounts.models import User
from billing.models import RefundBasis
from cancellations.models.states import POLICY_TRANSITIONS, PolicyState


def limits_are_sums(limits: object) -> None:
    """Raises ValidationError unless it maps currencies (ISO 4217) to sums of zero or more, such as {"EUR": "500"}."""
    if not isinstance(limits, dict):
        raise ValidationError('Write the limits by currency, like {"EUR": "500", "JPY": "80000"}.')
    for code, limit in limits.items():
        if code not in CURRENCIES:
            raise ValidationError(f"{code} is no currency code, such as EUR.")
        try:
            sum_ = Decimal(limit) if isinstance(limit, str) else Decimal("NaN")
        except InvalidOperation:
            sum_ = Decimal("NaN")
        if not sum_.is_finite() or sum_ < 0:
            raise ValidationError(f'The limit for {code} is no sum of zero or more; write it in quotes, like "500.00".')


class ReviewMode(models.TextChoices):
    EVERY = "every", _("support reviews every request")
    EXCEPTIONS = "exceptions", _("only unclear requests are reviewed")


@tracked(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
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
    verification_days = models.PositiveSmallIntegerField(
        "time to prove the address (days)", default=30, validators=[MinValueValidator(1)]
    )
    review_mode = models.CharField("review", max_length=10, choices=ReviewMode.choices, default=ReviewMode.EVERY)
    refund_decision_days = models.PositiveSmallIntegerField("refund decided within (working days)", default=5)
    refund_payment_days = models.PositiveSmallIntegerField("refund paid within (working days)", default=10)
    approval_limits = models.JSONField(
        "one approver up to",
        default=dict,
        blank=True,
        validators=[limits_are_sums],
        help_text='By currency, for example {"EUR": "500"}. Above it, and in any other currency, two people approve',
    )
    termination_basis = models.CharField(
        "refund proposed on termination",
        max_length=6,
        choices=[choice for choice in RefundBasis.choices if choice[0] != RefundBasis.CUSTOM],
        default=RefundBasis.UNUSED,
        help_text="What the manager's page starts from; the refund is decided case by case (policy 3.2)",
    )
    termination_needs_two = models.BooleanField(
        "a second manager confirms a termination", default=False, help_text="Until then nothing happens to the account"
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
