"""The entry page, and the page about the law of each place."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from cancellations.queries.policies import policy_in_force
from cancellations.rules.jurisdictions import COOLING_OFF, PROFILES
from cancellations.rules.law import changes
from cancellations.rules.statute import statements_of
from cancellations.web.places import ELSEWHERE, countries, country_of_guest, profile_of, remember_country


@require_safe
def entry(http: HttpRequest) -> HttpResponse:
    profile = profile_of(http)
    context = {
        "policy": policy_in_force(timezone.now()),
        "countries": countries(),
        "country": country_of_guest(http) or ELSEWHERE,
        "offer": _offer() if profile.offers else None,
    }
    response = render(http, "portal/entry.html", context)
    remember_country(http, response)
    return response


def _offer() -> dict[str, str] | None:
    """Returns the offer to stay from the settings: a text and a link, which cannot obstruct the cancellation."""
    if not (settings.OFFER_TEXT and settings.OFFER_URL):
        return None
    label = settings.OFFER_LABEL or gettext("Look at the offer")
    return {"text": settings.OFFER_TEXT, "url": settings.OFFER_URL, "label": label}


@require_safe
@gzip_page  # the one long page; Django pads it against attacks on what is compressed beside a secret (BREACH)
def law(http: HttpRequest) -> HttpResponse:
    """Shows what the law of each place changes about a cancellation, with its sources."""
    places = [{"profile": profile, "statements": statements_of(profile)} for profile in PROFILES.values()]
    by_name = {profile.name: statements_of(profile) for profile in PROFILES.values()}
    context = {
        "places": places,
        "cooling_off": COOLING_OFF,
        "changes": changes(
            {"European Union and European Economic Area: cooling-off": COOLING_OFF.statements} | by_name
        ),
        "today": timezone.localdate(),
    }
    return render(http, "portal/law.html", context)
