"""What the forms share: their layout and common fields."""

from typing import Any

from crispy_forms.helper import FormHelper
from crispy_forms.layout import Layout
from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.models import Subscription
from messaging.forms import AddressField, ChoicesByReference, KeepableTextMixin

LONGEST_WORDS = 5000


class CrispyForm(KeepableTextMixin, forms.Form):
    """A form whose fields are rendered by crispy. The template has the form tag and the buttons."""

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


def email_address(help_text: Any) -> forms.EmailField:
    return AddressField(
        label=_("E-mail address"),
        max_length=254,
        help_text=help_text,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "class": "middle"}),
        error_messages={
            "required": _("Enter your e-mail address"),
            "invalid": _("Enter an e-mail address, like name@example.com"),
        },
    )


def end_date(**options: Any) -> forms.DateField:
    return forms.DateField(
        label=_("Requested end date"),
        required=False,
        input_formats=["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y"],
        widget=forms.DateInput(attrs={"type": "date", "class": "short"}, format="%Y-%m-%d"),
        error_messages={"invalid": _("Enter the date as day, month and year, like 28 February 2027")},
        **options,
    )


class ChoiceOfSubscriptions(ChoicesByReference):
    """Check boxes for the subscriptions that are passed to `offer`."""

    def __init__(self) -> None:
        super().__init__(
            label=_("What do you want to cancel?"),
            queryset=Subscription.objects.none(),
            widget=forms.CheckboxSelectMultiple,
            to_field_name="reference",
            error_messages={
                "required": _("Choose the subscription that you want to cancel"),
                "invalid_choice": _("Choose one of the subscriptions shown"),
            },
        )

    def offer(self, subscriptions: list[Subscription]) -> None:
        keys = [subscription.pk for subscription in subscriptions]
        accounts = {subscription.account_id for subscription in subscriptions}
        self.queryset = Subscription.objects.filter(pk__in=keys).select_related("account")
        self.help_text = _("You can choose several.") if len(keys) > 1 else ""
        self._names_account = len(accounts) > 1

    def label_from_instance(self, subscription: Any) -> str:
        if not self._names_account:
            return f"{subscription.plan_name} · {subscription.reference}"
        account = gettext("account %(number)s") % {"number": subscription.account.account_number}
        return f"{subscription.plan_name} · {subscription.reference} · {account}"

    def clean(self, value: Any) -> Any:
        chosen = list(super().clean(value))
        if len({subscription.account_id for subscription in chosen}) > 1:
            raise forms.ValidationError(
                _("Choose subscriptions of one account only; cancel those of another account separately")
            )
        return chosen
