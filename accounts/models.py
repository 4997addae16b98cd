"""Users, the company's accounts (contract holders), and the records of what staff do."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pghistory
import pgtrigger
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models.functions import Lower, Upper
from django.utils.translation import gettext_lazy as _
from pghistory.models import Context

from accounts.history import NOTE_CONTEXT, audited, tracked
from messaging.addresses import fold_address
from messaging.numbers import NumberKey

PREFIX = "text_pattern_ops"  # an index that also answers «begins with», in a database of any collation


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Creates a user; without a password, they can sign in only by a code sent to the e-mail address."""
        user = self.model(email=email, **fields)
        user.set_password(password)  # None makes it unusable
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=fold_address(username or ""))


_WHO = ["email", "name", "is_staff", "is_active", "is_superuser"]
_STAFF = pgtrigger.Q(new__is_staff=True)
_ROWS = [f"ROW({', '.join(f'{row}.{name}' for name in _WHO)})" for row in ("OLD", "NEW")]
_IS_OR_WAS_STAFF = pgtrigger.Condition(f"((OLD.is_staff OR NEW.is_staff) AND {_ROWS[0]} IS DISTINCT FROM {_ROWS[1]})")
# The version never goes down, so that saving a row that was read before revives no session.
_END_SESSIONS = """
    NEW.session_version := GREATEST(NEW.session_version, OLD.session_version);
    IF NEW.session_version = OLD.session_version
       AND ROW(OLD.email, OLD.is_staff, OLD.is_active, OLD.is_superuser)
           IS DISTINCT FROM ROW(NEW.email, NEW.is_staff, NEW.is_active, NEW.is_superuser) THEN
        NEW.session_version := OLD.session_version + 1;
    END IF;
    RETURN NEW;
"""


@tracked(
    pghistory.InsertEvent(condition=_STAFF),
    pghistory.UpdateEvent(condition=_IS_OR_WAS_STAFF),
    pghistory.DeleteEvent(condition=pgtrigger.Q(old__is_staff=True)),
    fields=_WHO,
    model_name="UserEvent",
)
class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in: a customer (by code or passkey, never with a password) or a member of staff."""

    email = models.EmailField("e-mail address", max_length=254, unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_staff = models.BooleanField("staff", default=False, help_text="Can sign in to the staff interface")
    is_active = models.BooleanField("active", default=True)
    date_joined = models.DateTimeField(auto_now_add=True)
    language = models.CharField(
        max_length=12, default="en", db_default="en", help_text="BCP 47; mails about signing in to staff are in it"
    )
    session_version = models.IntegerField(
        default=0, db_default=0, editable=False, help_text="A higher number ends all sessions begun before"
    )

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_whatever_the_case")]
        triggers = [
            pgtrigger.Trigger(
                name="sessions_end_with_access", when=pgtrigger.Before, operation=pgtrigger.Update, func=_END_SESSIONS
            )
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def get_session_auth_hash(self) -> str:
        return self._with_version(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        yield from map(self._with_version, super().get_session_auth_fallback_hash())

    def _with_version(self, digest: str) -> str:
        """Version 0 is Django's own digest, so that sessions of an earlier release go on."""
        return f"{digest}-{self.session_version}" if self.session_version else digest

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = fold_address(self.email)  # one spelling, so that look-ups can compare exactly
        super().save(*args, **kwargs)


@tracked(pghistory.InsertEvent(), pghistory.DeleteEvent(), obj_field=None, model_name="MembershipEvent")
class Membership(User.groups.through):  # type: ignore[name-defined,misc]  # made by Django
    """A user has a role."""

    class Meta:
        proxy = True


class CustomerType(models.TextChoices):
    CONSUMER = "consumer", _("consumer")
    BUSINESS = "business", _("business")
    UNKNOWN = "unknown", _("not known")


class AccountStatus(models.TextChoices):
    ACTIVE = "active", _("active")
    CLOSED = "closed", _("closed")


@tracked(pghistory.UpdateEvent(), pghistory.DeleteEvent(), level=pghistory.Statement)
class Account(models.Model):
    """A contract holder, imported from the company's own system."""

    account_number = models.CharField(max_length=40, unique=True)
    username = models.CharField(max_length=150, unique=True)
    name = models.CharField(max_length=200)
    email = models.EmailField("e-mail address", max_length=254)
    customer_type = models.CharField(
        max_length=8,
        choices=CustomerType.choices,
        default=CustomerType.UNKNOWN,
        db_default=CustomerType.UNKNOWN,
        help_text="Whether the law for consumers applies",
    )
    country = models.CharField(max_length=2, help_text="ISO 3166-1, two letters")
    region = models.CharField(
        max_length=3, blank=True, default="", db_default="", help_text="ISO 3166-2 without the country; the US state"
    )
    time_zone = models.CharField(max_length=64, help_text="IANA name; all dates of the account are local to it")
    language = models.CharField(max_length=12, help_text="BCP 47")
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    customer_since = models.DateField()
    status = models.CharField(max_length=10, choices=AccountStatus.choices, default=AccountStatus.ACTIVE)
    sign_in_revoked_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the right to sign in was revoked. Set by the portal, never imported",
    )
    erased_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When its personal data was erased. An import does not restore it",
    )

    class Meta:
        ordering = ["account_number"]
        # Upper, because Django compares with it in `iexact` and `istartswith` on PostgreSQL
        indexes = [
            models.Index(OpClass(Upper("email"), PREFIX), name="account_email"),
            models.Index(OpClass(Upper("account_number"), PREFIX), name="account_number"),
            models.Index(NumberKey("account_number"), name="account_number_key"),
            models.Index(OpClass(Upper("username"), PREFIX), name="account_username"),
            GinIndex(SearchVector("name", config="simple"), name="account_name_words"),
        ]

    def __str__(self) -> str:
        return f"{self.account_number} {self.name}"


