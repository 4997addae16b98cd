"""What a gateway is asked, and what it may answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from moneyed import Money


@dataclass(frozen=True)
class Part:
    """The share of one payment: `charge` is the gateway's own name for that payment."""

    payment: str
    charge: str
    amount: Money


@dataclass(frozen=True)
class Answer:
    """`paid` and `failed` are final; with `unclear` the same question is asked again later.

    `reference` is the gateway's name for what it paid, `detail` says in words what went wrong.
    """

    state: Literal["paid", "failed", "unclear"]
    reference: str = ""
    detail: str = ""


class Gateway(Protocol):
    """An adapter. `name` is the gateway's name in imported payments and in refunds, `label` its name for staff."""

    name: ClassVar[str]
    label: ClassVar[str]

    @classmethod
    def from_settings(cls) -> "Gateway | None":
        """The adapter with the keys of the settings; None where they are not set."""
        ...

    def send(self, key: UUID, parts: Sequence[Part]) -> Answer:
        """Returns the money, or says what became of an earlier call with the same key. Raises nothing of its own."""
        ...
