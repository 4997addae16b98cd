"""The forms of the portal's pages: fields, hints and errors in words that say what to do."""

from datetime import date, timedelta
from typing import Any

from crispy_forms.helper import FormHelper
from crispy_forms.layout import Layout
from django import forms
from django.conf import settings

from billing.models import Subscription
from cancellations.media import ACCEPTED, MOST_BYTES
from cancellations.models import CancellationRequest, Kind, Reason
from cancellations.services.submission import Declaration

LONGEST_WORDS = 5000
LATEST_END_DAYS = 5 * 366


class CrispyForm(forms.Form):
    """A form that the page lays out itself: crispy draws the fields, the page holds form tag and buttons."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        self.helper = FormHelper()
        self.helper.form_tag = False
        self.helper.disable_csrf = True
        self.lay_out()
        self.use_required_attribute = False  # the server's messages are clearer than the browser's

    def lay_out(self) -> None:
        self.helper.layout = Layout(*self.fields)


def email_address(help_text: str) -> forms.EmailField:
    return forms.EmailField(
        label="E-mail address",
        max_length=254,
        help_text=help_text,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "class": "middle"}),
        error_messages={
            "required": "Enter your e-mail address",
            "invalid": "Enter an e-mail address, like name@example.com",
        },
    )


class ChoiceOfSubscriptions(forms.ModelMultipleChoiceField):
    """Check boxes for the subscriptions that `offer` puts into it: one, several, or all."""

    def __init__(self) -> None:
        super().__init__(
            label="What do you want to cancel?",
            queryset=Subscription.objects.none(),
            widget=forms.CheckboxSelectMultiple,
            to_field_name="reference",
            error_messages={
                "required": "Choose the subscription that you want to cancel",
                "invalid_choice": "Choose one of the subscriptions shown",
            },
        )

    def offer(self, subscriptions: list[Subscription]) -> None:
        keys = [subscription.pk for subscription in subscriptions]
        accounts = {subscription.account_id for subscription in subscriptions}
        self.queryset = Subscription.objects.filter(pk__in=keys).select_related("account")
        self.help_text = "You can choose several." if len(keys) > 1 else ""
        self._names_account = len(accounts) > 1

    def label_from_instance(self, found: Any) -> str:
        account = f" · account {found.account.account_number}" if self._names_account else ""
        return f"{found.plan_name} · {found.reference}{account}"

    def clean(self, value: Any) -> Any:
        chosen = list(super().clean(value))
        if len({one.account_id for one in chosen}) > 1:
            raise forms.ValidationError(
                "Choose subscriptions of one account; cancel those of another account by themselves"
            )
        return chosen


ASKED = {
    Kind.ORDINARY: ("reason", "words", "requested_end", "refund_wanted", "refund_reason"),
    Kind.FOR_CAUSE: ("cause",),
    Kind.COOLING_OFF: (),
}


class CancelForm(CrispyForm):
    """What both a signed-in customer and a guest are asked; each kind of cancellation needs other answers."""

    kind = forms.ChoiceField(choices=Kind.choices, required=False, widget=forms.HiddenInput)
    cause = forms.CharField(
        label="Why do you have to leave at once?",
        max_length=LONGEST_WORDS,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="What happened, and since when. We look at your ground. If we accept it, your subscription ends "
        "by the time at which we received this; otherwise this counts as an ordinary cancellation from the same time. "
        "You can add files on the next pages.",
        error_messages={
            "required": "Say why you have to leave at once",
            "max_length": f"Shorten your ground to {LONGEST_WORDS:,} characters",
        },
    )
    reason = forms.ChoiceField(
        label="Why are you leaving?",
        choices=Reason.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose a reason; «Another reason» is one, too"},
    )
    words = forms.CharField(
        label="In your own words",
        required=False,
        max_length=LONGEST_WORDS,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="If you like. We keep your words just as you write them.",
        error_messages={"max_length": f"Shorten your words to {LONGEST_WORDS:,} characters"},
    )
    requested_end = forms.DateField(
        label="When should it end?",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="Leave it empty for the earliest date.",
        error_messages={"invalid": "Enter the date as day, month and year, like 28 February 2027"},
    )
    refund_wanted = forms.BooleanField(
        label="I ask for a refund",
        required=False,
        help_text="Each refund is decided one by one. We tell you the sum and how it arose.",
    )
    refund_reason = forms.CharField(
        label="Why should we refund you?",
        required=False,
        max_length=LONGEST_WORDS,
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"max_length": f"Shorten your reason to {LONGEST_WORDS:,} characters"},
    )

    def __init__(self, *args: Any, today: date, kind: Kind = Kind.ORDINARY, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.today, self.of_kind = today, kind
        self.fields["kind"].initial = kind
        self.fields["refund_reason"].conditional = True  # type: ignore[attr-defined]  # asked with the tick, then needed
        self.fields["requested_end"].widget.attrs["min"] = (today + timedelta(days=1)).isoformat()
        for name in {name for names in ASKED.values() for name in names} - set(ASKED[kind]):
            del self.fields[name]
        self.lay_out()

    def clean_requested_end(self) -> date | None:
        wish: date | None = self.cleaned_data["requested_end"]
        if wish is not None and wish <= self.today:
            raise forms.ValidationError("Choose a day after today, or leave it empty for the earliest date")
        if wish is not None and wish > self.today + timedelta(days=LATEST_END_DAYS):
            raise forms.ValidationError("Choose a day within the next five years")
        return wish

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("reason") == Reason.OTHER and not given.get("words", "").strip():
            self.add_error("words", "Say in a few words why you are leaving")
        if given.get("refund_wanted") and not given.get("refund_reason", "").strip():
            self.add_error("refund_reason", "Say why we should refund you, or take the tick away")
        return given

    def declaration(self, *, account_number: str, username: str, email: str) -> Declaration:
        given = {name: self.cleaned_data[name] for name in ASKED[self.of_kind]}
        if not given.get("refund_wanted"):
            given.pop("refund_reason", None)
        return Declaration(account_number=account_number, username=username, email=email, kind=self.of_kind, **given)


class GuestCancelForm(CancelForm):
    account_number = forms.CharField(
        label="Account number",
        max_length=40,
        help_text="It is on every invoice, top right.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "short"}),
        error_messages={
            "required": f"Enter your account number, like {settings.ACCOUNT_NUMBER_EXAMPLE}",
            "max_length": f"Enter your account number, like {settings.ACCOUNT_NUMBER_EXAMPLE}",
        },
    )
    username = forms.CharField(
        label="Username",
        max_length=150,
        help_text="The name with which you sign in to the product.",
        widget=forms.TextInput(attrs={"autocomplete": "username", "class": "middle"}),
        error_messages={"required": "Enter your username"},
    )
    email = email_address("We send a link here that proves it is you, and the receipt.")
    field_order = ["account_number", "username", "email"]


class SignedInCancelForm(CancelForm):
    subscription = ChoiceOfSubscriptions()
    field_order = ["subscription"]

    def __init__(self, *args: Any, subscriptions: list[Subscription], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["subscription"].offer(subscriptions)  # type: ignore[attr-defined]


class FollowForm(CrispyForm):
    reference = forms.CharField(
        label="Reference",
        max_length=20,
        help_text="Like CR-7KQ4-M9XT. It is in every message about your request.",
        widget=forms.TextInput(attrs={"class": "short", "autocomplete": "off"}),
        error_messages={"required": "Enter the reference of your request, like CR-7KQ4-M9XT"},
    )
    email = email_address("The one that you gave with the request.")

    def clean_reference(self) -> str:
        return str(self.cleaned_data["reference"]).strip().upper()


class ProveForm(CrispyForm):
    """Which subscriptions a guest means, asked only where the proven account has several."""

    subscription = ChoiceOfSubscriptions()

    def __init__(self, *args: Any, subscriptions: list[Subscription], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["subscription"].offer(subscriptions)  # type: ignore[attr-defined]


class TakeBackForm(CrispyForm):
    """Which requests of a declaration are taken back, asked only where there are several."""

    request: Any = forms.ModelMultipleChoiceField(
        label="Which cancellation do you take back?",
        queryset=CancellationRequest.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        to_field_name="reference",
        error_messages={
            "required": "Choose what you take back",
            "invalid_choice": "Choose from those shown",
        },
    )

    def __init__(self, *args: Any, requests: list[CancellationRequest], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["request"]
        field.queryset = CancellationRequest.objects.filter(pk__in=[one.pk for one in requests])
        field.label_from_instance = lambda one: str(one.subscription or one.reference)


class SeveralFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """One file or several; what they hold is looked at by the service."""

    widget = SeveralFiles

    def clean(self, data: Any, initial: Any = None) -> Any:
        given = data if isinstance(data, list | tuple) else [data]
        return [super(FilesField, self).clean(one, initial) for one in given] if any(given) else super().clean(None)


class FilesForm(CrispyForm):
    file = FilesField(
        label="Add files",
        help_text=f"{ACCEPTED}, up to {MOST_BYTES // 1_000_000} MB each. You can choose several.",
        widget=SeveralFiles(attrs={"accept": ".pdf,.jpg,.jpeg,.png,.webp,.txt", "class": "form-control"}),
        error_messages={"required": "Choose a file", "max_length": "Choose a file with a shorter name"},
    )


class VerifyForm(CrispyForm):
    """A receipt in hand: its file, or its reference and seal."""

    file = forms.FileField(
        label="The receipt’s file",
        required=False,
        help_text="The PDF as you got it. It is only checked, and not kept.",
        widget=forms.FileInput(attrs={"accept": ".pdf", "class": "form-control"}),
        error_messages={"empty": "This file is empty. Choose the receipt’s PDF"},
    )
    reference = forms.CharField(
        label="Reference",
        required=False,
        max_length=20,
        help_text="Like CR-7KQ4-M9XT.",
        widget=forms.TextInput(attrs={"class": "short", "autocomplete": "off"}),
    )
    seal = forms.CharField(
        label="Seal",
        required=False,
        max_length=200,
        help_text="64 digits and letters, at the end of the receipt.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        error_messages={"max_length": "The seal has 64 digits and letters. Please copy it once more"},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.conditional = True  # type: ignore[attr-defined]  # one way or the other is needed

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file is not None and file.size > MOST_BYTES:
            raise forms.ValidationError("This file is too large to be a receipt of ours. Choose the receipt’s PDF")
        return file

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors and not given.get("file"):
            if not given.get("reference"):
                self.add_error("reference", "Choose the file, or enter the reference and the seal")
            elif not given.get("seal"):
                self.add_error("seal", "Enter the seal, too: it stands at the end of the receipt")
        return given
