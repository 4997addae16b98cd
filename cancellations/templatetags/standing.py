"""Sentences about a request or a refund that depend on its state, one table or function each."""

from datetime import date
from typing import Any

from django import template
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from billing.models import Refund, RefundBasis
from billing.models.states import RefundState
from billing.rules.periods import local_date
from billing.templatetags.money import money
from cancellations.models import CancellationRequest, Kind
from cancellations.models.states import RequestState
from messaging.wording import day_words, long_day_words

register = template.Library()

HEADINGS = {
    RequestState.UNVERIFIED: _("We wait for you to open the link in your mail"),
    RequestState.EFFECTIVE: _('Your subscription ended on <span class="num">%(day)s</span>'),
    RequestState.DECLINED: _("We could not accept this request"),
    RequestState.WITHDRAWN: _("You took back this cancellation"),
    RequestState.EXPIRED: _("This request expired"),
    RequestState.SUPERSEDED: _("This request is closed"),
    "at once": _("Your subscription ends at once"),
    "ends": _('Your subscription ends on <span class="num">%(day)s</span>'),
    "end is open": _("We look at when your subscription should end"),
    "not matched": _("We are looking for your contract"),
}
IN_SHORT = {
    RequestState.UNVERIFIED: _("waits for proof"),
    RequestState.EFFECTIVE: _('ended on <span class="num">%(day)s</span>'),
    RequestState.DECLINED: _("we could not accept this"),
    RequestState.WITHDRAWN: _("taken back"),
    RequestState.EXPIRED: _("expired"),
    RequestState.SUPERSEDED: _("settled"),
    "at once": _("ends at once"),
    "ends": _('ends on <span class="num">%(day)s</span>'),
    "end is open": _("we look at when it should end"),
    "not matched": _("we are looking for the contract"),
}
COUNTS_AS = {
    Kind.ORDINARY: _("Your request counts as an ordinary cancellation: %(ground)s"),
    Kind.COOLING_OFF: _("Your request counts as made within the cooling-off days: %(ground)s"),
    Kind.FOR_CAUSE: _("Your request counts as a cancellation for cause: %(ground)s"),
}
REFUNDS = {
    RefundState.PAID: _(
        'We refunded <strong class="num">%(sum)s</strong> on %(paid)s, reference %(transfer)s, credit note %(note)s.'
    ),
    RefundState.FAILED: _(
        'We sent <strong class="num">%(sum)s</strong>, but the money did not arrive. We will send it again.'
    ),
    RefundState.APPROVED: _('We refund <strong class="num">%(sum)s</strong>. It should reach you by %(arrives)s.'),
    RefundState.SENDING: _('We refund <strong class="num">%(sum)s</strong>. It should reach you by %(arrives)s.'),
    RefundState.DECLINED: _("We could not approve a refund."),
    RefundState.VOID: _("Closed without a refund."),
    RefundState.PROPOSED: _(
        'We propose <strong class="num">%(sum)s</strong>. A second person decides by '
        '<span class="num">%(decided)s</span>.'
    ),
}
IN_REVIEW = _('In review. We decide by <span class="num">%(decided)s</span>.')


def filled(sentence: Any, **values: Any) -> SafeString:
    """Fills values into a sentence that may have markup. The values are escaped."""
    escaped = {name: conditional_escape(value) for name, value in values.items()}
    return mark_safe(str(sentence) % escaped)  # noqa: S308 - the sentence is ours


@register.simple_tag
def standing(request: CancellationRequest) -> SafeString:
    """Where the request stands, as the heading of its page."""
    return filled(HEADINGS[_case(request)], day=day_words(request.effective_on))


@register.simple_tag
def standing_short(request: CancellationRequest) -> SafeString:
    """The same in a few words, after the name of the subscription."""
    return filled(IN_SHORT[_case(request)], day=day_words(request.effective_on))


@register.filter
def tone(request: CancellationRequest) -> str:
    """The colour of the state: good, bad, wait, or none."""
    if request.state in (RequestState.SCHEDULED, RequestState.EFFECTIVE):
        return "good"
    if request.state == RequestState.DECLINED:
        return "bad"
    return "wait" if request.is_open else ""


@register.simple_tag
def counts_as(request: CancellationRequest) -> SafeString | str:
    """That support changed the kind, and why; empty where the kind is the declared one, or the request is settled."""
    if request.ground_is_open or request.kind == request.kind_declared or not request.is_open:
        return ""
    ground = gettext(request.kind_ground) if request.kind_ground else ""
    return filled(COUNTS_AS[Kind(request.kind)], ground=ground)


