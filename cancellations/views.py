"""The customer's pages. They translate and make one call; the rules live in the services."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import Account, User
from accounts.queries import accounts_of
from billing.models import Subscription
from billing.periods import local_date
from billing.states import IllegalTransition
from cancellations import access, draft
from cancellations.draft import Draft
from cancellations.forms import CancelForm, FollowForm, GuestCancelForm, ProveForm, SignedInCancelForm
from cancellations.letters import proof_token, read_proof_token
from cancellations.models import CancellationRequest, PolicyVersion
from cancellations.picture import points
from cancellations.policy_text import filled_in
from cancellations.queries import Outcome, cancellable, has_ended, open_request_for, outcome, policy_in_force, timeline
from cancellations.services.common import RequestRefused
from cancellations.services.submission import (
    matching_account,
    send_follow_link,
    send_proof_again,
    submit_as_guest,
    submit_for,
    verify,
    withdraw,
)
from cancellations.states import PolicyState, RequestState


@require_safe
def entry(http: HttpRequest) -> HttpResponse:
    return render(http, "portal/entry.html", {"policy": policy_in_force(timezone.now())})


@require_safe
@login_required
def subscriptions(http: HttpRequest) -> HttpResponse:
    assert isinstance(http.user, User)
    if http.user.is_staff:
        return redirect("admin:index")
    now = timezone.now()
    held = [(account, [_card(found, now) for found in _all_of(account)]) for account in accounts_of(http.user)]
    return render(http, "portal/subscriptions.html", {"held": held})


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


@never_cache
@require_safe
def received(http: HttpRequest, reference: str) -> HttpResponse:
    """The confirmation page. It survives a bookmark and the back button."""
    request = _visible(http, reference)
    if request is None:
        return _ask_for_proof(http, reference)
    return render(http, "portal/received.html", _request_context(http, request))


@never_cache
@require_safe
def status(http: HttpRequest, reference: str) -> HttpResponse:
    request = _visible(http, reference)
    if request is None:
        return _ask_for_proof(http, reference)
    return render(http, "portal/status.html", _request_context(http, request))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def follow(http: HttpRequest) -> HttpResponse:
    """Asks for reference and address, and sends the link; says the same whether they fit or not."""
    form = FollowForm(_posted(http), initial={"reference": http.GET.get("reference", "")})
    if http.method == "POST" and form.is_valid():
        send_follow_link(now=timezone.now(), **form.cleaned_data)
        return render(http, "portal/follow_sent.html", {"email": form.cleaned_data["email"]})
    return render(http, "portal/follow.html", {"form": form}, status=422 if form.is_bound else 200)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def prove(http: HttpRequest, token: str) -> HttpResponse:
    """Where the link in a mail leads. Opening it changes nothing; only the button does."""
    try:
        reference, email = read_proof_token(token)
    except BadSignature:
        return render(http, "portal/link_expired.html", status=410)
    request = get_object_or_404(CancellationRequest, reference=reference, email_given=email)
    if request.verified_at is not None or request.state != RequestState.UNVERIFIED:
        response = redirect("request_status", reference=reference)
        access.grant(http, response, reference, "proven")
        return response
    now = timezone.now()
    account = matching_account(request)
    choices = cancellable(account, now=now) if account else []
    form = ProveForm(_posted(http), subscriptions=choices) if len(choices) > 1 else None
    if http.method != "POST" or (form is not None and not form.is_valid()):
        return _proof_page(http, request, choices, form)
    return _verify(http, request, form.cleaned_data["subscription"] if form else None, now)


@never_cache
@require_http_methods(["POST"])
def prove_again(http: HttpRequest, reference: str) -> HttpResponse:
    request = _visible(http, reference)
    if request is None:
        return _ask_for_proof(http, reference)
    if send_proof_again(request=request, now=timezone.now()):
        messages.success(http, f"We sent the link to {request.email_given} again.")
    else:
        messages.info(http, "We sent a link a moment ago. Look into your mail, also into the spam folder.")
    return redirect("request_received", reference=reference)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def take_back(http: HttpRequest, reference: str) -> HttpResponse:
    request = _visible(http, reference)
    if request is None or access.level_of(http, request) != "proven":
        return _ask_for_proof(http, reference)
    if http.method == "POST":
        try:
            withdraw(request=request, now=timezone.now())
        except IllegalTransition as error:
            messages.warning(http, _too_late(error))
        return redirect("request_status", reference=reference)
    if not request.is_open:
        return redirect("request_status", reference=reference)
    return render(http, "portal/take_back.html", _request_context(http, request))


@require_safe
def policy(http: HttpRequest, number: int | None = None) -> HttpResponse:
    now = timezone.now()
    current = policy_in_force(now)
    published = PolicyVersion.objects.filter(state=PolicyState.PUBLISHED)
    version = current if number is None else get_object_or_404(published, number=number)
    context = {"version": version, "current": current, "text": filled_in(version)}
    return render(http, "portal/policy.html", context)


@require_safe
def policy_history(http: HttpRequest) -> HttpResponse:
    published = PolicyVersion.objects.filter(state=PolicyState.PUBLISHED).order_by("-effective_from", "-number")
    return render(
        http, "portal/policy_history.html", {"versions": published, "current": policy_in_force(timezone.now())}
    )


def _posted(http: HttpRequest) -> Any:
    """What was posted, also when that is nothing; None for a page that is only opened."""
    return http.POST if http.method == "POST" else None


def _all_of(account: Account) -> list[Subscription]:
    return list(account.subscriptions.select_related("account").order_by("ended_on", "reference"))


def _card(subscription: Subscription, now: datetime) -> dict[str, Any]:
    """What the account page shows of a subscription."""
    today = local_date(now, subscription.account.time_zone)
    if has_ended(subscription, on=today):
        return {"subscription": subscription, "ended": True}
    found = outcome(subscription, received_at=now, policy=policy_in_force(now))
    days_left = (found.assessment.deadline_on - today).days
    return {
        "subscription": subscription,
        "period": subscription.period_on(today),
        "outcome": found,
        "days_left": days_left,
        "today": today,
        "points": _points(found, today),
        "request": open_request_for(subscription),
    }


def _points(found: Outcome, today: Any) -> Any:
    told = found.assessment
    return points(
        today=today,
        deadline_on=told.deadline_on if told.on_time and told.effective_on == told.next_billing_on else None,
        next_billing_on=told.next_billing_on,
        effective_on=told.effective_on,
    )


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


def _begin_anew(http: HttpRequest, typed: dict[str, str], now: datetime) -> HttpResponse:
    """The page was too old, or the person signed in or out in between: what can be kept is kept."""
    messages.warning(http, "That page was too old, or you signed in or out in between. Please check it once more.")
    form = _form(http, typed, now) if typed else None
    return _form_page(http, form, "") if form else redirect("cancel")


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
        context |= {"outcome": found, "points": _points(found, today), "subscription": subscription}
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


def _visible(http: HttpRequest, reference: str) -> CancellationRequest | None:
    rows = CancellationRequest.objects.select_related("policy_version", "account", "subscription", "refund")
    request = rows.filter(reference=reference.upper()).first()
    return request if request and access.level_of(http, request) else None


def _ask_for_proof(http: HttpRequest, reference: str) -> HttpResponse:
    """The same page for a request of somebody else's and for one that does not exist."""
    form = FollowForm(initial={"reference": reference})
    return render(http, "portal/follow.html", {"form": form, "asked": True}, status=403)


