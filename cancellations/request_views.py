"""A request's pages, and proving that it is yours. The rules live in the services; this translates."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from billing.models import Subscription
from billing.periods import local_date
from billing.states import IllegalTransition
from cancellations import access
from cancellations.forms import FollowForm, ProveForm
from cancellations.letters import proof_token, read_proof_token
from cancellations.models import CancellationRequest
from cancellations.picture import points
from cancellations.queries import cancellable, outcome, timeline
from cancellations.services.common import RequestRefused, matching_account
from cancellations.services.submission import (
    send_follow_link,
    send_proof_again,
    verify,
    withdraw,
)
from cancellations.states import RequestState


@never_cache
@require_safe
def received(http: HttpRequest, reference: str) -> HttpResponse:
    """The confirmation page. It survives a bookmark and the back button."""
    return _page_of(http, reference, "portal/received.html")


@never_cache
@require_safe
def status(http: HttpRequest, reference: str) -> HttpResponse:
    return _page_of(http, reference, "portal/status.html")


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
@require_http_methods(["GET", "HEAD", "POST"])
def prove_again(http: HttpRequest, reference: str) -> HttpResponse:
    request = _visible(http, reference)
    if request is None:
        return _ask_for_proof(http, reference)
    if http.method != "POST":  # a bookmark, or the address bar
        return redirect("request_received", reference=reference)
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


def _posted(http: HttpRequest) -> Any:
    """What was posted, also when that is nothing; None for a page that is only opened."""
    return http.POST if http.method == "POST" else None


def _page_of(http: HttpRequest, reference: str, template: str) -> HttpResponse:
    request = _visible(http, reference)
    if request is None:
        return _ask_for_proof(http, reference)
    return render(http, template, _request_context(http, request))


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
