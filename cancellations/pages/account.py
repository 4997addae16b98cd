"""The pages of a signed-in customer: subscriptions, dates for the calendar, and personal data."""

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.serializers.json import DjangoJSONEncoder
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import Account, User
from accounts.queries import accounts_of
from billing.models import Subscription
from billing.rules.periods import local_date
from cancellations.models import PolicyVersion
from cancellations.queries.outcomes import may_cool_off, outcome
from cancellations.queries.own_data import own_data
from cancellations.queries.policies import policy_in_force
from cancellations.queries.requests import has_ended, open_request_for, points_of_request
from cancellations.rules.date_line import points_of
from cancellations.rules.end_date import DEADLINE
from cancellations.web.calendar import calendar_event
from cancellations.web.downloads import calendar_response
from cancellations.wording.charges import words_to_come, words_to_come_of
from cancellations.wording.explanation import sentences
from messaging.wording import day_words

# The keys of the steps that explain a last day to cancel
ABOUT_DEADLINE = DEADLINE - {"in_time", "late"} | {"next_billing", "minimum_term", "trial", "trial_without_notice"}


@require_safe
@login_required
def subscriptions(http: HttpRequest) -> HttpResponse:
    assert isinstance(http.user, User)
    if http.user.is_staff:
        return redirect("admin:index")
    now = timezone.now()
    policy = policy_in_force(now)
    accounts = [_account_cards(account, policy, now) for account in accounts_of(http.user)]
    return render(http, "portal/subscriptions.html", {"accounts": accounts})


@require_safe
@login_required
def cancel_by(http: HttpRequest) -> HttpResponse:
    """Returns the last day to cancel for the next billing date as a calendar file."""
    assert isinstance(http.user, User)
    own = Subscription.objects.filter(account__in=accounts_of(http.user)).select_related("account")
    subscription: Subscription = get_object_or_404(own, reference=http.GET.get("subscription", ""))
    now = timezone.now()
    current_outcome = outcome(subscription, received_at=now, policy=policy_in_force(now))
    assessment = current_outcome.assessment
    today = local_date(now, subscription.account.time_zone)
    if has_ended(subscription, on=today) or current_outcome.at_once or assessment.deadline_on < today:
        raise Http404
    event = calendar_event(
        name=f"{subscription.reference}-cancel-by",
        day=assessment.deadline_on,
        summary=gettext("Last day to cancel %(plan)s for %(day)s")
        % {"plan": subscription.plan_name, "day": day_words(assessment.deadline_for)},
        description="\n".join(sentences(each for each in assessment.steps if each.key in ABOUT_DEADLINE)),
        url=settings.SITE_URL + reverse("cancel"),
        remind_days=2,
        made_at=now,
    )
    return calendar_response(event, f"{subscription.reference}.ics")


@never_cache
@require_safe
@login_required
def your_data(http: HttpRequest) -> HttpResponse:
    """Shows all data stored about the user's accounts."""
    return render(http, "portal/your_data.html", {"accounts": _own_data(http)})


@never_cache
@require_safe
@login_required
def your_data_file(http: HttpRequest) -> HttpResponse:
    """Returns the same data as JSON (GDPR, article 20)."""
    content = json.dumps({"accounts": _own_data(http)}, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1)
    response = HttpResponse(content, content_type="application/json")
    response.headers["Content-Disposition"] = 'attachment; filename="your-data.json"'
    return response


def _own_data(http: HttpRequest) -> list[dict[str, Any]]:
    assert isinstance(http.user, User)
    now = timezone.now()
    return [own_data(account, now=now) for account in accounts_of(http.user)]


def _account_cards(account: Account, policy: PolicyVersion, now: datetime) -> dict[str, Any]:
    cards = [_card(subscription, policy, now) for subscription in _subscriptions_of(account)]
    running = [card["subscription"].reference for card in cards if "outcome" in card]
    cancel_all_query = urlencode({"subscription": running}, doseq=True)
    return {"account": account, "cards": cards, "running": len(running), "cancel_all": cancel_all_query}


def _subscriptions_of(account: Account) -> list[Subscription]:
    return list(account.subscriptions.select_related("account").order_by("ended_on", "reference"))


def _card(subscription: Subscription, policy: PolicyVersion, now: datetime) -> dict[str, Any]:
    """Returns what the account page shows about a subscription."""
    today = local_date(now, subscription.account.time_zone)
    if has_ended(subscription, on=today):
        return {"subscription": subscription, "ended": True}
    if (request := open_request_for(subscription)) is not None:
        return {
            "subscription": subscription,
            "request": request,
            "points": points_of_request(request, today=today),
            "to_come": words_to_come_of(request, today=today),
        }
    current_outcome = outcome(subscription, received_at=now, policy=policy)
    days_left = (current_outcome.assessment.deadline_on - today).days
    return {
        "subscription": subscription,
        "may_cool_off": may_cool_off(subscription, now=now, policy=policy),
        "period": subscription.period_on(today),
        "outcome": current_outcome,
        "days_left": days_left,
        "today": today,
        "to_come": words_to_come(subscription, today=today, end=current_outcome.effective_on),
        "points": () if current_outcome.at_once else points_of(current_outcome.assessment, today=today),
    }
