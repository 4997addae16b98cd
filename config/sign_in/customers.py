"""Signing in of customers: a code by e-mail (django-allauth), sent through the outbox like every other message."""

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import ConfirmLoginCodeForm, RequestLoginCodeForm
from allauth.account.views import ConfirmLoginCodeView
from allauth.core import context as current
from crispy_forms.helper import FormHelper
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.services.customers import customer_who_may_sign_in
from accounts.visitors import address_of
from config.sign_in.limits import count_code, may_tell_unknown
from config.sign_in.sessions import describe
from messaging.forms import KeepableTextMixin
from messaging.outbound.rendering import Rendered
from messaging.services.outbox import queue_message, queue_rendered

log = logging.getLogger(__name__)
KINDS = {"account/email/login_code": "sign_in_code", "account/email/unknown_account": "sign_in_unknown"}


class PortalAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False  # accounts come from the company's own system

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of(request) or "0.0.0.0"  # noqa: S104 - no address to listen at, but none known

    def get_login_stages(self) -> list[str]:
        """Removes the second-factor stages: a passkey is an alternative to the code, never a second step after it."""
        return [stage for stage in super().get_login_stages() if not stage.startswith("allauth.mfa.")]

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        now = timezone.now()
        if kind := KINDS.get(template_prefix):
            if kind == "sign_in_unknown" and not may_tell_unknown(email, now):
                return
            variables = {"code": context["code"]} if "code" in context else {}
            queue_message(kind=kind, recipient=email, context=variables, now=now, holds_secret=True)
            return
        mail = self.render_mail(template_prefix, email, context)
        rendered = Rendered(subject=mail.subject, text=str(mail.body), html="")
        queue_rendered(kind="sign_in", recipient=email, rendered=rendered, now=now, holds_secret=True)

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Suppresses allauth's messages: the pages themselves say what happened."""


class ConfirmCode(ConfirmLoginCodeView):
    """The page for the code. Wrong ones are logged; after ACCOUNT_LOGIN_BY_CODE_MAX_ATTEMPTS a new one is needed."""

    def form_invalid(self, form: Any) -> HttpResponse:
        person = describe(self._process.user)
        log.warning("A wrong sign-in code for %s from %s.", person, address_of(self.request) or "unknown")
        response: HttpResponse = super().form_invalid(form)
        return response


class _StyledForm:
    """Makes crispy render allauth's fields like those of our own forms."""

    fields: dict[str, Any]

    def apply_style(self, options: dict[str, dict[str, Any]]) -> None:
        self.helper = FormHelper()
        self.helper.form_tag = False
        self.helper.disable_csrf = True
        self.use_required_attribute = False
        for name, texts in options.items():
            field = self.fields[name]
            field.label, field.help_text = texts["label"], texts.get("help", "")
            field.widget.attrs |= texts["attrs"]
            field.widget.attrs.pop("placeholder", None)
            field.error_messages |= texts["errors"]


class SignInForm(KeepableTextMixin, _StyledForm, RequestLoginCodeForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        message = _("Enter an e-mail address, like name@example.com")
        email: dict[str, Any] = {"label": _("E-mail address"), "help": _("The address that we send your invoices to.")}
        email |= {
            "attrs": {"class": "middle", "autocomplete": "email"},
            "errors": {"required": message, "invalid": message},
        }
        self.apply_style({"email": email})

    def clean_email(self) -> str:
        """Creates the user on first use. The answer is the same for a known and an unknown address.

        Raises TooManyAttempts, for which config/web/middleware.py shows a page.
        """
        email = self.cleaned_data["email"]
        count_code(current.request, email, timezone.now())
        customer = customer_who_may_sign_in(email=email)
        email = super().clean_email()
        if customer is None:
            self._user = None
        return str(email)


class CodeForm(KeepableTextMixin, _StyledForm, ConfirmLoginCodeForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        attrs = {"class": "short", "autocomplete": "one-time-code", "autofocus": True}
        self.apply_style(
            {"code": {"label": _("Code"), "attrs": attrs, "errors": {"required": _("Enter the code from our mail")}}}
        )
