"""Terminations: the company ends an account (policy 3.1). They can be reversed on appeal."""

import pghistory
import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.history import tracked
from accounts.models import Account, User
from billing.models import EndedBy, Refund, Subscription
from billing.rules.references import new_reference
from cancellations.models.policy import PolicyVersion
from cancellations.models.states import TERMINATION_TRANSITIONS, TerminationState


class TerminationGround(models.TextChoices):
    """The only grounds, as in policy 3.1."""

    BREACH_OF_TERMS = "breach_of_terms", _("Breach of the terms")
    HARMFUL_ACTIVITY = "harmful_activity", _("Activity that harms others")
    NON_PAYMENT = "non_payment", _("Payments that did not arrive")
    FRAUD = "fraud", _("Fraud")
    LEGAL_ORDER = "legal_order", _("An order of a court or an authority")


def termination_reference() -> str:
    return new_reference("TM")


@tracked(pghistory.InsertEvent(), pghistory.UpdateEvent())
class Termination(models.Model):
    """The termination of an account: ground, evidence, who decided it, and its state."""

    reference = models.CharField(max_length=20, unique=True, default=termination_reference, editable=False)
    account = models.ForeignKey(Account, models.PROTECT, related_name="terminations")
    state = models.CharField(max_length=10, choices=TerminationState.choices)
    state_changed_at = models.DateTimeField()
    policy_version = models.ForeignKey(PolicyVersion, models.PROTECT, related_name="+")

    ground = models.CharField(max_length=20, choices=TerminationGround.choices)
    description = models.TextField(help_text="What happened. The customer reads it")
    evidence = models.TextField(blank=True, help_text="What proves it, and where it is stored. Only staff see it")
    refund_proposed = models.BooleanField("a refund is proposed")
    refund_ground = models.TextField("why, or why not")
    revoke_sign_in = models.BooleanField("sign-in is revoked")

    proposed_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    needs_confirmation = models.BooleanField(help_text="From the policy version: a second manager confirms")
    confirmed_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    effective_at = models.DateTimeField(null=True, blank=True)
    effective_on = models.DateField(null=True, blank=True, help_text="In the account's zone; first day without service")
    settled_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    settled_ground = models.TextField("ground for the reversal or discarding", blank=True)

    class Meta:
        ordering = ["-proposed_at"]
        permissions = [("terminate_account", "Can terminate an account, and reverse that")]
        constraints = [
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(state__in=["proposed", "effective"]),
                name="one_standing_termination_an_account",
            ),
            models.CheckConstraint(
                name="termination_is_confirmed_by_somebody_else",
                condition=Q(confirmed_by__isnull=True) | ~Q(confirmed_by=F("proposed_by")),
            ),
            models.CheckConstraint(
                name="termination_effective_is_confirmed_and_dated",
                condition=~Q(state__in=["effective", "reversed"])
                | Q(effective_at__isnull=False, effective_on__isnull=False)
                & (Q(needs_confirmation=False) | Q(confirmed_by__isnull=False)),
            ),
            models.CheckConstraint(
                name="termination_settled_on_a_ground",
                condition=~Q(state__in=["discarded", "reversed"]) | ~Q(settled_ground="") & Q(settled_by__isnull=False),
            ),
            models.CheckConstraint(
                name="termination_states_what_and_why", condition=~Q(description="") & ~Q(refund_ground="")
            ),
        ]
        triggers = [
            pgtrigger.FSM(name="termination_state", field="state", transitions=list(TERMINATION_TRANSITIONS)),
            pgtrigger.Protect(name="termination_stays", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="termination_case_stays",
                fields=[
                    "reference",
                    "account",
                    "policy_version",
                    "ground",
                    "description",
                    "evidence",
                    "refund_proposed",
                    "refund_ground",
                    "revoke_sign_in",
                    "proposed_by",
                    "proposed_at",
                    "needs_confirmation",
                ],
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class TerminatedSubscription(models.Model):
    """What a termination changed on one subscription, so that a reversal can restore it."""

    termination = models.ForeignKey(Termination, models.PROTECT, related_name="subscriptions")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="+")
    ended_on_before = models.DateField(null=True, blank=True)
    ended_by_before = models.CharField(max_length=6, choices=EndedBy.choices, blank=True)
    refund = models.OneToOneField(Refund, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["termination", "subscription"], name="subscription_once_a_termination")
        ]
        triggers = [pgtrigger.Protect(name="terminated_stays", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.subscription} by {self.termination}"
