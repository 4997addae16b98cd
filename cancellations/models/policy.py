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
from billing.models import RefundBasis, Subscription
from billing.models.subscriptions import IntervalUnit
from cancellations.models.states import POLICY_TRANSITIONS, PolicyState
from cancellations.rules.terms import SpecialTerms, most_exact, parse_special_terms

MAX_DAYS = 32_767  # of a PositiveSmallIntegerField
TERMINATION_BASES = [choice for choice in RefundBasis.choices if choice[0] != RefundBasis.CUSTOM]


# A published version may only be recalled, with who, when and why; nothing else of it changes, and nothing afterwards.
ONLY_RECALLED = """
    IF TG_OP = 'DELETE' OR OLD.state = 'recalled' OR NEW.state <> 'recalled'
            OR to_jsonb(OLD) - '{state,recalled_at,recalled_by_id,recall_ground}'::text[]
            IS DISTINCT FROM to_jsonb(NEW) - '{state,recalled_at,recalled_by_id,recall_ground}'::text[] THEN
        RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
    END IF;
    RETURN NEW;
"""


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


def special_terms_are_complete(rows: object) -> None:
    """Raises ValidationError unless each row has a plan code or an interval, and a value that differs."""
    if not isinstance(rows, list):
        raise ValidationError("Write the special terms as rows.")
    seen = set()
    for row in rows:
        try:
            terms = SpecialTerms(**row)
        except TypeError as error:
            raise ValidationError("A row of special terms has unknown columns.") from error
        _special_row_is_complete(terms)
        key = (terms.plan_code, terms.interval_unit)
        if key in seen:
            raise ValidationError(f"There are two rows for {terms.plan_code or terms.interval_unit}. Join them.")
        seen.add(key)


def _special_row_is_complete(terms: SpecialTerms) -> None:
    name = terms.plan_code or terms.interval_unit or "A row"
    if bool(terms.plan_code) == bool(terms.interval_unit):
        raise ValidationError(f"{name}: write either a plan code or a billing interval.")
    if terms.plan_code == "*" or "*" in terms.plan_code[:-1]:
        raise ValidationError(f"{name}: write * only at the end of a plan code, after the start of the code.")
    if terms.interval_unit and terms.interval_unit not in IntervalUnit.values:
        raise ValidationError(f"{name} is no billing interval: choose day, week, month or year.")
    days = (terms.notice_days, terms.trial_notice_days)
    if any(value is not None and (type(value) is not int or not 0 <= value <= MAX_DAYS) for value in days):
        raise ValidationError(f"{name}: days are whole numbers from 0 to {MAX_DAYS}.")
    if terms.refund_basis not in ("", *(value for value, _ in TERMINATION_BASES)):
        raise ValidationError(f"{name}: choose a refund basis from the list.")
    if days == (None, None) and not terms.refund_basis:
        raise ValidationError(f"{name}: write what differs, such as the notice, or remove the row.")


class ReviewMode(models.TextChoices):
    EVERY = "every", _("support reviews every request")
    EXCEPTIONS = "exceptions", _("only unclear requests are reviewed")


@tracked(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class PolicyVersion(models.Model):
    """The policy as text and as figures. Once published, it never changes (policy 4.1).

    Before it comes into force it can be recalled; it then stays in the history as recalled.
    """

    number = models.PositiveIntegerField(unique=True)
    state = models.CharField(max_length=10, choices=PolicyState.choices, default=PolicyState.DRAFT)
    text = models.TextField(help_text="Markdown. {notice_days} and the other figures are filled in when shown")
    change_summary = models.TextField(blank=True, help_text="What changed, in a sentence; needed to publish")
    effective_from = models.DateTimeField(null=True, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    published_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")

    recalled_at = models.DateTimeField(null=True, blank=True)
    recalled_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    recall_ground = models.TextField(blank=True, db_default="", help_text="Customers read it in the policy's history")

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
        help_text="By currency. Above it, and in any other currency, two people approve",
    )
    special_terms = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        validators=[special_terms_are_complete],
        help_text="For a plan code (exact, or its start with * at the end) or a billing interval. The most exact row "
        "counts for each value; what no row sets is as above",
    )
    termination_basis = models.CharField(
        "refund proposed on termination",
        max_length=6,
        choices=TERMINATION_BASES,
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
            ),
            models.CheckConstraint(
                name="policy_recalled_before_its_day",
                condition=~Q(state="recalled") | (Q(recalled_at__lt=models.F("effective_from")) & ~Q(recall_ground="")),
            ),
        ]
        triggers = [
            pgtrigger.FSM(name="policy_state", field="state", transitions=list(POLICY_TRANSITIONS)),
            pgtrigger.Trigger(
                name="policy_published_stays",
                when=pgtrigger.Before,
                operation=pgtrigger.Update | pgtrigger.Delete,
                condition=pgtrigger.Q(old__state__in=["published", "recalled"]),
                func=ONLY_RECALLED,
            ),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"

    def special_for(self, subscription: Subscription, name: str) -> SpecialTerms | None:
        """Returns the most exact special terms that set the value `name` for the subscription; None if none do."""
        return most_exact(
            parse_special_terms(self.special_terms),
            name,
            plan_code=subscription.plan_code,
            interval_unit=subscription.interval_unit,
        )
