"""The forms on the pages of a request: proof, following, withdrawal, the question why, and checking a receipt."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.models import Subscription
from cancellations.forms.fields import LONGEST_WORDS, ChoiceOfSubscriptions, CrispyForm, email_address, end_date
from cancellations.models import CancellationRequest, Channel, Proof, Reason
from cancellations.rules.files import MAX_FILE_BYTES
from cancellations.services.common import StatedEnd
from messaging.forms import ChoicesByReference, IdentifierField, WordsField
from messaging.numbers import tidy_reference


class QuestionForm(CrispyForm):
    """The question after the declaration. It is optional."""

    survey_reason = forms.ChoiceField(
        label=_("Why did you leave?"),
        choices=Reason.choices,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose a reason, or skip the question")},
    )
    survey_words = WordsField(
        label=_("In your own words"),
        required=False,
        max_length=LONGEST_WORDS,
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"max_length": _("Shorten your words to %(limit_value)s characters")},
    )


class FollowForm(CrispyForm):
    reference = IdentifierField(
        label=_("Reference"),
        max_length=20,
        help_text=_("Like CR-7KQ4-M9XT. It is in every message about your request."),
        widget=forms.TextInput(attrs={"class": "short", "autocomplete": "off"}),
        error_messages={"required": _("Enter the reference of your request, like CR-7KQ4-M9XT")},
    )
    email = email_address(_("The address that you gave with the request."))

    def clean_reference(self) -> str:
        return tidy_reference(self.cleaned_data["reference"])


class FollowCodeForm(CrispyForm):
    code = IdentifierField(
        label=_("Code from the mail"),
        max_length=40,
        help_text=_("Eight letters and digits, if you don’t want to open the link."),
        widget=forms.TextInput(
            attrs={"class": "short", "autocomplete": "one-time-code", "autocapitalize": "characters"}
        ),
        error_messages={
            "required": _("Enter the code from our mail"),
            "max_length": _("The code has eight letters and digits. Please copy it once more"),
        },
    )


class ProveForm(CrispyForm):
    """Asks which subscriptions a guest means if there are several, for an account identifier if our mail server
    could not authenticate the sender of a mail, when it should end if the mail names a date, and which of the other
    declarations the sender did not send.
    """

    subscription = ChoiceOfSubscriptions()
    identifier = IdentifierField(
        label=_("Account number, subscription number or username"),
        max_length=150,
        help_text=_(
            "Our mail server could not check that the message came from you. You find these details on our invoices."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": _("Enter your account number, subscription number or username")},
    )
    ends = forms.ChoiceField(
        label=_("When should it end?"),
        choices=[
            ("earliest", _("As early as possible")),
            ("day", _("On a certain day, or the first possible one after it")),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose when it should end")},
    )
    requested_end = end_date()
    disowned: Any = ChoicesByReference(
        label=_("Is any of these not from you?"),
        queryset=CancellationRequest.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        to_field_name="reference",
        help_text=_("Tick what you did not send. It then does not count."),
        error_messages={"invalid_choice": _("Choose from the options shown")},
    )

    def __init__(
        self,
        *args: Any,
        request: CancellationRequest,
        subscriptions: list[Subscription],
        others: Sequence[CancellationRequest],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if others:
            field: Any = self.fields["disowned"]
            field.queryset = CancellationRequest.objects.filter(pk__in=[other.pk for other in others])
            field.label_from_instance = lambda other: _("I did not send %(reference)s") % {"reference": other}
        else:
            del self.fields["disowned"]
        if len(subscriptions) > 1:
            self.fields["subscription"].offer(subscriptions)  # type: ignore[attr-defined]
        else:
            del self.fields["subscription"]
        if request.proof != Proof.LINK_AND_NUMBER:
            del self.fields["identifier"]
        self._ask_for_the_end(request)
        self.lay_out()

    def _ask_for_the_end(self, request: CancellationRequest) -> None:
        """Shows the date that was read in a mail, so that it can be corrected, or asks for one that was not read."""
        if request.channel != Channel.EMAIL or not (request.end_is_open or request.requested_end):
            del self.fields["ends"], self.fields["requested_end"]
            return
        ends = self.fields["ends"]
        self.fields["requested_end"].conditional = True  # type: ignore[attr-defined]  # with «on a certain day»
        if request.end_is_open:
            ends.help_text = gettext("Your message names a date that we could not read for certain.")
        else:
            ends.required = False
            ends.initial, self.fields["requested_end"].initial = "day", request.requested_end
            ends.help_text = gettext("We read this in your message. Correct it if it is wrong.")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("ends") == "day" and not data.get("requested_end") and "requested_end" not in self.errors:
            self.add_error("requested_end", gettext("Enter the date on which it should end"))
        return data

    def stated_end(self) -> StatedEnd | None:
        """What the sender says about the end; None if nothing was asked or answered."""
        if not (ends := self.cleaned_data.get("ends")):
            return None
        return StatedEnd(self.cleaned_data["requested_end"] if ends == "day" else None)

    def chosen_as_disowned(self) -> list[CancellationRequest]:
        """Returns the declarations that the sender did not send, also if another field is not valid."""
        self.is_valid()
        return list(self.cleaned_data.get("disowned", ()))


class TakeBackForm(CrispyForm):
    """Asks which requests of a declaration to withdraw, if there are several."""

    request: Any = ChoicesByReference(
        label=_("Which cancellation do you want to take back?"),
        queryset=CancellationRequest.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        to_field_name="reference",
        error_messages={
            "required": _("Choose what you want to take back"),
            "invalid_choice": _("Choose from the options shown"),
        },
    )

    def __init__(self, *args: Any, requests: list[CancellationRequest], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["request"]
        field.queryset = CancellationRequest.objects.filter(pk__in=[request.pk for request in requests])
        field.label_from_instance = lambda request: str(request.subscription or request.reference)


class VerifyForm(CrispyForm):
    """Checks a receipt by its file, or by its reference and seal."""

    file = forms.FileField(
        label=_("The receipt’s file"),
        required=False,
        help_text=_("The original PDF. We only check it and do not keep it."),
        widget=forms.FileInput(attrs={"accept": ".pdf", "class": "form-control"}),
        error_messages={"empty": _("This file is empty. Choose the receipt’s PDF")},
    )
    reference = IdentifierField(
        label=_("Reference"),
        required=False,
        max_length=20,
        help_text=_("Like CR-7KQ4-M9XT."),
        widget=forms.TextInput(attrs={"class": "short", "autocomplete": "off"}),
    )
    seal = IdentifierField(
        label=_("Seal"),
        required=False,
        max_length=200,
        help_text=_("64 digits and letters, at the end of the receipt."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        error_messages={"max_length": _("The seal has 64 digits and letters. Please copy it once more")},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.conditional = True  # type: ignore[attr-defined]  # either the file, or reference and seal

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file is not None and file.size > MAX_FILE_BYTES:
            raise forms.ValidationError(_("This file is too large to be a receipt of ours. Choose the receipt’s PDF"))
        return file

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors and not data.get("file"):
            if not data.get("reference"):
                self.add_error("reference", _("Choose the file, or enter the reference and the seal"))
            elif not data.get("seal"):
                self.add_error("seal", _("Enter the seal, too. It is at the end of the receipt"))
        return data