def _request_context(http: HttpRequest, request: CancellationRequest) -> dict[str, Any]:
    proven = access.level_of(http, request) == "proven"
    context: dict[str, Any] = {
        "request_": request,
        "proven": proven,
        "zone": request.time_zone or settings.COMPANY_TIME_ZONE,
    }
    if proven:
        now = timezone.now()
        context["entries"] = timeline(request)
        context["can_take_back"] = request.is_open and (request.effective_at is None or request.effective_at > now)
        if request.is_open and request.effective_on is not None:
            context["points"] = points(
                today=local_date(now, request.time_zone),
                deadline_on=None,
                next_billing_on=request.next_billing_on,
                effective_on=request.effective_on,
            )
    return context


def _proof_page(
    http: HttpRequest, request: CancellationRequest, choices: list[Subscription], form: ProveForm | None
) -> HttpResponse:
    policy = request.policy_version
    outcomes = [
        outcome(one, received_at=request.received_at, policy=policy, requested_end=request.requested_end)
        for one in choices
    ]
    context = {"request_": request, "outcomes": outcomes, "form": form, "zone": settings.COMPANY_TIME_ZONE}
    status = 422 if form is not None and form.is_bound else 200
    return render(http, "portal/prove.html", {**context, "token": proof_token(request)}, status=status)


def _verify(
    http: HttpRequest, request: CancellationRequest, subscription: Subscription | None, now: datetime
) -> HttpResponse:
    try:
        verify(request=request, subscription=subscription, now=now)
    except (IllegalTransition, RequestRefused) as error:
        messages.warning(http, str(error))
    response = redirect("request_received", reference=request.reference)
    access.grant(http, response, request.reference, "proven")
    return response


def _too_late(error: IllegalTransition) -> str:
    if error.state == RequestState.EFFECTIVE:
        return "Your subscription has ended already, so the cancellation cannot be taken back any more."
    return "This request is settled already, so there is nothing to take back."


def brand_style(http: HttpRequest) -> HttpResponse:
    """The brand's colour from the settings, as a style sheet: the content policy allows no style in the page."""
    accent = settings.BRAND_ACCENT
    return HttpResponse(f":root {{ --accent: {accent}; }}\n" if accent else "", content_type="text/css")
