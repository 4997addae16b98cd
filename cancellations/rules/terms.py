"""Terms of the policy that differ by plan or by billing interval. Pure: no Django, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SpecialTerms:
    """What differs for a plan code, for all that start with a text (`PRO-*`), or for a unit of the billing interval.

    Either `plan_code` or `interval_unit` is set. Days are whole days. None and "" leave a value to less exact terms.
    """

    plan_code: str = ""
    interval_unit: str = ""
    notice_days: int | None = None
    trial_notice_days: int | None = None
    refund_basis: str = ""

    @property
    def is_prefix(self) -> bool:
        return self.plan_code.endswith("*")

    def exactness(self, plan_code: str, interval_unit: str) -> tuple[int, int] | None:
        """How exactly they match a subscription; None if they do not.

        An exact plan code comes first, then the longest prefix, then the unit of the interval.
        """
        if self.plan_code and not self.is_prefix:
            return (3, 0) if self.plan_code == plan_code else None
        if self.is_prefix:
            prefix = self.plan_code[:-1]
            return (2, len(prefix)) if plan_code.startswith(prefix) else None
        return (1, 0) if self.interval_unit == interval_unit else None


def parse_special_terms(rows: Iterable[Mapping[str, Any]]) -> tuple[SpecialTerms, ...]:
    """Returns the terms of the rows that a policy version keeps."""
    return tuple(SpecialTerms(**row) for row in rows)


def most_exact(
    special: Iterable[SpecialTerms], name: str, *, plan_code: str, interval_unit: str
) -> SpecialTerms | None:
    """Returns the most exact terms that match the subscription and set the value `name`; None if none do."""
    matches = [
        (exactness, terms)
        for terms in special
        if getattr(terms, name) not in (None, "")
        and (exactness := terms.exactness(plan_code, interval_unit)) is not None
    ]
    return max(matches, key=lambda match: match[0])[1] if matches else None
