"""Public pages of the policy: the version in force, older ones, history, comparison and feed (policy 4.1)."""

from datetime import datetime

from django.conf import settings
from django.contrib.syndication.views import Feed
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.feedgenerator import Atom1Feed
from django.views.decorators.http import require_safe

from cancellations.models import PolicyVersion
from cancellations.queries.policies import policy_in_force, public_versions, published_versions
from cancellations.rules.comparison import compare_figures, compare_texts
from cancellations.wording.policy import filled_in, plain, special_figures, special_labels, table
from messaging.text import isolate, replace_unkeepable


@require_safe
def policy(http: HttpRequest, number: int | None = None) -> HttpResponse:
    current = policy_in_force(timezone.now())
    version = current if number is None else get_object_or_404(public_versions(), number=number)
    previous = published_versions().filter(number__lt=version.number).first()
    labels = special_labels(version)
    context = {
        "version": version,
        "current": current,
        "text": filled_in(version),
        "before": previous,
        "special_labels": labels,
        "special": [(whom, [figures.get(label, "") for label in labels]) for whom, figures in special_figures(version)],
    }
    return render(http, "portal/policy.html", context)


@require_safe
def history(http: HttpRequest) -> HttpResponse:
    versions = list(public_versions())
    pairs = [(version, versions[n + 1] if n + 1 < len(versions) else None) for n, version in enumerate(versions)]
    return render(http, "portal/policy_history.html", {"pairs": pairs, "current": policy_in_force(timezone.now())})


@require_safe
def choose(http: HttpRequest) -> HttpResponse:
    """Redirects the two versions chosen on the history page to the URL of their comparison."""
    numbers = [http.GET.get(name, "") for name in ("before", "after")]
    versions = public_versions().filter(number__in=[number for number in numbers if number.isdecimal()])
    if not versions.exists() or not all(number.isdecimal() for number in numbers):
        return redirect("policy_history")
    return redirect("policy_compare", *numbers)


@require_safe
def compare(http: HttpRequest, before: int, after: int) -> HttpResponse:
    """Shows what changed from one version to another: added and removed words, and the figures."""
    old, new = (get_object_or_404(public_versions(), number=number) for number in (before, after))
    context = {
        "old": old,
        "new": new,
        "figures": compare_figures(table(old), table(new)),
        "blocks": compare_texts(plain(old), plain(new)),
    }
    return render(http, "portal/policy_compare.html", context)


class PolicyFeed(Feed):
    """Atom feed (RFC 4287) with an entry for each published version, newest first."""

    feed_type = Atom1Feed
    title = f"{settings.BRAND_NAME}: cancellation policy"
    subtitle = "Each published version of the policy"

    def link(self) -> str:
        return reverse("policy_history")

    def items(self) -> QuerySet[PolicyVersion]:
        return public_versions()

    def item_title(self, item: PolicyVersion) -> str:
        if item.recalled_at:
            return f"Version {item.number}, recalled before it came into force"
        return f"Version {item.number}, in force from {timezone.localtime(item.effective_from):%Y-%m-%d}"

    def item_description(self, item: PolicyVersion) -> str:
        return isolate(replace_unkeepable(item.recall_ground or item.change_summary))

    def item_link(self, item: PolicyVersion) -> str:
        return reverse("policy_version", args=[item.number])

    def item_pubdate(self, item: PolicyVersion) -> datetime | None:
        return item.published_at

    def item_updateddate(self, item: PolicyVersion) -> datetime | None:
        return item.recalled_at or item.published_at
