"""People who sign in, and the accounts (contract holders) that the company keeps."""

from typing import Any, ClassVar

import pghistory
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models.functions import Lower, Upper
from django.utils.translation import gettext_lazy as _

PREFIX = "text_pattern_ops"  # an index that also answers «begins with», in a database of any collation


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A person who signs in; without a password, by a code sent to the e-mail address only."""
        user = self.model(email=email, **fields)
        user.set_password(password)  # None makes it unusable
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who signs in: a customer (by code, never with a password) or a member of staff."""

    email = models.EmailField("e-mail address", max_length=254, unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_staff = models.BooleanField("staff", default=False, help_text="May enter the staff interface")
    is_active = models.BooleanField("active", default=True)
    date_joined = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_whatever_the_case")]

    def __str__(self) -> str:
        return self.name or self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = self.email.strip().lower()  # one spelling, so that no look-up has to think of others
        super().save(*args, **kwargs)


class AccountStatus(models.TextChoices):
    ACTIVE = "active", _("active")
    CLOSED = "closed", _("closed")


@pghistory.track(pghistory.UpdateEvent(), pghistory.DeleteEvent(), level=pghistory.Statement)
class Account(models.Model):
    """The contract holder at the company, as the company's own system knows it."""

    account_number = models.CharField(max_length=40, unique=True)
    username = models.CharField(max_length=150, unique=True)
    name = models.CharField(max_length=200)
    email = models.EmailField("e-mail address", max_length=254)
    country = models.CharField(max_length=2, help_text="ISO 3166-1, two letters")
    time_zone = models.CharField(max_length=64, help_text="IANA name; all dates of the account are local to it")
    language = models.CharField(max_length=12, help_text="BCP 47")
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    customer_since = models.DateField()
    status = models.CharField(max_length=10, choices=AccountStatus.choices, default=AccountStatus.ACTIVE)
    sign_in_revoked_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Since when nobody may sign in to it; the portal's own, never imported",
    )
    erased_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its personal data was erased; an import brings none back"
    )

    class Meta:
        ordering = ["account_number"]
        # Upper, because that is how Django compares whatever the case (`iexact`, `istartswith`) on PostgreSQL
        indexes = [
            models.Index(OpClass(Upper("email"), PREFIX), name="account_email"),
            models.Index(OpClass(Upper("account_number"), PREFIX), name="account_number"),
            models.Index(OpClass(Upper("username"), PREFIX), name="account_username"),
            GinIndex(SearchVector("name", config="simple"), name="account_name_words"),
        ]

    def __str__(self) -> str:
        return f"{self.account_number} {self.name}"


class SavedFilter(models.Model):
    """A list of the staff interface as somebody wants to see it again: its filters, search and order."""

    owner = models.ForeignKey(User, models.CASCADE, related_name="saved_filters")
    list_name = models.CharField(max_length=80, help_text="Such as cancellations.cancellationrequest")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000, blank=True, help_text="The part of the address after the question mark")
    shared = models.BooleanField(default=False, help_text="All who see the list see it, too")

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["owner", "list_name", "name"], name="one_filter_of_a_name")]

    def __str__(self) -> str:
        return self.name


class Looking(models.Model):
    """That somebody has the page of a row open. Says nothing once it is some seconds old."""

    person = models.ForeignKey(User, models.CASCADE, related_name="+")
    page = models.CharField(max_length=120, help_text="The row, such as billing.refund:…")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["page", "person"], name="one_look_a_page_and_person")]

    def __str__(self) -> str:
        return f"{self.person} at {self.page}"
