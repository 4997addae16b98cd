"""The interface of a gateway: what it is asked and what it answers."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from moneyed import Currency, Money


@dataclass(frozen=True)
class Part:
    """The amount to return of one payment; `charge` is the gateway's identifier of that payment."""

    payment: str
    charge: str
    amount: Money


@dataclass(frozen=True)
class Answer:
    """A gateway's answer about one part: `paid` and `failed` are final, after `unclear` it is called again later.

    `reference` is the gateway's identifier of the refund, `detail` describes the problem.
    """

    state: Literal["paid", "failed", "unclear"]
    reference: str = ""
    detail: str = ""


class Gateway(Protocol):
    """An adapter. `name` is the gateway's name in imported payments and refunds, `label` its name for staff."""

    name: ClassVar[str]
    label: ClassVar[str]

    @classmethod
    def from_settings(cls) -> "Gateway | None":
        """The adapter with the keys of the settings; None if they are not set."""
        ...

    def smallest(self, currency: Currency) -> Decimal:
        """The smallest amount that the gateway moves in this currency; it moves multiples of it only."""
        ...

    def send(self, key: UUID, part: Part) -> Answer:
        """Returns the money of one payment, or the outcome of an earlier call with the same key.

        Raises no errors of its own.
        """
        ...
