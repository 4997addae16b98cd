"""Receipts of declarations, sealed in a chain."""

import pgtrigger
from django.db import models

from cancellations.models.requests import REFERENCE_LENGTH, CancellationRequest

# Each seal covers the content and the previous seal, so that changing, removing or inserting a receipt is detected.
# The database assigns numbers and seals under a lock that lasts until the transaction ends.
SEAL = """
    PERFORM pg_advisory_xact_lock(hashtext('cancellations.receipt'));
    SELECT number, seal INTO last FROM cancellations_receipt ORDER BY number DESC LIMIT 1;
    NEW.number := coalesce(last.number, 0) + 1;
    NEW.previous_seal := coalesce(last.seal, repeat('0', 64));
    NEW.seal := encode(sha256(convert_to(NEW.previous_seal || NEW.content, 'UTF8')), 'hex');
    RETURN NEW;
"""


class Receipt(models.Model):
    """The receipt of a declaration, issued once its sender is proven. It never changes.

    `content` is canonical JSON (cancellations/receipts/seal.py). The PDF is made on the first request and stored, so
    that its bytes never change.
    """

    # DO_NOTHING is safe: the trigger `request_stays` prevents the deletion of requests
    request = models.OneToOneField(CancellationRequest, models.DO_NOTHING, related_name="receipt")
    declaration = models.CharField(max_length=REFERENCE_LENGTH, unique=True)
    issued_at = models.DateTimeField()
    content = models.TextField()
    number = models.PositiveBigIntegerField(unique=True, editable=False, null=True)
    previous_seal = models.CharField(max_length=64, editable=False)
    seal = models.CharField(max_length=64, unique=True, editable=False)
    pdf = models.BinaryField(null=True)
    pdf_sha256 = models.CharField(max_length=64, unique=True, null=True)  # noqa: DJ001 - unique once there is one
    erased_at = models.DateTimeField(null=True, editable=False, help_text="Content and PDF are gone, the seals stay")

    class Meta:
        ordering = ["number"]
        triggers = [
            pgtrigger.Trigger(
                name="receipt_seal",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("last", "record")],
                func=SEAL,
            ),
            pgtrigger.Protect(name="receipt_stays", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="receipt_pdf_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__pdf_sha256__isnull=False),
            ),
            pgtrigger.Protect(
                name="receipt_stays_erased",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__erased_at__isnull=False),
            ),
            pgtrigger.ReadOnly(
                name="receipt_content_stays",
                fields=[
                    "request",
                    "declaration",
                    "issued_at",
                    "content",
                    "number",
                    "previous_seal",
                    "seal",
                    "erased_at",
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"receipt {self.number} of {self.declaration}"
