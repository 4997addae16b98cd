"""The pages of a request, and proving an address. The rules are in the services."""

import logging
import math
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core import signing
from django.core.signing import BadSignature
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.attempts import Counter, Limit, TooManyAttempts, limited, network_of
from accounts.visitors import address_of
from billing.models import Subscription
from billing.models.states import IllegalTransition
from billing.rules.periods import local_date
from cancellations.forms.files import FilesForm
from cancellations.forms.requests import FollowCodeForm, FollowForm, ProveForm, QuestionForm, TakeBackForm
from cancellations.letters.proof import Link, is_follow_code, proof_token, read_proof_token
from cancellations.models import CancellationRequest, Kind, Receipt
from cancellations.models.states import RequestState
from cancellations.pages.cards import card_of
from cancellations.queries.requests import attachments_of, declared, points_of_request, timeline_for_customer
from cancellations.services.attachments import attach_to_request
from cancellations.services.common import RequestRefused, contracts_of
from cancellations.services.joining import expected, proven_along, waiting_at
from cancellations.services.receipts import pdf_of
from cancellations.services.submission import (
    answer_question,
    disown_request,
    send_follow_link,
    send_proof_again,
    use_link,
    verify,
    withdraw,
)
from cancellations.web import access
from cancellations.web.calendar import calendar_event
from cancellations.web.downloads import attachment_response, calendar_response
from cancellations.wording.charges import words_to_come_of
from cancellations.wording.explanation import sentences
from cancellations.wording.policy import filled_in
from messaging.addresses import fold_address

log = logging.getLogger(__name__)
FOLLOW_SALT = "cancellations.asked"
NOT_MINE = "not_mine"
CODES_HERE, CODES_OF_NETWORK = Limit("codes for a request", 5), Limit("codes of a network", 50)
CODES = Limit("codes for a request from anywhere", 500)  # of 29^8


@never_cache
@require_safe
def received(http: HttpRequest, reference: str) -> HttpResponse:
    """Shows the confirmation page. It can be bookmarked and reloaded."""
    return _request_page(http, reference, "portal/received.html")


@never_cache
@require_safe
def status(http: HttpRequest, reference: str) -> HttpResponse:
    return _request_page(http, reference, "portal/status.html")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def follow(http: HttpRequest) -> HttpResponse:
    """Asks for reference and address, and sends the link. The answer does not disclose whether they match."""
    form = FollowForm(_posted(http), initial={"reference": http.GET.get("reference", "")})
    if http.method == "POST" and form.is_valid():
        send_follow_link(now=timezone.now(), **form.cleaned_data)
        return _sent_page(http, FollowCodeForm(), form.cleaned_data["reference"], form.cleaned_data["email"])
    return render(http, "portal/follow.html", {"form": form}, status=422 if form.is_bound else 200)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def follow_code(http: HttpRequest) -> HttpResponse:
    """Accepts the code from the mail instead of its link. The error does not disclose whether the request exists."""
    try:
        reference, email = signing.loads(http.POST.get("signed_request", ""), salt=FOLLOW_SALT, max_age=3600)
    except signing.BadSignature:
        return redirect("follow")
    form, now = FollowCodeForm(http.POST), timezone.now()
    if not form.is_valid():
        return _sent_page(http, form, reference, email)
    request = declared(reference).filter(email_given__same_address=email).first()
    link = Link(request.declaration, email, request.links_used) if request else Link(reference, email)
    try:
        with limited(*_code_counters(http, link), now=now) as attempt:
            attempt.has_failed = request is None or not is_follow_code(form.cleaned_data["code"], link, now)
    except TooManyAttempts as refusal:
        form.add_error("code", _("Too many wrong codes. Open the link in our e-mail, or wait a quarter of an hour"))
        response = _sent_page(http, form, reference, email, status=429)
        response.headers["Retry-After"] = str(math.ceil((refusal.until - now).total_seconds()))
        return response
    if request is None or attempt.has_failed:
        log.warning("A wrong code for the request %s.", reference)
        form.add_error(
            "code", _("This code is wrong or too old. Use the code from our newest e-mail, or ask for a new one")
        )
        return _sent_page(http, form, reference, email)
    if request.state == RequestState.UNVERIFIED:
        return redirect("request_proof", token=proof_token(request))
    return _open(http, link)


def _code_counters(http: HttpRequest, link: Link) -> tuple[Counter, ...]:
    """Strangers can use up the last one, but not the link in the mail."""
    network, request = network_of(address_of(http)), f"{link.reference} {fold_address(link.email)}"
    return Counter(CODES_HERE, f"{network} {request}"), Counter(CODES_OF_NETWORK, network), Counter(CODES, request)


