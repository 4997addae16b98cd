"""The states of a refund, and the error that an illegal transition raises."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class RefundState(models.TextChoices):
    REQUESTED = "requested", _("requested")
    PROPOSED = "proposed", _("proposed")
    APPROVED = "approved", _("approved")
    SENDING = "sending", _("sending")
    PAID = "paid", _("paid")
    FAILED = "failed", _("failed")
    DECLINED = "declined", _("declined")
    VOID = "void", _("void")


S = RefundState
TRANSITIONS = (
    (S.REQUESTED, S.PROPOSED),
    (S.PROPOSED, S.REQUESTED),
    (S.PROPOSED, S.APPROVED),
    (S.APPROVED, S.SENDING),
    (S.SENDING, S.PAID),
    (S.SENDING, S.FAILED),
    (S.FAILED, S.SENDING),
    (S.FAILED, S.PAID),
    (S.FAILED, S.VOID),  # if a payment was charged back (services/review.py)
    (S.PAID, S.FAILED),  # the bank or the gateway sent the money back
    (S.REQUESTED, S.DECLINED),
    (S.PROPOSED, S.DECLINED),
    (S.REQUESTED, S.VOID),
    (S.PROPOSED, S.VOID),
    (S.APPROVED, S.VOID),
)
UNDECIDED = (S.REQUESTED, S.PROPOSED)
VOIDABLE = (*UNDECIDED, S.APPROVED)  # no money has moved yet
RELEASED = (S.DECLINED, S.VOID, S.FAILED)  # states whose money does not count against the payments


class LineState(models.TextChoices):
    """What became of one line of a refund on its way to the customer."""

    OPEN = "", "not sent yet"
    RETURNED = "returned", "returned"
    FAILED = "failed", "failed"


LINE_TRANSITIONS = (
    (LineState.OPEN, LineState.RETURNED),
    (LineState.OPEN, LineState.FAILED),
    (LineState.FAILED, LineState.RETURNED),
    (LineState.RETURNED, LineState.FAILED),  # the money came back
)


class IllegalTransition(Exception):
    """The verb is not allowed in the present state of the row. Nothing has changed."""

    def __init__(self, *, reference: str, state: str, verb: str) -> None:
        self.reference, self.state, self.verb = reference, state, verb
        super().__init__(f"{reference} is {state.replace('_', ' ')}, so it is too late or too early to {verb} it.")
