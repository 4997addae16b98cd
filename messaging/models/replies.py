"""Saved replies of staff."""

import string
from collections.abc import Mapping

from django.core.exceptions import ValidationError
from django.db import models

VARIABLES = {
    "name": "the customer’s name",
    "reference": "the customer’s reference",
    "plan": "the subscription",
    "end_date": "the end date, empty if there is none yet",
    "amount": "the amount of the refund, empty if there is none",
    "support_email": "our e-mail address",
}


def refuse_unknown_variables(text: str) -> None:
    """Raises ValidationError if the text uses a variable that is not in VARIABLES, or a format such as `{name:>99}`."""
    try:
        fields = [field for field in string.Formatter().parse(text) if field[1] is not None]
    except ValueError as error:
        raise ValidationError("A brace has no partner. Write variables like {name}.") from error
    if any(format or conversion for _, _, format, conversion in fields):
        raise ValidationError("A variable stands alone in its braces. Write variables like {name}.")
    if unknown := [name for _, name, _, _ in fields if name not in VARIABLES]:
        allowed = ", ".join(f"{{{name}}}" for name in VARIABLES)
        raise ValidationError(f"{{{unknown[0]}}} is not a variable. You can use {allowed}.")


class CannedReply(models.Model):
    """A saved reply in each language, with variables that the page fills in."""

    USES = [("any", "requests and refunds"), ("request", "requests"), ("refund", "refunds")]

    name = models.CharField(max_length=80, unique=True, help_text="Only staff see it")
    used_for = models.CharField(max_length=7, choices=USES, default="any")
    text_en = models.TextField("text, English", validators=[refuse_unknown_variables])
    text_de = models.TextField("text, German", blank=True, validators=[refuse_unknown_variables])
    text_fr = models.TextField("text, French", blank=True, validators=[refuse_unknown_variables])

    class Meta:
        verbose_name = "saved reply"
        verbose_name_plural = "saved replies"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def text_for(self, language: str, values: Mapping[str, str]) -> str:
        """Fills in the text in this language, or the English text. A variable without a value becomes empty."""
        text = getattr(self, f"text_{language}", "") or self.text_en
        return string.Formatter().vformat(text, (), {name: values.get(name, "") for name in VARIABLES})