def _sent_page(
    http: HttpRequest, form: FollowCodeForm, reference: str, email: str, *, status: int = 422
) -> HttpResponse:
    signed_request = signing.dumps([reference, email], salt=FOLLOW_SALT)
    context = {"form": form, "signed_request": signed_request, "email": email}
    return render(http, "portal/follow_sent.html", context, status=status if form.is_bound else 200)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def prove(http: HttpRequest, token: str) -> HttpResponse:
    """The page of the link in a mail. Opening it changes nothing; only its button does, and it works once."""
    try:
        link = read_proof_token(token)
    except BadSignature:
        return _dead_link(http)
    request = declared(link.reference).filter(email_given=link.email).first()
    if request is None:
        raise Http404
    is_unverified = request.state == RequestState.UNVERIFIED
    if access.has_proven(http, request.declaration) and not is_unverified:
        return redirect("request_status", reference=request.declaration)
    if link.links_used != request.links_used or not is_unverified:
        return _open(http, link) if http.method == "POST" else _open_page(http, request, link)
    response = _prove(http, request, link)
    if http.method != "POST":
        access.remember_opened(response, link)
    return response


def _open_page(http: HttpRequest, request: CancellationRequest, link: Link) -> HttpResponse:
    """Shows the button that opens a request whose sender is proven."""
    if link.links_used != request.links_used:
        return _dead_link(http, link)
    response = render(http, "portal/open.html", {"reference": request.declaration})
    access.remember_opened(response, link)
    return response


def _open(http: HttpRequest, link: Link, then: str = "request_status") -> HttpResponse:
    """Uses the link up, and lets this browser see the request."""
    if not use_link(reference=link.reference, links_used=link.links_used) and not access.has_opened(http, link):
        return _dead_link(http, link)
    request = declared(link.reference).select_related("joined_to").first()
    if request is not None and request.joined_to is not None:
        access.remember_proven(http, request.joined_to.declaration)
    access.remember_proven(http, link.reference)
    return redirect(then, reference=link.reference)


def _dead_link(http: HttpRequest, used: Link | None = None) -> HttpResponse:
    follow_url = reverse("follow") + (f"?reference={used.reference}" if used else "")
    context = {"is_used": used is not None, "follow_url": follow_url}
    return render(http, "portal/link_expired.html", context, status=410)


def _prove(http: HttpRequest, request: CancellationRequest, link: Link) -> HttpResponse:
    now = timezone.now()
    contracts = contracts_of(request, now)
    others = proven_along(request, contracts, waiting_at(request.email_given, now).exclude(pk=request.pk), now)
    form: ProveForm | None = ProveForm(_posted(http), request=request, subscriptions=contracts, others=others)
    if form is not None and not form.fields:
        form = None
    if http.POST.get("answer") == NOT_MINE:
        return _disown(http, request, form, now)
    if http.method != "POST" or (form is not None and not form.is_valid()):
        return _proof_page(http, request, contracts, others, form)
    try:
        return _verify(http, request, form, link, now)
    except RequestRefused as error:
        if form is None or "identifier" not in form.fields:
            messages.warning(http, str(error))
            return redirect("request_proof", token=proof_token(request))
        form.add_error(
            "identifier" if len({subscription.account_id for subscription in _chosen(form)}) < 2 else None, str(error)
        )
        return _proof_page(http, request, contracts, others, form)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def prove_again(http: HttpRequest, reference: str) -> HttpResponse:
    parts = _visible(http, reference)
    if not parts:
        return _ask_for_proof(http, reference)
    if http.method != "POST":  # a bookmark, or the address bar
        return redirect("request_received", reference=reference)
    if send_proof_again(request=parts[0], now=timezone.now(), network=address_of(http)):
        messages.success(http, _("We sent the link to %(email)s again.") % {"email": parts[0].email_given})
    elif not CancellationRequest.objects.filter(pk=parts[0].pk, link_due_at__isnull=False).exists():
        messages.info(http, _("The link was sent a moment ago. Please look into your mail, and into the spam folder."))
    return redirect("request_received", reference=reference)


