"""The end of a contract: by the policy, by the law, and which of the two counts. Pure: no Django, no clock.

The earlier date counts; on a tie the policy's is named. All dates are local to the account.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta

from billing.rules.periods import Interval
from cancellations.rules.explanation import Step, step
from cancellations.rules.notice import (
    NoticeAssessment,
    assess,
    assess_in_minimum_term,
    assess_late_in_trial,
    assess_trial,
    shifted,
)
from cancellations.rules.statute import StatutoryEnd, latest_end

# The keys of steps by what they say
CONCLUSIONS = frozenset({"ends_then", "ends_later", "trial_in_time", "nothing_charged"})
SPECIAL = frozenset({"special_plan", "special_interval"})
DEADLINE = SPECIAL | {"deadline", "deadline_by_law", "no_notice", "in_time", "late"}
ENDING = CONCLUSIONS | {"wish"}


@dataclass(frozen=True)
class Terms:
    """What the policy asks of a contract, in whole days.

    The last two say whether the days are special terms of the policy: for its plan ("plan") or for its billing
    interval ("interval").
    """

    notice_days: int
    trial_notice_days: int = 0
    special_notice: str = ""
    special_trial_notice: str = ""


@dataclass(frozen=True)
class Contract:
    """What the end of a contract depends on.

    `country` is ISO 3166-1 alpha-2. `is_type_assumed` says that nobody told us whether the customer is a consumer.
    `further_reminders` are reminders of renewals besides `reminded_on`. `ends_elsewhere_on` is the end that the
    company's own system has already.
    """

    started_on: date
    anchor: date
    interval: Interval
    trial_ends_on: date | None = None
    minimum_term_ends_on: date | None = None
    concluded_on: date | None = None
    reminded_on: date | None = None
    country: str = ""
    is_consumer: bool = False
    is_type_assumed: bool = False
    ends_elsewhere_on: date | None = None
    further_reminders: tuple[date, ...] = ()


@dataclass(frozen=True)
class End:
    """The end that counts, and the dates it was chosen from.

    `law_on` is the latest end by law, or the requested end date where that is later. It is None where no law sets one.
    `is_elsewhere` says that an earlier end of the company's own system stands.
    """

    assessment: NoticeAssessment
    policy_on: date
    law: StatutoryEnd | None = None
    law_on: date | None = None
    is_elsewhere: bool = False

    @property
    def is_by_law(self) -> bool:
        """Whether the law's date counts, because it is the earliest one."""
        return self.law_on is not None and self.law_on < self.policy_on and not self.is_elsewhere


def assess_end(contract: Contract, terms: Terms, *, received_on: date, requested_end: date | None = None) -> End:
    """Returns the end of a contract that is cancelled ordinarily. Raises ValueError where the calendar ends."""
    end = _by_policy_and_law(contract, terms, received_on=received_on, requested_end=requested_end)
    elsewhere_on = contract.ends_elsewhere_on
    if elsewhere_on is None or not received_on < elsewhere_on < end.assessment.effective_on:
        return end
    reasons = tuple(each for each in end.assessment.steps if each.key in ("received", "next_billing"))
    steps = (
        *reasons,
        step("by_cancellation", effective_on=end.assessment.effective_on),
        step("ends_elsewhere", effective_on=elsewhere_on),
    )
    stands = replace(end.assessment, effective_on=elsewhere_on, on_time=True, steps=steps)
    return replace(end, assessment=stands, is_elsewhere=True)


def _by_policy_and_law(contract: Contract, terms: Terms, *, received_on: date, requested_end: date | None) -> End:
    policy = assess_by_policy(contract, terms, received_on=received_on, requested_end=requested_end)
    policy = _with_the_laws_deadline(contract, _with_special_terms(policy, terms), received_on)
    law = _law(contract, received_on)
    if law is None:
        return End(policy, policy.effective_on)
    law_on = max(law.effective_on, requested_end or date.min)
    reasons = _reasons(policy, is_at_once=law_on == received_on)
    steps = (*reasons, *_comparison(contract, policy.effective_on, law, law_on, received_on))
    if policy.effective_on <= law_on:
        steps += tuple(each for each in policy.steps if each.key == "nothing_charged")
    counts = replace(policy, effective_on=min(policy.effective_on, law_on), steps=steps)
    return End(counts, policy.effective_on, law, law_on)


