"""A cancellation between the form and the confirmation, carried by the page itself, signed.

There is no session row for it. It holds what was typed, the moment of the first post (which decides the
deadline, so that the end date shown is the end date decided) and a key that makes of one form one request.
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
        """What was typed, as it was posted."""
        return QueryDict(self.data)

    @property
    def submission_key(self) -> UUID:
        """The same page with the same answers makes one request; other answers, after a look back, another one."""
        return uuid5(UUID(self.key), self.data)

    @property
    def received(self) -> datetime:
        return datetime.fromisoformat(self.received_at)

    def too_old(self, now: datetime) -> bool:
        return now - self.received > timedelta(minutes=settings.FORM_MINUTES)

    def received_anew(self, now: datetime) -> "Draft":
        return replace(self, received_at=now.isoformat())

    def sealed(self) -> str:
        return signing.dumps(asdict(self), salt=SALT, compress=True)


def start(posted: QueryDict, *, user: int | None, now: datetime) -> Draft:
    """The draft of a posted form; a form that was changed keeps the key and the moment of its first post."""
    earlier = unseal(posted.get("draft", ""), user=user)
    kept = posted.copy()
    for name in NOT_CARRIED:
        kept.pop(name, None)
    data = kept.urlencode()
    if earlier is not None and not earlier.too_old(now):
        return replace(earlier, data=data)
    return Draft(data=data, key=earlier.key if earlier else str(uuid4()), received_at=now.isoformat(), user=user)


def typed(sealed: str, *, user: int | None) -> QueryDict:
    """What was typed in a draft that cannot go on: a guest's who has signed in since keeps the words."""
    known = unseal(sealed, user=user) or unseal(sealed, user=None)
    return known.answers if known else QueryDict()


def unseal(sealed: str, *, user: int | None) -> Draft | None:
    """The draft of this person; None where the text was changed, is another person's, or is a day old."""
    try:
        draft = Draft(**signing.loads(sealed, salt=SALT, max_age=86_400))
    except (signing.BadSignature, TypeError):
        return None
    return draft if draft.user == user else None
