"""The signed draft of a cancellation, which the page carries from the form to the confirmation without a session.

It holds the answers, the time of the first post, which becomes the time of receipt, so that the end date shown is
the end date decided, and a key that prevents duplicate requests.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4, uuid5

from django.conf import settings
from django.core import signing
from django.http import QueryDict

SALT = "cancellations.forms.draft.answers"
NOT_CARRIED = {"csrfmiddlewaretoken", "step", "draft", "language"}


@dataclass(frozen=True)
class Draft:
    data: str
    key: str
    received_at: str
    user: int | None

    @property
    def answers(self) -> QueryDict:
        """Returns the answers as they were posted."""
        return QueryDict(self.data)

    @property
    def submission_key(self) -> UUID:
        """Returns the key of the request: the same for the same page with the same answers."""
        return uuid5(UUID(self.key), self.data)

    @property
    def received(self) -> datetime:
        return datetime.fromisoformat(self.received_at)

    def is_too_old(self, now: datetime) -> bool:
        return now - self.received > timedelta(minutes=settings.FORM_MINUTES)

    def received_again(self, now: datetime) -> "Draft":
        return replace(self, received_at=now.isoformat())

    def sealed(self) -> str:
        return signing.dumps(asdict(self), salt=SALT, compress=True)


def start(posted: QueryDict, *, user: int | None, now: datetime) -> Draft:
    """Returns the draft of a posted form. A form that is posted again keeps its key and the time of its first post."""
    earlier = unseal(posted.get("draft", ""), user=user)
    answers = posted.copy()
    for name in NOT_CARRIED:
        answers.pop(name, None)
    data = answers.urlencode()
    if earlier is not None and not earlier.is_too_old(now):
        return replace(earlier, data=data)
    return Draft(data=data, key=earlier.key if earlier else str(uuid4()), received_at=now.isoformat(), user=user)


def answers_of(sealed: str, *, user: int | None) -> QueryDict:
    """Returns the answers of a draft, also of a guest who has signed in since."""
    draft = unseal(sealed, user=user) or unseal(sealed, user=None)
    return draft.answers if draft else QueryDict()


def unseal(sealed: str, *, user: int | None) -> Draft | None:
    """Returns the draft; None if it was forged, belongs to another user, or is a day old."""
    try:
        draft = Draft(**signing.loads(sealed, salt=SALT, max_age=86_400))
    except (signing.BadSignature, TypeError):
        return None
    return draft if draft.user == user else None
