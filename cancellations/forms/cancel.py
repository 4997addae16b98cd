"""The form that cancels, by the law of the place and the kind of cancellation."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from billing.models import Subscription
from cancellations.forms.fields import LONGEST_WORDS, ChoiceOfSubscriptions, CrispyForm, email_address, end_date
from cancellations.models import Kind, Reason
from cancellations.rules.jurisdictions import COOLING_OFF
from cancellations.rules.law import Profile
from cancellations.services.submission import Declaration
from messaging.forms import IdentifierField, WordsField

LATEST_END_DAYS = 5 * 366


FIELDS_BY_KIND = {
    Kind.ORDINARY: ("reason", "words", "requested_end", "refund_reason"),
    Kind.FOR_CAUSE: ("cause",),
    Kind.COOLING_OFF: (),
}


IDENTITY = {"name", "account_number", "username", "email"}


class CancelForm(CrispyForm):
    """The fields for signed-in customers and guests, by jurisdiction and kind of cancellation.

    `kind` is a visible field if the jurisdiction requires a single page; otherwise it comes from the URL.
    """

    kind = forms.ChoiceField(choices=Kind.choices, required=False, widget=forms.HiddenInput)
    law = forms.CharField(required=False, widget=forms.HiddenInput)
    cause = WordsField(
        label=_("Why do you have to leave at once?"),
        max_length=LONGEST_WORDS,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_(
            "What happened, and since when? We review your reason. If we accept it, your subscription ends at the "
            "time when we receive this; otherwise this counts as an ordinary cancellation from the same time. You can "
            "add files on the next pages."
        ),
        error_messages={
            "required": _("Say why you have to leave at once"),
            "max_length": _("Shorten your reason to %(limit_value)s characters"),
        },
    )
    reason = forms.ChoiceField(
        label=_("Why are you leaving?"),
        choices=Reason.choices,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose a reason. You can also choose «Another reason»")},
    )
    words = WordsField(
        label=_("In your own words"),
        required=False,
        max_length=LONGEST_WORDS,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("If you like. We keep your text exactly as you write it."),
        error_messages={"max_length": _("Shorten your words to %(limit_value)s characters")},
    )
    requested_end = end_date(help_text=_("Leave it empty for the earliest date."))
    refund_reason = WordsField(
        label=_("Do you ask for a refund? Say why"),
        required=False,
        max_length=LONGEST_WORDS,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Each refund is decided individually. We tell you the amount and how we worked it out."),
        error_messages={"max_length": _("Shorten your reason to %(limit_value)s characters")},
    )

    def __init__(self, *args: Any, today: date, profile: Profile, kind: Kind = Kind.ORDINARY, **kwargs: Any) -> None:
        kwargs["initial"] = {**kwargs.get("initial", {}), "kind": kind, "law": profile.code}
        super().__init__(*args, **kwargs)
        self.today, self.of_kind, self.profile = today, kind, profile
        self.fields["requested_end"].widget.attrs["min"] = (today + timedelta(days=1)).isoformat()
        if self.on_one_page:
            self._ask_on_one_page()
        self.fields["reason"].required = profile.reason == "needed"
        for name in {name for names in FIELDS_BY_KIND.values() for name in names} - set(self._fields_of_kind()):
            del self.fields[name]
        for name in set(self.fields) & IDENTITY - set(self._identity()):
            del self.fields[name]
        self.lay_out()

    @property
    def on_one_page(self) -> bool:
        """Whether the form is on a single page and declares at once, as some jurisdictions require."""
        return self.profile.one_page and self.of_kind != Kind.COOLING_OFF

    def _ask_on_one_page(self) -> None:
        """Makes the kind a visible field, to which the ground belongs, and reorders the fields."""
        kinds = [(Kind.ORDINARY, _("Ordinary cancellation")), (Kind.FOR_CAUSE, _("Cancellation for cause"))]
        self.fields["kind"] = forms.ChoiceField(
            label=_("Kind of cancellation"),
            choices=kinds,
            widget=forms.RadioSelect,
            initial=Kind.ORDINARY,
            error_messages={
                "required": _("Choose the kind of cancellation"),
                "invalid_choice": _("Choose one of these"),
            },
        )
        cause = self.fields["cause"]
        cause.required, cause.help_text, cause.label = False, "", _("Reason for leaving at once")
        cause.widget.attrs["rows"] = 2
        cause.conditional = True  # type: ignore[attr-defined]
        self.order_fields(["kind", "cause", "name", "account_number", "subscription", "requested_end", "email"])

    def _fields_of_kind(self) -> tuple[str, ...]:
        if self.on_one_page:
            return "cause", "requested_end"
        fields = FIELDS_BY_KIND[self.of_kind]
        if self.profile.reason == "never" and self.of_kind == Kind.ORDINARY:
            return ("requested_end",)
        return fields

    def _identity(self) -> tuple[str, ...]:
        return COOLING_OFF.identity if self.of_kind == Kind.COOLING_OFF else self.profile.identity

    def clean_requested_end(self) -> date | None:
        day: date | None = self.cleaned_data["requested_end"]
        if day is not None and day <= self.today:
            raise forms.ValidationError(_("Choose a day after today, or leave it empty for the earliest date"))
        if day is not None and day > self.today + timedelta(days=LATEST_END_DAYS):
            raise forms.ValidationError(_("Choose a day within the next five years"))
        return day

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("reason") == Reason.OTHER and not data.get("words", "").strip():
            self.add_error("words", _("Say in a few words why you are leaving"))
        for_cause = (data.get("kind") or self.of_kind) == Kind.FOR_CAUSE
        if "cause" in self.fields and for_cause and not self.errors.get("cause") and not data.get("cause", "").strip():
            self.add_error("cause", _("Say why you have to leave at once"))
        return data

    @property
    def declared_kind(self) -> Kind:
        """Returns the declared kind: the answer if the form has the field, else the kind of the form."""
        return Kind(self.cleaned_data.get("kind") or self.of_kind)

    def declaration(self, *, account_number: str, username: str, email: str, language: str) -> Declaration:
        kind = self.declared_kind
        names = [name for name in self._fields_of_kind() if name != "cause" or kind == Kind.FOR_CAUSE]
        answers = {name: self.cleaned_data[name] for name in names}
        return Declaration(
            account_number=account_number,
            username=username,
            email=email,
            name=self.cleaned_data.get("name", ""),
            kind=kind,
            language=language,
            jurisdiction=self.profile.code,
            refund_wanted=bool(answers.get("refund_reason", "").strip()),
            **answers,
        )


class GuestCancelForm(CancelForm):
    name = forms.CharField(
        label=_("Name, or company"),
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "name", "class": "middle"}),
        error_messages={
            "required": _("Enter your name, or that of the company"),
            "max_length": _("Shorten the name to %(limit_value)s characters"),
        },
    )
    account_number = IdentifierField(
        label=_("Account number"),
        max_length=40,
        help_text=_("It is on every invoice, top right. The number of a subscription works too."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "short"}),
    )
    username = IdentifierField(
        label=_("Username"),
        max_length=150,
        help_text=_("The name with which you sign in to the product."),
        widget=forms.TextInput(attrs={"autocomplete": "username", "class": "middle"}),
        error_messages={
            "required": _("Enter your username"),
            "max_length": _("Shorten the username to %(limit_value)s characters"),
        },
    )
    email = email_address(_("We send the receipt to this address, and a link that proves the address is yours."))
    field_order = ["name", "account_number", "username", "email"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        number = self.fields["account_number"]
        wrong = _("Enter your account number, like %(example)s") % {"example": settings.ACCOUNT_NUMBER_EXAMPLE}
        number.error_messages |= {"required": wrong, "max_length": wrong}
        if self.on_one_page:
            number.help_text = _("The number of a subscription works too.")
            self.fields["email"].label = _("E-mail address for the confirmation")
            self.fields["email"].help_text = ""


class SignedInCancelForm(CancelForm):
    subscription = ChoiceOfSubscriptions()
    field_order = ["subscription"]

    def __init__(self, *args: Any, subscriptions: list[Subscription], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["subscription"].offer(subscriptions)  # type: ignore[attr-defined]
