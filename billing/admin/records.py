"""Subscriptions and payments, read-only."""

from django.contrib import admin
from unfold.decorators import display

from accounts.desk import DeskAdmin
from billing.models import Payment, Subscription
from messaging.wording import money_words


@admin.register(Subscription)
class SubscriptionAdmin(DeskAdmin):
    list_display = ["reference", "account", "plan_name", "shown_price", "billing_anchor", "ended_on"]
    list_filter = ["interval_unit", "ended_by"]
    search_fields = ["reference", "account__account_number", "account__name", "plan_name"]
    list_select_related = ["account"]

    @display(description="price")
    def shown_price(self, subscription: Subscription) -> str:
        return f"{money_words(subscription.price)} / {subscription.interval}"


@admin.register(Payment)
class PaymentAdmin(DeskAdmin):
    list_display = ["reference", "account", "period_start", "period_end", "shown_amount", "paid_at", "method"]
    search_fields = ["reference", "subscription__reference", "account__account_number"]
    list_select_related = ["account"]

    @display(description="amount")
    def shown_amount(self, payment: Payment) -> str:
        return money_words(payment.amount)
