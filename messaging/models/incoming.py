"""Incoming mail: mailboxes, and messages with their raw content, time of arrival and parsed fields."""

import uuid

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper


class Mailbox(models.Model):
    """A folder on a mail server, and the position up to which it is read. The folder itself is never changed.

    `uid_validity` and `last_uid` come from the server (RFC 9051, 2.3.1.1): as long as the UIDVALIDITY stays the
    same, messages keep their UIDs, and new messages have greater ones.
    """

    name = models.CharField(max_length=254, unique=True, help_text="user@server/folder")
    uid_validity = models.BigIntegerField(null=True, blank=True)
    last_uid = models.BigIntegerField(default=0)
    passed_over = models.PositiveIntegerField(default=0, help_text="Skipped: too old when the mailbox was first read")
    read_at = models.DateTimeField("last read", null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True, help_text="End of the lease of the worker that reads it")
    failing_since = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "mailboxes"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Door(models.TextChoices):
    """The source of a mail."""

    MAILBOX = "mailbox", "mailbox"
    WEBHOOK = "webhook", "mail provider"
    COMMAND = "command", "mail server"


class ReadState(models.TextChoices):
    WAITING = "waiting", "waiting to be read"
    READ = "read", "read"
    DUPLICATE = "duplicate", "a duplicate"
    SET_ASIDE = "set_aside", "set aside"


class Sort(models.TextChoices):
    """Who or what wrote a mail."""

    PERSON = "person", "a person"
    AUTOMATIC = "automatic", "an automatic reply"
    BOUNCE = "bounce", "a delivery report"
    LIST = "list", "a list or newsletter"
    OWN = "own", "our own mail"


class Checked(models.TextChoices):
    """Whether our own mail server could confirm the sender (RFC 8601)."""

    PASSED = "passed", "the sender is genuine"
    FAILED = "failed", "the sender may be forged"
    UNKNOWN = "unknown", "not checked"


READ_TRANSITIONS = (
    (ReadState.WAITING, ReadState.READ),
    (ReadState.WAITING, ReadState.DUPLICATE),
    (ReadState.WAITING, ReadState.SET_ASIDE),
    (ReadState.SET_ASIDE, ReadState.WAITING),
)


class IncomingMessage(models.Model):
    """One mail. The row is also the queue entry: if a worker dies while reading it, the row is unchanged.

    `raw` and `arrived_at` are stored first and never change. If a mail is too large, `raw` is only its beginning.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    door = models.CharField(max_length=8, choices=Door.choices)
    mailbox = models.ForeignKey(Mailbox, models.PROTECT, null=True, blank=True, related_name="messages")
    uid_validity = models.BigIntegerField(null=True, blank=True)
    uid = models.BigIntegerField(null=True, blank=True)
    arrived_at = models.DateTimeField("arrived", help_text="When our mail server received it")
    stored_at = models.DateTimeField()
    size = models.PositiveIntegerField(help_text="In bytes, as reported by the server")
    raw = models.BinaryField()

    state = models.CharField(max_length=10, choices=ReadState.choices, default=ReadState.WAITING)
    due_at = models.DateTimeField(
        help_text="When it is due to be read; while a worker holds the row, the end of its lease"
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.TextField(blank=True)

    message_id = models.CharField("Message-ID", max_length=250, blank=True)
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 over sender, subject, text and files")
    in_reply_to = models.CharField(max_length=250, blank=True)
    references = ArrayField(models.CharField(max_length=250), default=list, blank=True)
    sender = models.EmailField("from", max_length=320, blank=True)
    sender_name = models.CharField(max_length=200, blank=True)
    subject = models.CharField(max_length=250, blank=True)
    text = models.TextField(blank=True)
    html = models.TextField(blank=True, db_default="", help_text="Sanitised")
    files = models.JSONField(default=list, blank=True, help_text="Name, type and bytes of each attached file")
    remarks = models.JSONField(default=list, blank=True, help_text="What was left out or could not be read")
    sort = models.CharField(max_length=10, choices=Sort.choices, blank=True)
    checked = models.CharField(max_length=8, choices=Checked.choices, default=Checked.UNKNOWN)
    about = models.CharField(max_length=40, blank=True, help_text="The reference that it belongs to")
    thread = models.CharField(max_length=20, blank=True, help_text="The conversation that it belongs to")
    outcome = models.CharField(max_length=250, blank=True, help_text="What happened to it")
    duplicate_of = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = "incoming message"
        ordering = ["-arrived_at", "-id"]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state=ReadState.WAITING), name="mail_waiting"),
            models.Index(fields=["-arrived_at", "-id"], name="mail_newest"),
            models.Index(fields=["message_id"], condition=~Q(message_id=""), name="mail_message_id"),
            models.Index(fields=["about"], condition=~Q(about=""), name="mail_about"),
            models.Index(fields=["thread"], condition=~Q(thread=""), name="mail_thread"),
            models.Index(OpClass(Upper("sender"), "text_pattern_ops"), name="mail_sender"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["mailbox", "uid_validity", "uid"], condition=Q(uid__isnull=False), name="mail_stored_once"
            ),
            models.CheckConstraint(
                name="mail_of_a_mailbox_has_its_uid",
                condition=Q(door=Door.MAILBOX, mailbox__isnull=False, uid__isnull=False, uid_validity__isnull=False)
                | (~Q(door=Door.MAILBOX) & Q(mailbox__isnull=True, uid__isnull=True)),
            ),
            models.CheckConstraint(
                name="mail_repeats_another",
                condition=Q(state=ReadState.DUPLICATE, duplicate_of__isnull=False)
                | (~Q(state=ReadState.DUPLICATE) & Q(duplicate_of__isnull=True)),
            ),
            models.CheckConstraint(name="mail_does_not_repeat_itself", condition=~Q(duplicate_of=F("id"))),
        ]
        triggers = [
            pgtrigger.FSM(name="mail_state", field="state", transitions=list(READ_TRANSITIONS)),
            pgtrigger.Protect(name="mail_stays", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="mail_as_it_came_stays",
                fields=["door", "mailbox", "uid_validity", "uid", "arrived_at", "stored_at", "size", "raw"],
            ),
        ]

    def __str__(self) -> str:
        return self.subject or "(no subject)"

    @property
    def is_whole(self) -> bool:
        """Whether the whole mail was stored, not only its beginning."""
        return len(self.raw) >= self.size