class SavedFilter(models.Model):
    """A saved view of a list of the staff interface: its filters, search and order."""

    owner = models.ForeignKey(User, models.CASCADE, related_name="saved_filters")
    list_name = models.CharField(max_length=80, help_text="Such as cancellations.cancellationrequest")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000, blank=True, help_text="The part of the address after the question mark")
    shared = models.BooleanField(default=False, help_text="Visible to everybody who can see the list")

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["owner", "list_name", "name"], name="one_filter_of_a_name")]

    def __str__(self) -> str:
        return self.name


class Presence(models.Model):
    """Somebody has the page of a row open. Only counts while it is recent (accounts/desk/presence.py)."""

    person = models.ForeignKey(User, models.CASCADE, related_name="+")
    page = models.CharField(max_length=120, help_text="The row, such as billing.refund:…")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["page", "person"], name="one_presence_a_page_and_person")]

    def __str__(self) -> str:
        return f"{self.person} at {self.page}"


class HistoryContext(Context):
    """The context of history rows (who, why and where), with an audit entry for each."""

    class Meta:
        proxy = True
        triggers = [audited(NOTE_CONTEXT)]


class StaffAction(models.Model):
    """An action of staff that changes no row: signing in, exporting, downloading. Written once."""

    at = models.DateTimeField()
    by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    verb = models.CharField(max_length=40)
    about = models.CharField(max_length=254, blank=True)
    why = models.TextField(blank=True)
    actor = models.CharField(max_length=10, default="staff")
    address = models.CharField("network address", max_length=64, blank=True)

    class Meta:
        indexes = [models.Index(fields=["verb", "about", "at"], name="staff_action_about")]
        triggers = [
            pgtrigger.Protect(name="staff_action_stays", operation=pgtrigger.Update | pgtrigger.Delete),
            audited(),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.about}"


class AuditShape(models.Model):
    """The columns of a history table at the time of an audit entry."""

    table_name = models.CharField(max_length=63)
    columns = ArrayField(models.TextField())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["table_name", "columns"], name="one_shape_a_set_of_columns")]

    def __str__(self) -> str:
        return self.table_name


NOTED = (
    "at", "table_name", "row_key", "operation", "shape", "digest", "verb", "actor", "by", "about", "address", "page",
)  # fmt: skip


class AuditEntry(models.Model):
    """A history row was written, changed or removed: recorded by a trigger, sealed in a chain soon after.

    `digest` is SHA-256 over the history row at that time. `seal` is a keyed hash (HMAC) over this entry and the seal
    before it: whoever can change the database but does not have the key cannot change or remove a sealed entry
    without being detected.
    """

    OPERATIONS = [("I", "written"), ("U", "changed"), ("D", "removed")]

    at = models.DateTimeField("when")
    table_name = models.CharField(max_length=63)
    row_key = models.CharField(max_length=40)
    operation = models.CharField(max_length=1, choices=OPERATIONS)
    shape = models.ForeignKey(AuditShape, models.PROTECT, related_name="+", db_constraint=False)
    digest = models.CharField(max_length=64)
    verb = models.CharField(max_length=40, blank=True)
    actor = models.CharField(max_length=10, blank=True)
    by = models.ForeignKey(User, models.DO_NOTHING, null=True, related_name="+", db_constraint=False)
    about = models.CharField(max_length=254, blank=True)
    address = models.CharField("from", max_length=64, blank=True)
    page = models.CharField(max_length=250, blank=True)
    number = models.PositiveBigIntegerField(unique=True, null=True, editable=False)
    key = models.CharField(max_length=8, blank=True, editable=False, help_text="The key that sealed it")
    seal = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        permissions = [("export_auditentry", "Can export the audit")]
        indexes = [
            models.Index(fields=["table_name", "row_key", "-id"], name="audit_row"),
            models.Index(fields=["about", "-id"], name="audit_about"),
            models.Index(fields=["by", "-id"], name="audit_by"),
            models.Index(fields=["verb", "-id"], name="audit_verb"),
            models.Index(fields=["at"], name="audit_at"),
            models.Index(fields=["id"], condition=models.Q(number__isnull=True), name="audit_unsealed"),
        ]
        triggers = [
            pgtrigger.Protect(name="audit_stays", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="audit_sealed_stays", operation=pgtrigger.Update, condition=pgtrigger.Q(old__number__isnull=False)
            ),
            pgtrigger.ReadOnly(
                name="audit_note_stays",
                fields=[
                    "at",
                    "table_name",
                    "row_key",
                    "operation",
                    "shape",
                    "digest",
                    "verb",
                    "actor",
                    "by",
                    "about",
                    "address",
                    "page",
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"entry {self.number or 'not yet sealed'}"


class AuditHead(models.Model):
    """The last entry of the chain, with a seal of its own, so that entries missing at the end are detected."""

    number = models.PositiveBigIntegerField()
    seal = models.CharField(max_length=64)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"head of the audit at {self.number}"