@register.filter
def end_elsewhere(request: CancellationRequest) -> date | None:
    """The end of the company's own system if it is earlier than the request's: it stands. Otherwise None."""
    subscription = request.subscription
    if not request.is_open or subscription is None or subscription.ended_on is None or request.effective_on is None:
        return None
    return subscription.ended_on if subscription.ended_on < request.effective_on else None


@register.simple_tag
def effective_sentence(request: CancellationRequest) -> SafeString:
    """When the subscription ends, on the page that confirms the cancellation."""
    ended = request.state == RequestState.EFFECTIVE
    if request.at_once:
        sentence = gettext("%(plan)s has ended.") if ended else gettext("%(plan)s ends at once.")
    elif ended:
        sentence = gettext('%(plan)s ended on <strong class="num">%(day)s</strong>.')
    elif request.ground_is_open:
        sentence = gettext('%(plan)s ends on <strong class="num">%(day)s</strong> at the latest.')
    else:
        sentence = gettext('%(plan)s ends on <strong class="num">%(day)s</strong>.')
    return filled(sentence, plan=_plan(request), day=long_day_words(request.effective_on))


@register.simple_tag
def received_sentence(request: CancellationRequest) -> SafeString:
    """When we received the request and when it ends, on the card of the subscription."""
    if request.effective_on is None:
        sentence = gettext("We received your cancellation on %(received)s.")
    elif request.at_once:
        sentence = gettext("We received your cancellation on %(received)s; it ends <strong>at once</strong>.")
    else:
        sentence = gettext(
            'We received your cancellation on %(received)s; it ends on <strong class="num">%(day)s</strong>.'
        )
    received = day_words(local_date(request.received_at, request.time_zone))
    return filled(sentence, received=received, day=day_words(request.effective_on))


@register.simple_tag
def time_left(days: int, ends_on: date) -> SafeString:
    """How long one can still cancel for the next billing date."""
    if days < 0:
        words = gettext("that has passed; cancel today and it ends on %(day)s")
    elif days == 0:
        words = gettext("today is the last day")
    else:
        words = ngettext("%(days)s day left", "%(days)s days left", days)
    return filled(words, days=days, day=day_words(ends_on))


@register.simple_tag
def refund_sentence(refund: Refund) -> SafeString:
    """Where the refund stands, with its ground where it was not approved."""
    template = REFUNDS.get(RefundState(refund.state), IN_REVIEW)
    if refund.state == RefundState.PROPOSED and not refund.amount.amount:
        template = IN_REVIEW
    sentence = filled(
        template,
        sum=money(refund.amount),
        paid=day_words(refund.paid_on),
        transfer=refund.settlement_reference,
        note=refund.credit_note,
        arrives=day_words(refund.payment_due_on),
        decided=day_words(refund.decision_due_on),
    )
    if refund.state in (RefundState.DECLINED, RefundState.VOID) and refund.decision_ground:
        return format_html("{} {}", sentence, gettext(refund.decision_ground))
    return sentence


@register.simple_tag
def refund_next(request: CancellationRequest) -> dict[str, str]:
    """What we do about the refund and when, as a line of what happens next; empty where there is none."""
    quoted = request.refund_quoted
    if not (request.refund_wanted or (quoted and quoted.amount)):
        return {}
    if not (quoted and quoted.amount):
        what = gettext("We decide on your refund.")
    elif request.refund_basis == RefundBasis.FULL:
        what = gettext("We decide on your refund; you paid %(sum)s.")
    else:
        what = gettext("We decide on your refund; you have prepaid %(sum)s beyond the end.")
    days = request.policy_version.refund_decision_days
    if request.refund_wanted:
        when = ngettext(
            "within %(days)s working day after we accepted the request",
            "within %(days)s working days after we accepted the request",
            days,
        )
    else:
        when = ngettext("within %(days)s working day after the end", "within %(days)s working days after the end", days)
    return {"what": filled(what, sum=money(quoted)), "when": filled(when, days=days)}


def _case(request: CancellationRequest) -> str:
    if request.state in HEADINGS:
        return request.state
    if request.at_once:
        return "at once"
    if request.effective_on:
        return "ends"
    return "end is open" if request.subscription_id and request.end_is_open else "not matched"


def _plan(request: CancellationRequest) -> str:
    return request.subscription.plan_name if request.subscription else ""
