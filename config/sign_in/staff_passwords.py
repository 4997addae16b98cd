"""The pages where staff choose and change their password, and ask for a link to choose a new one."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from unfold.forms import AdminOwnPasswordChangeForm

from accounts.models import User
from accounts.services.people import choose_password, password_links, send_password_link
from accounts.services.sessions import keep_session
from config.sign_in.limits import may_send_link, remember_browser
from config.sign_in.staff import sign_in_page
from messaging.addresses import fold_address
from messaging.forms import AddressField, KeepableTextMixin


class ForgottenForm(KeepableTextMixin, forms.Form):
    email = AddressField(
        label="E-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
        error_messages={"required": "Enter your e-mail address.", "invalid": "Enter an address like name@example.com."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False


@never_cache
@csrf_protect
def forgotten(request: HttpRequest) -> HttpResponse:
    """Sends the person a link to choose a new password. The page is the same whether there is such a person or not."""
    form = ForgottenForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        email, now = fold_address(form.cleaned_data["email"]), timezone.now()
        person = User.objects.filter(email=email, is_staff=True, is_active=True).first()
        if person is not None and may_send_link(request, email, now):
            send_password_link(of=person, by=None, now=now)
        return sign_in_page(request, "forgotten_sent", title="Look into your mail", email=email)
    status = 422 if form.is_bound else 200
    return sign_in_page(request, "forgotten", status, title="Choose a new password", form=form)


class ChoosePasswordForm(KeepableTextMixin, SetPasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.use_required_attribute = False

    def save(self, commit: bool = True) -> Any:
        choose_password(of=self.user, password=self.cleaned_data["new_password1"], now=timezone.now())
        return self.user


class ChoosePassword(PasswordResetConfirmView):
    """Opens the link of the mail. The link signs nobody in: the second step follows as always."""

    form_class = ChoosePasswordForm
    token_generator = password_links
    success_url = reverse_lazy("admin:login")
    template_name = "desk/signin/choose_password.html"

    def get_user(self, uidb64: str) -> User | None:
        user = super().get_user(uidb64)
        return user if isinstance(user, User) and user.is_staff and user.is_active else None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        from django.contrib import admin

        title = "Choose your password" if self.validlink else "This link no longer works"
        context = {**super().get_context_data(**kwargs), "title": title, "link_works": self.validlink}
        return {**admin.site.each_context(self.request), **context}

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, "Your new password works from now on. Sign in with it.")
        response: HttpResponse = super().form_valid(form)
        remember_browser(self.request, response, form.user)  # who reads the person's mail is not a stranger
        return response


class ChangePassword(PasswordChangeView):
    """Changes the own password in a living session; the others end."""

    form_class = AdminOwnPasswordChangeForm
    success_url = reverse_lazy("admin:security")

    def form_valid(self, form: Any) -> HttpResponse:
        choose_password(of=form.user, password=form.cleaned_data["new_password1"], now=timezone.now())
        keep_session(self.request)
        messages.success(self.request, "Your password was changed. Your other sessions have ended.")
        return redirect(self.success_url)