@never_cache
@require_safe
def declaration(http: HttpRequest, reference: str) -> HttpResponse:
    """Returns the declaration with date and time as a text file, also before the address is proven."""
    parts = _visible(http, reference)
    if not parts:
        return _ask_for_proof(http, reference)
    text = render_to_string("portal/declaration.txt", _request_context(http, parts), http)
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{parts[0].declaration}.txt"'
    return response


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def question(http: HttpRequest, reference: str) -> HttpResponse:
    """Saves the answer to the question after the declaration."""
    parts = _visible(http, reference)
    if not parts or access.level_of(http, parts[0]) != "proven":
        return _ask_for_proof(http, reference)
    if http.method != "POST" or not parts[0].may_be_asked_why:
        return redirect("request_received", reference=reference)
    form = QuestionForm(http.POST)
    if not form.is_valid():
        context = {**_request_context(http, parts), "question": form}
        return render(http, "portal/received.html", context, status=422)
    answer_question(request=parts[0], **form.cleaned_data)
    messages.success(http, _("Thank you. We read each answer."))
    return redirect("request_status", reference=reference)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def take_back(http: HttpRequest, reference: str) -> HttpResponse:
    """Withdraws requests after a page that asks for confirmation and, if there are several, which ones."""
    parts = _visible(http, reference)
    if not parts or access.level_of(http, parts[0]) != "proven":
        return _ask_for_proof(http, reference)
    now = timezone.now()
    open_parts = [part for part in parts if _can_be_taken_back(part, now)]
    form = TakeBackForm(_posted(http), requests=open_parts) if len(open_parts) > 1 else None
    if (http.method != "POST" and open_parts) or (form is not None and form.is_bound and not form.is_valid()):
        context = {**_request_context(http, parts), "open_parts": open_parts, "form": form}
        return render(http, "portal/take_back.html", context, status=422 if form and form.is_bound else 200)
    if http.method == "POST":
        try:
            withdraw(requests=form.cleaned_data["request"] if form else open_parts or parts[:1], now=now)
        except IllegalTransition as error:
            messages.warning(http, _too_late(error))
        except RequestRefused as error:
            messages.warning(http, str(error))
    return redirect("request_status", reference=reference)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def files(http: HttpRequest, reference: str) -> HttpResponse:
    """Adds files that support a ground, for a sender who has proven the address."""
    parts = _visible(http, reference)
    if not parts or access.level_of(http, parts[0]) != "proven":
        return _ask_for_proof(http, reference)
    form = FilesForm(_posted(http), http.FILES if http.method == "POST" else None)
    if http.method == "POST" and form.is_valid():
        try:
            attach_to_request(request=parts[0], files=form.cleaned_data["file"], now=timezone.now())
        except RequestRefused as error:
            form.add_error("file", str(error))
        else:
            messages.success(http, _("We keep your files with the request."))
            return redirect("request_status", reference=reference)
    context = {**_request_context(http, parts), "form": form}
    return render(http, "portal/files.html", context, status=422 if form.is_bound else 200)


@never_cache
@require_safe
def file(http: HttpRequest, reference: str, key: UUID) -> HttpResponse:
    """Returns a file of the request as a download."""
    parts = _visible(http, reference)
    if not parts or access.level_of(http, parts[0]) != "proven":
        return _ask_for_proof(http, reference)
    attachment = get_object_or_404(attachments_of(parts[0]).defer(None), pk=key)
    if attachment.is_held:  # the page says why
        return redirect("request_status", reference=reference)
    return attachment_response(attachment)


@never_cache
@require_safe
def receipt(http: HttpRequest, reference: str) -> HttpResponse:
    """Returns the receipt as a PDF."""
    parts = _visible(http, reference)
    if not parts or access.level_of(http, parts[0]) != "proven":
        return _ask_for_proof(http, reference)
    issued = get_object_or_404(Receipt, declaration=parts[0].declaration, erased_at__isnull=True)
    response = HttpResponse(pdf_of(issued), content_type="application/pdf")
    response.headers["Content-Disposition"] = f'attachment; filename="{issued.declaration}.pdf"'
    return response


@never_cache
@require_safe
def ends(http: HttpRequest, reference: str, part: int) -> HttpResponse:
    """Returns the end date of one subscription as a calendar file."""
    parts = _visible(http, reference)
    if not parts or access.level_of(http, parts[0]) != "proven":
        return _ask_for_proof(http, reference)
    request = next(
        (request for request in parts if request.part == part and request.subscription and request.effective_on), None
    )
    if request is None or request.subscription is None or request.effective_on is None:
        raise Http404
    event = calendar_event(
        name=f"{request.reference}-end",
        day=request.effective_on,
        summary=_("%(plan)s has ended (%(brand)s)")
        % {"plan": request.subscription.plan_name, "brand": settings.BRAND_NAME},
        description="\n".join(sentences(request.explanation)),
        url=settings.SITE_URL + reverse("request_status", args=[request.declaration]),
        remind_days=1,
        made_at=request.state_changed_at,
    )
    return calendar_response(event, f"{request.reference}.ics")


def _posted(http: HttpRequest) -> Any:
    """Returns the posted data, even if empty; None for another method."""
    return http.POST if http.method == "POST" else None


def _request_page(http: HttpRequest, reference: str, template: str) -> HttpResponse:
    parts = _visible(http, reference)
    if not parts:
        return _ask_for_proof(http, reference)
    return render(http, template, _request_context(http, parts))


