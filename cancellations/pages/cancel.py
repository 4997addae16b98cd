"""The pages from the form to the confirmation. The rules are in the services."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.models import Account, User
from accounts.queries import accounts_of
from accounts.visitors import account_of, address_of, remember_language
from billing.rules.periods import local_date
from cancellations.forms import draft
from cancellations.forms.cancel import CancelForm, GuestCancelForm, SignedInCancelForm
from cancellations.forms.draft import Draft
from cancellations.models import CancellationRequest, Kind
from cancellations.pages.cards import card_of
from cancellations.queries.outcomes import may_cool_off
from cancellations.queries.policies import policy_in_force
from cancellations.queries.requests import cancellable, running
from cancellations.services.begun_forms import record_form_progress
from cancellations.services.common import RequestRefused
from cancellations.services.submission import Declaration, expected_for, submit_as_guest, submit_for
from cancellations.web import access
from cancellations.web.places import profile_of, remember_country
from messaging.wording import active_language


@require_http_methods(["GET", "HEAD", "POST"])
def cancel(http: HttpRequest) -> HttpResponse:
    """Shows the form, the check of answers and the confirmation at one URL. The pressed button decides the step.

    If the jurisdiction requires a single page, its button confirms.
    """
    response = _answer(http, timezone.now())
    if http.method == "POST" or not http.user.is_authenticated:
        # Stored, so that the back button can show a posted page and what was typed again. Signing out clears it.
        patch_cache_control(response, private=True, max_age=0)
    return response


def _answer(http: HttpRequest, now: datetime) -> HttpResponse:
    if http.method != "POST":
        form = _form(http, None, now)
        response = _form_page(http, form, "") if form else _nothing_to_cancel(http, _kind(http, None))
        remember_country(http, response)
        return response
    if (language := http.POST.get("language", "")) in dict(settings.LANGUAGES):
        return _switch_language(http, language, now)
    return _step(http, now)


def _step(http: HttpRequest, now: datetime) -> HttpResponse:
    step, user = http.POST.get("step", ""), _user_id(http)
    carried = draft.unseal(http.POST.get("draft", ""), user=user)
    # Posted by the form itself: in some jurisdictions, that declares at once
    if step == "confirm" and "kind" in http.POST:
        started = draft.start(http.POST, user=user, now=now).received_again(now)
        form = _form(http, started.answers, now)
        declares_at_once = form is None or form.on_one_page
        return _confirm(http, started, now) if declares_at_once else _check(http, started, now)
    if step in ("edit", "confirm"):
        if carried is None:
            return _restart(http, draft.answers_of(http.POST.get("draft", ""), user=user), now)
        return _confirm(http, carried, now) if step == "confirm" else _edit(http, carried, now)
    return _check(http, draft.start(http.POST, user=user, now=now), now)


def _switch_language(http: HttpRequest, language: str, now: datetime) -> HttpResponse:
    """Shows the same page in another language. Keeps the input, and does not validate it yet."""
    user = _user_id(http)
    carried = draft.unseal(http.POST.get("draft", ""), user=user)
    with translation.override(language):
        if http.POST.get("step") == "edit" and carried is not None:
            response = _check(http, carried, now)
        else:
            started = draft.start(http.POST, user=user, now=now)
            form = _form(http, started.answers, now)
            if form is None:
                return _nothing_to_cancel(http, _kind(http, started.answers))
            form.errors.clear()
            response = _form_page(http, form, carried.sealed() if carried else "")
        response.headers["Content-Language"] = language
    remember_language(response, language)
    return response


def _user_id(http: HttpRequest) -> int | None:
    return http.user.pk if http.user.is_authenticated else None


def _restart(http: HttpRequest, typed: QueryDict, now: datetime) -> HttpResponse:
    """Shows the form again with what was typed, if the draft is too old or the user signed in or out."""
    messages.warning(http, _("That page was too old, or you signed in or out in between. Please check it once more."))
    form = _form(http, typed, now) if typed else None
    return _form_page(http, form, "") if form else redirect("cancel")


def _kind(http: HttpRequest, data: QueryDict | None) -> Kind:
    requested = (http.GET if data is None else data).get("kind", "")
    return Kind(requested) if requested in Kind.values else Kind.ORDINARY


def _form(http: HttpRequest, data: QueryDict | None, now: datetime) -> CancelForm | None:
    """Returns the form for the visitor; None if a signed-in customer has nothing to cancel in this way."""
    kind = _kind(http, data)
    profile = profile_of(http, data.get("law", "") if data else "")
    if not http.user.is_authenticated:
        today = local_date(now, settings.COMPANY_TIME_ZONE)
        return GuestCancelForm(data, kind=kind, profile=profile, today=today)
    assert isinstance(http.user, User)
    # What is cancelled already is not offered, but a form that was opened before may still declare about it
    offered = cancellable if data is None else running
    choices = [subscription for account in accounts_of(http.user) for subscription in offered(account, now=now)]
    if kind == Kind.COOLING_OFF:
        policy = policy_in_force(now)
        choices = [subscription for subscription in choices if may_cool_off(subscription, now=now, policy=policy)]
    if not choices:
        return None
    preselected = http.GET.getlist("subscription") or [
        subscription.reference for subscription in choices if len(choices) == 1
    ]
    today = local_date(now, choices[0].account.time_zone)
    return SignedInCancelForm(
        data, kind=kind, profile=profile, today=today, subscriptions=choices, initial={"subscription": preselected}
    )


def _form_page(http: HttpRequest, form: CancelForm, sealed: str, status: int = 200) -> HttpResponse:
    now = timezone.now()
    context: dict[str, Any] = {"form": form, "draft": sealed, "policy": policy_in_force(now), "profile": form.profile}
    if form.on_one_page:
        # The button of this page declares, so the draft needs its key now: a double click must not declare twice.
        context["draft"] = sealed or draft.start(QueryDict(), user=_user_id(http), now=now).sealed()
        account = account_of(http)
        context["confirmation_to"] = account.email if account else ""
        return render(http, "portal/one_page.html", context, status=status)
    return render(http, "portal/cancel.html", context, status=status)


def _edit(http: HttpRequest, carried: Draft, now: datetime) -> HttpResponse:
    form = _form(http, carried.answers, now)
    return _form_page(http, form, carried.sealed()) if form else redirect("subscriptions")


def _check(http: HttpRequest, started: Draft, now: datetime, moved: bool = False) -> HttpResponse:
    form = _form(http, started.answers, now)
    if form is None:
        return _nothing_to_cancel(http, _kind(http, started.answers))
    _record_progress(http, form, started)
    if not form.is_valid():
        return _form_page(http, form, started.sealed(), status=422)
    context: dict[str, Any] = {"form": form, "draft": started.sealed(), "moved": moved, "answers": form.cleaned_data}
    context["profile"] = form.profile
    requested_end = form.cleaned_data.get("requested_end")
    cards = []
    for subscription in form.cleaned_data.get("subscription", []):
        expected = expected_for(
            declaration=_signed_in_declaration(form, subscription.account),
            subscription=subscription,
            received_at=started.received,
            now=now,
        )
        assessment = expected.outcome.assessment
        late = not assessment.on_time and (requested_end is None or requested_end <= assessment.deadline_for)
        cards.append({**card_of(expected, now), "subscription": subscription, "late": late})
    policy = policy_in_force(started.received)
    return render(http, "portal/check.html", {**context, "cards": cards, "policy": policy})


def _confirm(http: HttpRequest, carried: Draft, now: datetime) -> HttpResponse:
    existing = CancellationRequest.objects.filter(submission_key=carried.submission_key).order_by("part").first()
    if existing is not None:
        return _received(http, existing)
    if carried.is_too_old(now):
        return _check(http, carried.received_again(now), now, moved=True)
    form = _form(http, carried.answers, now)
    if form is None:
        return _nothing_to_cancel(http, _kind(http, carried.answers))
    if not form.is_valid():  # midnight passed, or the subscription ended in between
        _record_progress(http, form, carried)
        return _form_page(http, form, carried.sealed(), status=422)
    try:
        submitted = _submit(http, form, carried, now)
        _record_progress(http, form, carried, finished_at=now)
        return _received(http, submitted)
    except RequestRefused as error:
        messages.warning(http, str(error))
        return redirect("subscriptions")


def _submit(http: HttpRequest, form: CancelForm, carried: Draft, now: datetime) -> CancellationRequest:
    submission: dict[str, Any] = {"submission_key": carried.submission_key, "received_at": carried.received, "now": now}
    answers = form.cleaned_data
    if chosen := answers.get("subscription"):
        declaration = _signed_in_declaration(form, chosen[0].account)
        return submit_for(subscriptions=chosen, declaration=declaration, **submission)
    declaration = form.declaration(
        account_number=answers["account_number"],
        username=answers.get("username", ""),
        email=answers["email"],
        language=active_language(),
    )
    return submit_as_guest(declaration=declaration, network=address_of(http), **submission)


def _signed_in_declaration(form: CancelForm, account: Account) -> Declaration:
    return form.declaration(
        account_number=account.account_number,
        username=account.username,
        email=account.email,
        language=active_language(),
    )


def _record_progress(http: HttpRequest, form: CancelForm, carried: Draft, finished_at: datetime | None = None) -> None:
    """Records how far the form has come, for the figures of abandoned forms."""
    record_form_progress(
        key=carried.key,
        at=carried.received,
        jurisdiction=form.profile.code,
        kind=form.of_kind,
        signed_in=http.user.is_authenticated,
        errors=list(form.errors),
        finished_at=finished_at,
    )


def _received(http: HttpRequest, request: CancellationRequest) -> HttpResponse:
    response = redirect("request_received", reference=request.declaration)
    if not http.user.is_authenticated:
        access.remember_posted(http, response, request.declaration)
    return response


def _nothing_to_cancel(http: HttpRequest, kind: Kind) -> HttpResponse:
    if kind == Kind.COOLING_OFF:
        messages.info(http, _("None of your subscriptions is within its cooling-off days. You can cancel it as usual."))
    else:
        messages.info(http, _("There is nothing left to cancel: each subscription has ended or is cancelled already."))
    return redirect("subscriptions")
