"""Accounts, read-only, with the rows that belong to each."""

from django.contrib import admin

from accounts.desk import VerbAdmin
from accounts.models import Account


@admin.register(Account)
class AccountAdmin(VerbAdmin):
    change_form_template = "desk/account.html"
    list_display = ["account_number", "name", "username", "email", "country", "status"]
    list_filter = ["status", "country", "customer_type"]
    search_fields = ["account_number", "username", "email", "name"]
