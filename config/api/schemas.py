"""What the API answers, as in its OpenAPI document."""

from datetime import date, datetime

from ninja import Schema


class Problem(Schema):
    """Why the request failed; `errors` holds the messages of fields that are not valid, by name."""

    detail: str
    errors: dict[str, list[str]] = {}


class Done(Schema):
    reference: str
    state: str
    seen: int


class RequestOut(Schema):
    reference: str
    declaration: str
    state: str
    kind: str
    channel: str
    received_at: datetime
    account_number: str
    subscription: str
    on_time: bool | None
    deadline_on: date | None
    effective_on: date | None
    due_at: datetime | None
    assigned_to: str
    explanation: list[str]
    refund: str


class RequestsOut(Schema):
    """`next` is the value of `after` for the next page; empty on the last one."""

    items: list[RequestOut]
    next: str


class RefundOut(Schema):
    """`amount` has as many decimals as the currency (ISO 4217): 20.00 EUR, 643 JPY; empty before a proposal."""

    reference: str
    about: str
    state: str
    basis: str
    amount: str
    currency: str
    decision_due_on: date
    payment_due_on: date | None
    paid_on: date | None
    credit_note: str