def assess_by_policy(
    contract: Contract, terms: Terms, *, received_on: date, requested_end: date | None = None
) -> NoticeAssessment:
    """Returns the end by the policy alone: in a trial, within the minimum term, or on a billing date."""
    trial_ends_on = contract.trial_ends_on
    if trial_ends_on is not None and trial_ends_on > received_on and (requested_end or date.min) <= trial_ends_on:
        trial = assess_trial(
            received_on=received_on,
            trial_ends_on=trial_ends_on,
            trial_notice_days=terms.trial_notice_days,
            requested_end=requested_end,
        )
        return trial or assess_late_in_trial(
            received_on=received_on,
            anchor=contract.anchor,
            interval=contract.interval,
            notice_days=terms.notice_days,
            trial_ends_on=trial_ends_on,
            trial_notice_days=terms.trial_notice_days,
            not_before=max(requested_end or date.min, contract.minimum_term_ends_on or date.min),
        )
    ordinary = assess(
        received_on=received_on,
        anchor=contract.anchor,
        interval=contract.interval,
        notice_days=terms.notice_days,
        requested_end=requested_end,
    )
    minimum = contract.minimum_term_ends_on
    if minimum is None or minimum <= ordinary.next_billing_on:
        return ordinary
    return assess_in_minimum_term(
        received_on=received_on,
        anchor=contract.anchor,
        interval=contract.interval,
        notice_days=terms.notice_days,
        minimum_term_ends_on=minimum,
        requested_end=requested_end,
    )


def _law(contract: Contract, received_on: date) -> StatutoryEnd | None:
    ends = [_law_after(contract, received_on, reminded_on) for reminded_on in _reminders(contract)]
    return None if None in ends else ends[0]


def _reminders(contract: Contract) -> tuple[date | None, ...]:
    """Returns each reminder of a renewal that is recorded: any of them may be the one for the last renewal."""
    return (contract.reminded_on, *contract.further_reminders)


def _law_after(contract: Contract, received_on: date, reminded_on: date | None) -> StatutoryEnd | None:
    return latest_end(
        received_on=received_on,
        started_on=contract.started_on,
        anchor=contract.anchor,
        interval=contract.interval,
        country=contract.country,
        consumer=contract.is_consumer,
        minimum_term_ends_on=contract.minimum_term_ends_on,
        concluded_on=contract.concluded_on,
        reminded_on=reminded_on,
    )


def _with_special_terms(policy: NoticeAssessment, terms: Terms) -> NoticeAssessment:
    """Adds the step that says that the notice period is the policy's for this plan or this billing interval."""
    in_trial = any(each.key in ("trial", "trial_without_notice") for each in policy.steps)
    special = terms.special_trial_notice if in_trial else terms.special_notice
    received, *others = policy.steps
    return replace(policy, steps=(received, step(f"special_{special}"), *others)) if special else policy


def _with_the_laws_deadline(contract: Contract, policy: NoticeAssessment, received_on: date) -> NoticeAssessment:
    """Moves the deadline where the law asks for less notice than the policy.

    It is the last day on which a request ends the contract by the date that the deadline is for.
    """
    day = shifted(policy.deadline_for, -1)
    while day > policy.deadline_on:
        law = _law(contract, day)
        if law is not None and law.effective_on <= policy.deadline_for:
            on_time = received_on <= day
            deadline = (
                step("deadline_by_law", source=law.source, next_billing_on=policy.deadline_for, deadline_on=day),
                step("in_time" if on_time else "late"),
            )
            return replace(policy, deadline_on=day, on_time=on_time, steps=_with_deadline(policy.steps, deadline))
        day -= timedelta(days=1)
    return policy


def _with_deadline(steps: tuple[Step, ...], deadline: tuple[Step, ...]) -> tuple[Step, ...]:
    """Replaces the steps about the policy's deadline, which stand before the requested end date and the end."""
    others = [each for each in steps if each.key not in DEADLINE]
    place = next(n for n, each in enumerate(others) if each.key in ENDING)
    return (*others[:place], *deadline, *others[place:])


def _reasons(policy: NoticeAssessment, *, is_at_once: bool) -> tuple[Step, ...]:
    """Returns the steps before the end. What ends at once needs no deadline."""
    left_out = CONCLUSIONS | (DEADLINE if is_at_once else frozenset())
    return tuple(each for each in policy.steps if each.key not in left_out)


def _comparison(
    contract: Contract, policy_on: date, law: StatutoryEnd, law_on: date, received_on: date
) -> tuple[Step, ...]:
    """Returns the steps that name both dates, what was assumed, and which date counts."""
    at_once = law_on == received_on
    by_law = step("by_law_at_once", source=law.source) if at_once else step("by_law", law_on=law_on, source=law.source)
    steps = [step("by_policy", policy_on=policy_on), by_law, *_assumptions(contract, law)]
    if law_on < policy_on:
        steps.append(step("law_counts_at_once") if at_once else step("law_counts", effective_on=law_on))
    else:
        steps.append(step("both_count" if law_on == policy_on else "policy_counts", effective_on=policy_on))
    return tuple(steps)


def _assumptions(contract: Contract, law: StatutoryEnd) -> list[Step]:
    steps = []
    if contract.is_type_assumed:
        steps.append(step("assumed_consumer"))
    if "concluded_on" in law.assumed:
        steps.append(step("assumed_conclusion", started_on=contract.started_on))
    if "minimum_term_ends_on" in law.assumed:
        steps.append(step("assumed_first_term", effective_on=law.effective_on))
    return steps
