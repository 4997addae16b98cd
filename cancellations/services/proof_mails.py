"""Mails with a proof link: when one may go out, and sending those that had to wait.

Anybody can fill in the form with somebody else's address, or send mail in their name. So that nobody is flooded, only a
few of these mails go to one address, for one account number and from one network. A declaration beyond that is kept as
any other, and its mail goes out later, once: the page behind a link proves all that waits under the address.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address, ip_network

from django.core.cache import cache
from django.db.models import QuerySet

from cancellations.letters.requests import send_letter
from cancellations.models import CancellationRequest, Channel
from cancellations.models.states import RequestState
from cancellations.queries.requests import named_account
from cancellations.services.common import contracts_of
from cancellations.services.joining import lock_unproven, proven_along
from messaging.addresses import are_same_address, fold_address
from messaging.due import UNLIMITED, Run, Work
from messaging.locking import lock_name
from messaging.models import IncomingMessage, OutgoingMessage

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST_AN_HOUR, MOST_A_DAY = 3, 10  # to one address
AT_ONCE_TO_NETWORK, NETWORK_PACE = 20, timedelta(minutes=3)  # so many at once, then one in this time
AT_ONCE_FOR_NUMBER, NUMBER_PACE = 5, timedelta(minutes=30)
MOST_FOLLOW_LINKS_AN_HOUR = 5  # to one address


def send_proof_mail(
    request: CancellationRequest, now: datetime, *, network: str = "", answers: IncomingMessage | None = None
) -> bool:
    """Queues the mail with the link of a saved request, or says in its row when it may go out. Returns whether it did.

    `network` is the client's address, empty for an authenticated mail.
    """
    _lock_address(request.email_given)
    due = max(_free_at(request.email_given, now), _slot_of_number(request, now), _slot_of_network(network, now))
    if due <= now:
        _send(request, now, answers)
    else:
        request.link_due_at = due
        request.save(update_fields=["link_due_at"])
    return due <= now


def may_send_follow_link(email: str, now: datetime) -> bool:
    """Whether another mail with the link to a request's page may go to the address now."""
    sent = OutgoingMessage.objects.filter(recipient__same_address=email, kind="follow_link")
    return sent.filter(created_at__gt=now - HOUR).count() < MOST_FOLLOW_LINKS_AN_HOUR


def send_waiting(*, now: datetime, seconds: float = UNLIMITED) -> int:
    """Sends the mails that had to wait, one for each address at a time. Returns how many were sent."""
    return sum(WAITING.results(Run(now, seconds=seconds)))


def _waiting(now: datetime) -> QuerySet[CancellationRequest]:
    due = CancellationRequest.objects.filter(state=RequestState.UNVERIFIED, link_due_at__lte=now)
    return due.order_by("link_due_at", "pk")


WAITING = Work(
    name="proofs.send",
    task="cancellations.prove",
    label="send a proof link that had to wait",
    due=_waiting,
    process=lambda keys, now: [_send_or_postpone(key, now) for key in keys],
    batch=1,
    order=("link_due_at", "pk"),
    locks=False,
)


def _send_or_postpone(key: int, now: datetime) -> bool:
    """Sends the mail of the request, and forgets those of the declarations that its link proves as well."""
    request, others = lock_unproven(CancellationRequest.objects.get(pk=key), now)
    if request.state != RequestState.UNVERIFIED or request.link_due_at is None:
        return False
    free_at = _free_at(request.email_given, now)
    waiting = [request, *(other for other in others if other.link_due_at is not None)]
    if free_at > now:
        _set_due(waiting, free_at)
        return False
    _send(request, now, _origin(request))
    _set_due([request, *proven_along(request, contracts_of(request, now), waiting[1:], now)], None)
    return True


def _send(request: CancellationRequest, now: datetime, answers: IncomingMessage | None) -> None:
    send_letter("prove_address", request, now=now, answers=answers)


def _set_due(requests: Sequence[CancellationRequest], due_at: datetime | None) -> None:
    CancellationRequest.objects.filter(pk__in=[request.pk for request in requests]).update(link_due_at=due_at)


def _origin(request: CancellationRequest) -> IncomingMessage | None:
    """Returns the mail from which the request was made, so that its answer has the same thread."""
    if request.channel != Channel.EMAIL:
        return None
    mails = IncomingMessage.objects.filter(about=request.declaration, arrived_at=request.received_at).defer("raw")
    return mails.first()


def _lock_address(email: str) -> None:
    """Lets forms with one address that are posted at the same moment count each other. Held until the commit."""
    lock_name(f"proof {fold_address(email)}")


def _free_at(email: str, now: datetime) -> datetime:
    """Returns when the address may get another mail with a proof link, whoever asks for it: `now`, or later."""
    sent = OutgoingMessage.objects.filter(recipient__same_address=email, kind="prove_address", created_at__gt=now - DAY)
    times = sorted(sent.values_list("created_at", flat=True), reverse=True)
    free_at = now
    for most, span in ((MOST_AN_HOUR, HOUR), (MOST_A_DAY, DAY)):
        if len(times) >= most:
            free_at = max(free_at, times[most - 1] + span)
    return free_at


def _slot_of_number(request: CancellationRequest, now: datetime) -> datetime:
    """The address of the account itself is never kept waiting by what strangers do with its number."""
    account = named_account(request)
    number = account.account_number if account else request.account_number_given.strip().upper()
    if not number or (account and are_same_address(account.email, request.email_given)):
        return now
    return _slot(f"number {number}", now, at_once=AT_ONCE_FOR_NUMBER, pace=NUMBER_PACE)


def _slot_of_network(address: str, now: datetime) -> datetime:
    """A network is a /24 of IPv4 and a /64 of IPv6, which is what one customer of a provider has."""
    try:
        client = ip_address(address)
    except ValueError:
        return now
    network = ip_network(f"{client}/{24 if client.version == 4 else 64}", strict=False)
    return _slot(f"network {network}", now, at_once=AT_ONCE_TO_NETWORK, pace=NETWORK_PACE)


def _slot(name: str, now: datetime, *, at_once: int, pace: timedelta) -> datetime:
    """Takes the next free slot: so many at once, then one in each `pace` (the generic cell rate algorithm).

    Only a digest and a time are kept, in the cache. Two calls at the same moment may get one slot: a limit, no lock.
    """
    key = f"proof-mails:{sha256(name.encode()).hexdigest()}"
    stored = cache.get(key)
    full_at = max(datetime.fromtimestamp(stored, UTC) if stored else now, now)
    cache.set(key, (full_at + pace).timestamp(), timeout=int((full_at + pace - now).total_seconds()) + 1)
    return max(now, full_at - (at_once - 1) * pace)