def _visible(http: HttpRequest, reference: str) -> list[CancellationRequest]:
    """Returns the requests of the declaration if this browser may see them, else an empty list."""
    rows = declared(reference.upper()).select_related("policy_version", "account", "subscription", "refund")
    parts = list(rows)
    return parts if parts and access.level_of(http, parts[0]) else []


def _ask_for_proof(http: HttpRequest, reference: str) -> HttpResponse:
    """Shows the same page for somebody else's request and for one that does not exist."""
    form = FollowForm(initial={"reference": reference})
    return render(http, "portal/follow.html", {"form": form, "is_denied": True}, status=403)


def _can_be_taken_back(request: CancellationRequest, now: datetime) -> bool:
    return request.is_open and (request.effective_at is None or request.effective_at > now)


def _request_context(http: HttpRequest, parts: list[CancellationRequest]) -> dict[str, Any]:
    """Returns the context. `request_` is the first request of the declaration; `parts` has one item each."""
    request = parts[0]
    proven = access.level_of(http, request) == "proven"
    now = timezone.now()
    context: dict[str, Any] = {
        "request_": request,
        "proven": proven,
        "zone": request.time_zone or settings.COMPANY_TIME_ZONE,
        "several": len(parts) > 1,
    }
    if proven:
        context["parts"] = [_part_context(part, now) for part in parts]
        context["can_take_back"] = any(_can_be_taken_back(part, now) for part in parts)
        context["takes_files"] = request.kind_declared == Kind.FOR_CAUSE or request.refund_wanted
        context["takes_files"] &= any(part.is_open for part in parts)
        context["attachments"] = attachments_of(request)
        context["receipt"] = (
            Receipt.objects.filter(declaration=request.declaration, erased_at__isnull=True).defer("pdf").first()
        )
        context["question"] = QuestionForm() if request.may_be_asked_why else None
        context["policy_text"] = filled_in(request.policy_version)
    return context


def _part_context(part: CancellationRequest, now: datetime) -> dict[str, Any]:
    context: dict[str, Any] = {"request_": part, "entries": timeline_for_customer(part), "refunds": []}
    if part.time_zone:
        today = local_date(now, part.time_zone)
        context["points"] = points_of_request(part, today=today)
        context["to_come"] = words_to_come_of(part, today=today)
    if part.refund is not None:
        context["refunds"] = [
            {"refund": refund, "lines": refund.lines.select_related("payment").order_by("payment__period_start")}
            for refund in (part.refund, *part.refund.others.order_by("currency"))
        ]
    return context


def _proof_page(
    http: HttpRequest,
    request: CancellationRequest,
    contracts: list[Subscription],
    others: list[CancellationRequest],
    form: ProveForm | None,
) -> HttpResponse:
    """Shows what the proof would do: to each contract, and to what else was received from the address."""
    now = timezone.now()
    cards = [card_of(expected(request, subscription, others, now), now) for subscription in contracts]
    context: dict[str, Any] = {"request_": request, "cards": cards, "form": form, "zone": settings.COMPANY_TIME_ZONE}
    context["others"] = [{"request_": other, "token": proof_token(other)} for other in others]
    status = 422 if form is not None and form.is_bound else 200
    return render(http, "portal/prove.html", {**context, "token": proof_token(request)}, status=status)


def _chosen(form: ProveForm | None) -> list[Subscription]:
    return list(form.cleaned_data.get("subscription", [])) if form else []


def _disown(http: HttpRequest, request: CancellationRequest, form: ProveForm | None, now: datetime) -> HttpResponse:
    """Declines what the holder of the address did not send. The other fields of the form do not matter then."""
    disowned = form.chosen_as_disowned() if form else []
    try:
        disown_request(request=request, disowned=disowned, now=now)
    except IllegalTransition:
        messages.warning(http, _("This request was closed in the meantime, so there is nothing left to confirm."))
    else:
        messages.success(http, _("Thank you. Nothing is cancelled, and we send you nothing more about this."))
    return redirect("entry")


def _verify(
    http: HttpRequest, request: CancellationRequest, form: ProveForm | None, link: Link, now: datetime
) -> HttpResponse:
    """Raises RequestRefused."""
    identifier = form.cleaned_data.get("identifier", "") if form else ""
    disowned = list(form.cleaned_data.get("disowned", [])) if form else []
    try:
        verify(
            request=request,
            subscriptions=_chosen(form),
            identifier=identifier,
            disowned=disowned,
            stated_end=form.stated_end() if form else None,
            now=now,
        )
    except IllegalTransition:
        messages.warning(http, _("This request was closed in the meantime, so there is nothing left to confirm."))
    return _open(http, link, then="request_received")


def _too_late(error: IllegalTransition) -> str:
    if error.state == RequestState.EFFECTIVE:
        return _("Your subscription has ended already, so the cancellation cannot be taken back any more.")
    return _("This request is closed already, so there is nothing to take back.")
