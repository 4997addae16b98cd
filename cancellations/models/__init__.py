from cancellations.models.announcements import Announcement
from cancellations.models.attachments import Attachment, ScanState
from cancellations.models.begun_forms import BegunForm
from cancellations.models.bulk import BulkJob, BulkRow, BulkState, BulkVerb
from cancellations.models.conversations import Conversation, Todo
from cancellations.models.holds import Erasure, Hold
from cancellations.models.notes import Note
from cancellations.models.policy import PolicyVersion, ReviewMode
from cancellations.models.receipts import Receipt
from cancellations.models.reminders import Reminder
from cancellations.models.renewals import RenewalReminder, RenewalRun
from cancellations.models.requests import (
    REFERENCE_LENGTH,
    CancellationRequest,
    Channel,
    DeclineGround,
    Kind,
    Proof,
    Reason,
    request_reference,
)
from cancellations.models.terminations import TerminatedSubscription, Termination, TerminationGround

__all__ = [
    "REFERENCE_LENGTH",
    "Announcement",
    "Attachment",
    "BegunForm",
    "BulkJob",
    "BulkRow",
    "BulkState",
    "BulkVerb",
    "CancellationRequest",
    "Channel",
    "Conversation",
    "DeclineGround",
    "Erasure",
    "Hold",
    "Kind",
    "Note",
    "PolicyVersion",
    "Proof",
    "Reason",
    "Receipt",
    "Reminder",
    "RenewalReminder",
    "RenewalRun",
    "ReviewMode",
    "ScanState",
    "TerminatedSubscription",
    "Termination",
    "TerminationGround",
    "Todo",
    "request_reference",
]
