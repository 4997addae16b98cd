"""What the customer declared, as the rows of a table with label, value and a link to change it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django import template
from django.template.defaultfilters import truncatechars
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.templatetags.money import price
from cancellations.models import CancellationRequest, Kind
from messaging.text import isolate
from messaging.wording import day_words

register = template.Library()


@dataclass(frozen=True)
class Fact:
    """One row. `none` is shown if there is no value, `words` are the customer's own, `field` can be changed."""

    label: str
    values: Sequence[object] = ()
    css: str = ""
    none: str = ""
    words: str = ""
    field: str = ""
    named: str = ""


@register.simple_tag
def declared_facts(request: CancellationRequest) -> list[Fact]:
    """Returns the declaration for the pages of the request."""
    return list(_declared(request))


@register.simple_tag
def declared_lines(request: CancellationRequest) -> list[tuple[str, str]]:
    """Returns the declaration as lines of a text file."""
    requested_end = _not_read(request) or day_words(request.asked_end) or _("The earliest date")
    lines = [
        (_("Name"), request.name_given),
        (_("Account number"), request.account_number_given),
        (_("Username"), request.username_given),
        (_("E-mail address"), request.email_given),
        (_("Kind"), request.get_kind_declared_display()),
        (_("Reason for leaving at once"), request.cause),
        (_("Reason"), request.get_reason_display()),
        (_("In your own words"), request.words),
        (_("Requested end date"), requested_end if _may_have_requested_end(request) else ""),
        (_("Asks for a refund"), request.refund_reason),
    ]
    return [(label, isolate(value)) for label, value in lines if value.strip()]


@register.simple_tag
def answer_facts(form: Any, answers: dict[str, Any], cards: Sequence[dict[str, Any]]) -> list[Fact]:
    """Returns the answers of the form, for the page that checks them."""
    chosen = [card["subscription"] for card in cards]
    return [
        *(_chosen(chosen) if chosen else _identity(form, answers)),
        *_answers(form, answers),
        _recipient(answers, chosen),
    ]


def _declared(request: CancellationRequest) -> Iterator[Fact]:
    kind = request.kind_declared
    if request.name_given:
        yield Fact(_("Name"), [request.name_given])
    if request.account_number_given:
        yield Fact(_("Account number"), [request.account_number_given], "num")
    if kind == Kind.FOR_CAUSE:
        yield Fact(_("Kind"), [_("You want to leave at once")], words=request.cause)
    elif kind == Kind.COOLING_OFF:
        yield Fact(_("Kind"), [_("You use the cooling-off days")])
    if request.reason:
        yield Fact(_("Reason"), [request.get_reason_display()], words=request.words)
    elif request.words and kind != Kind.FOR_CAUSE:
        yield Fact(_("In your own words"), [truncatechars(request.words, 1500)], "words")
    if _may_have_requested_end(request):
        yield _requested_end(request.asked_end, unread=_not_read(request))
    if request.refund_wanted:
        yield Fact(_("Refund"), [request.refund_reason], "words")


def _may_have_requested_end(request: CancellationRequest) -> bool:
    return request.kind_declared == Kind.ORDINARY or request.requested_end is not None


def _not_read(request: CancellationRequest) -> str:
    return _("A date that we could not read for certain") if request.end_is_open else ""


def _requested_end(day: Any, field: str = "", unread: str = "") -> Fact:
    label = _("Requested end date")
    shown = [unread] if unread else [day_words(day)] if day else []
    return Fact(label, shown, "num", _("The earliest date"), field=field, named=label)


def _chosen(chosen: Sequence[Any]) -> Iterator[Fact]:
    label = ngettext("Subscription", "Subscriptions", len(chosen))
    plans = [format_html("{}, {}", subscription.plan_name, price(subscription)) for subscription in chosen]
    yield Fact(label, plans, field="subscription_0", named=_("subscription"))


def _identity(form: Any, answers: dict[str, Any]) -> Iterator[Fact]:
    for name, css in (("name", ""), ("account_number", "num"), ("username", "")):
        if answers.get(name):
            label = _("Username") if name == "username" else form.fields[name].label
            yield Fact(label, [answers[name]], css, field=name, named=label)


def _answers(form: Any, answers: dict[str, Any]) -> Iterator[Fact]:
    if form.of_kind == Kind.FOR_CAUSE:
        yield Fact(
            _("Your reason for leaving at once"),
            [answers["cause"]],
            "words",
            field="cause",
            named=_("Your reason for leaving at once"),
        )
    if "reason" in form.fields:
        reason = dict(form.fields["reason"].choices).get(answers["reason"]) if answers["reason"] else None
        values, label = [reason] if reason else [], _("Reason")
        yield Fact(label, values, "", _("None given"), answers.get("words", ""), field="reason_0", named=label)
    if "requested_end" in form.fields:
        yield _requested_end(answers.get("requested_end"), "requested_end")
    if "refund_reason" in form.fields:
        words, label = answers.get("refund_reason", ""), _("Refund")
        values = [_("You ask for one")] if words else []
        yield Fact(label, values, "", _("Not asked for"), words, field="refund_reason", named=label)


def _recipient(answers: dict[str, Any], chosen: Sequence[Any]) -> Fact:
    if chosen:
        return Fact(_("Receipt goes to"), [chosen[0].account.email])
    return Fact(_("Receipt goes to"), [answers["email"]], field="email", named=_("e-mail address"))
