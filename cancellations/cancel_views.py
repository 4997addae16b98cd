"""The way from the form to the confirmation. The rules live in the services; this translates and makes one call."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.queries import accounts_of
from billing.models import Subscription
from billing.periods import local_date
from cancellations import access, draft
from cancellations.draft import Draft
from cancellations.forms import CancelForm, GuestCancelForm, SignedInCancelForm
from cancellations.models import CancellationRequest
from cancellations.picture import points_of
from cancellations.queries import Outcome, cancellable, open_request_for, outcome, policy_in_force
from cancellations.services.common import RequestRefused
from cancellations.services.submission import submit_as_guest, submit_for


@cache_control(private=True, max_age=0)  # stored, so that the back button shows a posted page again
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(http: HttpRequest) -> HttpResponse:
    """Form, check answers, confirm: three steps of one address, told apart by the button pressed."""
    now = timezone.now()
    step = http.POST.get("step", "")
    if http.method != "POST":
        form = _form(http, None, now)
        return _form_page(http, form, "") if form else redirect("subscriptions")
    user = http.user.pk if http.user.is_authenticated else None
    if step in ("edit", "confirm"):
        carried = draft.unseal(http.POST.get("draft", ""), user=user)
        if carried is None:
            return _begin_anew(http, draft.typed(http.POST.get("draft", ""), user=user), now)
        return _confirm(http, carried, now) if step == "confirm" else _edit(http, carried, now)
    started = draft.start(http.POST, user=user, now=now)
    return _check(http, started, now)


def _begin_anew(http: HttpRequest, typed: dict[str, str], now: datetime) -> HttpResponse:
    """The page was too old, or the person signed in or out in between: what can be kept is kept."""
    messages.warning(http, "That page was too old, or you signed in or out in between. Please check it once more.")
    form = _form(http, typed, now) if typed else None
    return _form_page(http, form, "") if form else redirect("cancel")


def _form(http: HttpRequest, data: Any, now: datetime) -> CancelForm | None:
    """The form for this person; None where a signed-in customer has nothing left to cancel."""
    if not http.user.is_authenticated:
        return GuestCancelForm(data, today=local_date(now, settings.COMPANY_TIME_ZONE))
    assert isinstance(http.user, User)
    choices = [found for account in accounts_of(http.user) for found in cancellable(account, now=now)]
    if not choices:
        return None
    wanted = http.GET.get("subscription") or (choices[0].reference if len(choices) == 1 else None)
    today = local_date(now, choices[0].account.time_zone)
    return SignedInCancelForm(data, today=today, subscriptions=choices, initial={"subscription": wanted})


def _form_page(http: HttpRequest, form: CancelForm, sealed: str, status: int = 200) -> HttpResponse:
    return render(http, "portal/cancel.html", {"form": form, "draft": sealed}, status=status)


def _edit(http: HttpRequest, carried: Draft, now: datetime) -> HttpResponse:
    form = _form(http, carried.data, now)
    return _form_page(http, form, carried.sealed()) if form else redirect("subscriptions")


def _check(http: HttpRequest, started: Draft, now: datetime, moved: bool = False) -> HttpResponse:
    form = _form(http, started.data, now)
    if form is None:
        return _nothing_left(http, started)
    if not form.is_valid():
        return _form_page(http, form, started.sealed(), status=422)
    context: dict[str, Any] = {"form": form, "draft": started.sealed(), "moved": moved, "given": form.cleaned_data}
    if subscription := form.cleaned_data.get("subscription"):
        found = _outcome_of(subscription, form, started)
        today = local_date(now, subscription.account.time_zone)
        context |= {"outcome": found, "points": points_of(found.assessment, today=today), "subscription": subscription}
        wish = form.cleaned_data["requested_end"]
        context["wished_later"] = wish is not None and wish > found.assessment.next_billing_on
    else:
        context["policy"] = policy_in_force(started.received)
    return render(http, "portal/check.html", context)


def _outcome_of(subscription: Subscription, form: CancelForm, started: Draft) -> Outcome:
    return outcome(
        subscription,
        received_at=started.received,
        policy=policy_in_force(started.received),
        requested_end=form.cleaned_data["requested_end"],
    )


def _confirm(http: HttpRequest, carried: Draft, now: datetime) -> HttpResponse:
    existing = CancellationRequest.objects.filter(submission_key=carried.submission_key).first()
    if existing is not None:
        return _received(http, existing)
    if carried.too_old(now):
        return _check(http, carried.received_anew(now), now, moved=True)
    form = _form(http, carried.data, now)
    if form is None:
        return _nothing_left(http, carried)
    if not form.is_valid():  # midnight passed, or another tab cancelled this subscription
        if (open_one := _open_elsewhere(http, carried)) is not None:
            return _received(http, open_one)
        return _form_page(http, form, carried.sealed(), status=422)
    try:
        return _received(http, _submit(http, form, carried, now))
    except RequestRefused as error:
        messages.warning(http, str(error))
        return redirect("subscriptions")


def _submit(http: HttpRequest, form: CancelForm, carried: Draft, now: datetime) -> CancellationRequest:
    moments: dict[str, Any] = {"submission_key": carried.submission_key, "received_at": carried.received, "now": now}
    if subscription := form.cleaned_data.get("subscription"):
        account = subscription.account
        declared = form.declaration(
            account_number=account.account_number, username=account.username, email=account.email
        )
        return submit_for(subscription=subscription, declaration=declared, **moments)
    given = form.cleaned_data
    declared = form.declaration(
        account_number=given["account_number"], username=given["username"], email=given["email"]
    )
    return submit_as_guest(declaration=declared, **moments)


def _received(http: HttpRequest, request: CancellationRequest) -> HttpResponse:
    response = redirect("request_received", reference=request.reference)
    if not http.user.is_authenticated:
        access.grant(http, response, request.reference, "posted")
    return response


def _open_elsewhere(http: HttpRequest, carried: Draft) -> CancellationRequest | None:
    """The open request of the same person for the same subscription, made in another tab."""
    if not isinstance(http.user, User):
        return None
    mine = Subscription.objects.filter(
        account__in=accounts_of(http.user), reference=carried.data.get("subscription", "")
    )
    subscription = mine.first()
    return open_request_for(subscription) if subscription else None


def _nothing_left(http: HttpRequest, carried: Draft) -> HttpResponse:
    if (open_one := _open_elsewhere(http, carried)) is not None:
        return _received(http, open_one)
    messages.info(http, "There is nothing left to cancel: each subscription has ended or is cancelled already.")
    return redirect("subscriptions")
