"""Webhooks to the company's systems: endpoints, events, and deliveries of events to endpoints."""

import uuid

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class EventType(models.TextChoices):
    REQUEST_RECEIVED = "request.received", "request.received: a cancellation was received, and its sender is verified"
    REQUEST_SCHEDULED = "request.scheduled", "request.scheduled: its end date is set"
    REQUEST_WITHDRAWN = "request.withdrawn", "request.withdrawn: the customer took it back"
    SUBSCRIPTION_ENDED = "subscription.ended", "subscription.ended: the subscription ended"
    ACCOUNT_TERMINATED = "account.terminated", "account.terminated: the company terminated the account"
    ACCOUNT_REINSTATED = "account.reinstated", "account.reinstated: a termination was reversed on appeal"
    REFUND_APPROVED = "refund.approved", "refund.approved: the refund will be paid"
    REFUND_PAID = "refund.paid", "refund.paid: the refund was paid"
    POLICY_PUBLISHED = "policy.published", "policy.published: a new policy version"


class EndpointState(models.TextChoices):
    ACTIVE = "active", "active"
    DISABLED = "disabled", "disabled"


class WebhookEndpoint(models.Model):
    """An address that receives webhooks. Its secrets are stored encrypted.

    After a rotation the old secret signs as well, until `old_secret_until` (Standard Webhooks, «key rotation»).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, unique=True)
    url = models.CharField("address", max_length=500)
    event_types = ArrayField(models.CharField(max_length=40, choices=EventType.choices))
    state = models.CharField(max_length=8, choices=EndpointState.choices, default=EndpointState.ACTIVE)
    secret_sealed = models.TextField(editable=False)
    old_secret_sealed = models.TextField(blank=True, editable=False)
    old_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    warned_at = models.DateTimeField(null=True, blank=True, editable=False)
    next_call_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="If it answers slowly: when it may be called again"
    )
    disabled_why = models.CharField(max_length=250, blank=True, editable=False)

    class Meta:
        verbose_name = "webhook endpoint"
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(name="endpoint_hears_something", condition=~Q(event_types=[])),
            models.CheckConstraint(name="endpoint_has_a_secret", condition=~Q(secret_sealed="")),
        ]
        permissions = [("send_webhook_again", "Can send a webhook again")]

    def __str__(self) -> str:
        return self.name


class WebhookEvent(models.Model):
    """An event and its payload: stored in the same transaction as the change, and never changed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    type = models.CharField(max_length=40, choices=EventType.choices)
    subject = models.CharField(
        max_length=60, help_text="What it is about. Events with the same subject are sent in order"
    )
    occurred_at = models.DateTimeField()
    payload = models.JSONField()

    class Meta:
        ordering = ["-occurred_at"]
        indexes = [models.Index(fields=["subject"], name="webhook_event_subject")]
        triggers = [
            pgtrigger.Protect(name="webhook_event_stays", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.subject}"


class DeliveryState(models.TextChoices):
    PENDING = "pending", "waiting"
    DELIVERED = "delivered", "delivered"
    GIVEN_UP = "given_up", "given up"


DELIVERY_TRANSITIONS = (
    (DeliveryState.PENDING, DeliveryState.DELIVERED),
    (DeliveryState.PENDING, DeliveryState.GIVEN_UP),
    (DeliveryState.GIVEN_UP, DeliveryState.PENDING),
    (DeliveryState.DELIVERED, DeliveryState.PENDING),
)


class WebhookDelivery(models.Model):
    """One event for one endpoint. The row is also the queue entry; its id gives the order within a subject."""

    endpoint = models.ForeignKey(WebhookEndpoint, models.PROTECT, related_name="deliveries")
    event = models.ForeignKey(WebhookEvent, models.PROTECT, related_name="deliveries")
    subject = models.CharField(max_length=60)
    state = models.CharField(max_length=9, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    due_at = models.DateTimeField(help_text="Next attempt; while a worker holds the row, the end of its lease")
    attempts = models.PositiveSmallIntegerField(default=0)
    first_tried_at = models.DateTimeField(null=True, blank=True)
    last_tried_at = models.DateTimeField(null=True, blank=True)
    last_status = models.PositiveSmallIntegerField("answer", null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state=DeliveryState.PENDING), name="webhook_due"),
            models.Index(
                fields=["endpoint", "subject", "id"], condition=Q(state=DeliveryState.PENDING), name="webhook_in_order"
            ),
            models.Index(fields=["endpoint", "-id"], name="webhook_of_endpoint"),
        ]
        constraints = [models.UniqueConstraint(fields=["endpoint", "event"], name="one_delivery_an_endpoint")]
        triggers = [
            pgtrigger.FSM(name="delivery_state", field="state", transitions=list(DELIVERY_TRANSITIONS)),
            pgtrigger.Protect(name="delivery_stays", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.endpoint}"
