"""Demo data: a small CRM export, policy versions, staff, and requests in every queue.

All of it goes through the same import and services as real data.
"""

import csv
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from email.message import EmailMessage
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from dateutil.relativedelta import relativedelta
from django.conf import settings
from django.contrib.auth.models import Group

from accounts.models import Account, User
from billing.crm_import.rows import ACCOUNT_COLUMNS, PAYMENT_COLUMNS, SUBSCRIPTION_COLUMNS
from billing.models import Refund, Subscription
from billing.rules.periods import Interval, billing_date
from billing.services.review import propose
from cancellations.models import CancellationRequest, Kind, PolicyVersion, TerminationGround
from cancellations.services.enforcement import enforce
from cancellations.services.mail import read_due
from cancellations.services.policies import publish
from cancellations.services.review import schedule, waive_notice
from cancellations.services.submission import Declaration, submit_as_guest, submit_for
from cancellations.services.termination import Case, terminate
from cancellations.web.places import profile_of_account
from cancellations.wording.policy import FIRST_TEXT
from messaging.models import CannedReply, Door
from messaging.services.inbox import store

STAFF_PASSWORD = "try-the-portal-locally"  # only for local runs; load_demo refuses to run elsewhere
STAFF = {
    "support": "Sam Support",
    "finance": "Fiona Finance",
    "manager": "Mara Manager",
    "auditor": "Ada Auditor",
    "administrator": "Adam Administrator",
}
CUSTOMER = "zoe@customer.example"
IN_GERMANY = "nordlicht@customer.example"
LANGUAGES = {"DE": "de", "FR": "fr"}  # of accounts, by country
LIMITS = {"EUR": "500", "USD": "500", "GBP": "450", "JPY": "80000", "BHD": "200"}


@dataclass(frozen=True)
class Sold:
    """One subscription of the demo. Its anchor is `months_ago` plus `days_off`, or on the day `on_day` of a month, or
    on the date `anchored`; it started `days_before` that.
    """

    number: str
    username: str
    name: str
    email: str
    country: str
    zone: str
    currency: str
    plan: str
    price: str
    interval: Interval
    months_ago: int
    days_off: int = 0
    quantity: int = 1
    trial: bool = False
    on_day: int = 0
    anchored: date | None = None
    days_before: int = 0


MAILS = (  # hours ago, sender, subject, text
    (
        30,
        "Óscar O’Brien <obrien@customer.example>",
        "Invoice of last month",
        "Hello,\n\nwhere do I find the invoice of last month?\n\nThanks, Óscar",
    ),
    (
        7,
        "Ines Pohl <ines.pohl@elsewhere.example>",
        "Leaving?",
        "Hi, what happens to our data if I cancel my subscription next month?",
    ),
    (
        2,
        "Howe Island Divers <divers@customer.example>",
        "Cancellation AT-104282",
        "Hello,\n\nwe would like to cancel our subscription at the end of our season. Thank you.\n\nHowe Island Divers",
    ),
)
MONTH, YEAR, WEEKS = Interval("month"), Interval("year"), Interval("week", 2)
LONG = "Rechtsanwaltsgehilfinnenausbildungsgesellschaft Oberammergau-Unterpfaffenhofen mbH & Co. KG"
SOLD = (
    Sold("AT-104233", "zoe.baecker", "Zoë Bäcker", CUSTOMER, "AT", "Europe/Vienna", "EUR", "Team", "395.00", MONTH, 14, 12, 5),
    Sold("AT-104233", "zoe.baecker", "Zoë Bäcker", CUSTOMER, "AT", "Europe/Vienna", "EUR", "Dialer add-on", "16.20", WEEKS, 5, 3),
    Sold("AT-104240", "obrien", "O'Brien & Søns \"Ltd\"", "obrien@customer.example", "GB", "Europe/London", "GBP", "Business", "199.20", MONTH, 9, 6),
    Sold("AT-104247", "k.yamada", "山田 健一", "yamada@customer.example", "JP", "Asia/Tokyo", "JPY", "Business, yearly", "448200", YEAR, 16, 20),
    Sold("AT-104254", "alnoor", "شركة النور للتجارة", "alnoor@customer.example", "BH", "Asia/Bahrain", "BHD", "Team, yearly", "297.040", YEAR, 20, 9),
    Sold("AT-104261", "gehilfinnen", LONG, "kanzlei@customer.example", "DE", "Europe/Berlin", "EUR", "Team", "79.00", MONTH, 25, -5),
    Sold("AT-104268", "formula", "=SUM(A1:A9) Consulting", "formula@customer.example", "US", "America/New_York", "USD", "Starter", "19.00", MONTH, 3, 15),
    Sold("AT-104275", "markup", "<b>Bold</b> Ideas Inc.", "markup@customer.example", "US", "America/Los_Angeles", "USD", "Business", "249.00", MONTH, 7, 4),
    Sold("AT-104282", "lordhowe", "Howe Island Divers", "divers@customer.example", "AU", "Australia/Lord_Howe", "AUD", "Team", "119.00", MONTH, 11, 1),
    Sold("AT-104289", "trial", "Try First GmbH", "trial@customer.example", "AT", "Europe/Vienna", "EUR", "Business", "249.00", MONTH, 0, 9, 1, True, days_before=14),
    Sold("AT-104296", "free", "Freya Free", "freya@customer.example", "SE", "Europe/Stockholm", "EUR", "Free", "0.00", MONTH, 6, 2),
    Sold("AT-104310", "nordlicht", "Nordlicht Energie GmbH", IN_GERMANY, "DE", "Europe/Berlin", "EUR", "Business", "249.00", MONTH, 18, 8),
    Sold("AT-104310", "nordlicht", "Nordlicht Energie GmbH", IN_GERMANY, "DE", "Europe/Berlin", "EUR", "Dialer add-on", "16.20", WEEKS, 6, 11),
    Sold("AT-104317", "newcomer", "Nina Newcomer", "nina@customer.example", "FR", "Europe/Paris", "EUR", "Team", "79.00", MONTH, 1, 25),
    Sold("AT-104324", "mailblast", "Mailblast Ltd", "mailblast@customer.example", "GB", "Europe/London", "GBP", "Business, yearly", "2390.00", YEAR, 14, 3),
    Sold("AT-104303", "thirtyfirst", "Ultimo Ltd", "ultimo@customer.example", "GB", "Europe/London", "GBP", "Team", "63.20", MONTH, 10, on_day=31),
    Sold("AT-104331", "leapling", "Leap Day Travel", "leap@customer.example", "IN", "Asia/Kolkata", "INR", "Team, yearly", "28800.00", YEAR, 33, anchored=date(2024, 2, 29)),
    Sold("AT-104338", "quarterly", "Quartal AG", "quartal@customer.example", "CH", "Europe/Zurich", "CHF", "Business, quarterly", "690.00", Interval("month", 3), 9, on_day=30, days_before=11),
    Sold("AT-104345", "tendays", "Chatham Weekly News", "news@customer.example", "NZ", "Pacific/Chatham", "NZD", "Team", "39.00", Interval("day", 10), 2, 2),
    Sold("AT-104352", "niue", "Niue Post", "post@customer.example", "NU", "Pacific/Niue", "NZD", "Team", "119.00", MONTH, 8, on_day=29),
)  # fmt: skip


def write_export(folder: Path, today: date) -> None:
    """Writes accounts.csv, subscriptions.csv and payments.csv as of the day."""
    folder.mkdir(parents=True, exist_ok=True)
    accounts: list[list[object]] = []
    subscriptions: list[list[object]] = []
    payments: list[list[object]] = []
    for index, sold in enumerate(SOLD, 1):
        row: list[object] = [
            sold.number,
            sold.username,
            sold.name,
            sold.email,
            sold.country,
            sold.zone,
            LANGUAGES.get(sold.country, "en"),
            sold.currency,
        ]
        row += [(today - relativedelta(months=sold.months_ago + 1)).isoformat(), "active"]
        if row[0] not in {account[0] for account in accounts}:
            accounts.append(row)
        anchor = _anchor(sold, today)
        reference = f"SUB-{index:04}"
        trial_end = anchor.isoformat() if sold.trial else ""
        started = anchor - timedelta(days=sold.days_before)
        terms = [sold.quantity, sold.price, sold.currency, sold.interval.unit, sold.interval.count]
        subscriptions.append(
            [reference, sold.number, sold.plan.lower(), sold.plan, *terms, started, anchor, trial_end, ""]
        )
        payments += _payments(sold, reference, anchor, today, len(payments))
    _write(folder / "accounts.csv", ACCOUNT_COLUMNS, accounts)
    _write(folder / "subscriptions.csv", SUBSCRIPTION_COLUMNS, subscriptions)
    _write(folder / "payments.csv", PAYMENT_COLUMNS, payments)


def load_policies(now: datetime) -> None:
    first = PolicyVersion.objects.create(number=1, text=FIRST_TEXT.read_text(encoding="utf-8"), approval_limits=LIMITS)
    long_ago = now - timedelta(days=800)
    publish(version=first, change_summary="The first version.", effective_from=long_ago, now=long_ago)
    text = Path(__file__).with_name("second_policy.md").read_text(encoding="utf-8")
    second = PolicyVersion.objects.create(
        number=2,
        text=text,
        notice_days=7,
        refund_decision_days=3,
        termination_needs_two=True,
        approval_limits=LIMITS,
    )
    soon = datetime.combine(
        (now + relativedelta(months=2)).replace(day=1).date(), time.min, tzinfo=ZoneInfo(settings.COMPANY_TIME_ZONE)
    )
    summary = (
        "Notice is 7 days instead of 10, refunds are decided within 3 working days instead of 5, and two managers "
        "have to agree before we end an account."
    )
    publish(version=second, change_summary=summary, effective_from=soon, now=now)


def load_staff() -> dict[str, User]:
    people = {}
    for role, name in STAFF.items():
        person = User.objects.create_user(f"{role}@atntcrm.example", STAFF_PASSWORD, name=name, is_staff=True)
        person.groups.add(Group.objects.get(name=role))
        TOTP.activate(person, generate_totp_secret())  # /local/codes/ replaces the app
        people[role] = person
    return people


def load_replies() -> None:
    """Saved replies in the customers' languages."""
    CannedReply.objects.create(
        name="Thank you and goodbye",
        used_for="request",
        text_en="Thank you for the time with us, {name}. You can use {plan} until {end_date}.",
        text_de="Danke für die Zeit mit uns, {name}. {plan} können Sie bis zum {end_date} nutzen.",
        text_fr="Merci pour le temps passé avec nous, {name}. Vous pouvez utiliser {plan} jusqu’au {end_date}.",
    )
    CannedReply.objects.create(
        name="How to take your data along",
        used_for="any",
        text_en="You can export your data under Settings until {end_date}. If something is missing: {support_email}.",
        text_de="Ihre Daten exportieren Sie bis zum {end_date} unter Einstellungen. Fehlt etwas: {support_email}.",
    )


def load_requests(staff: dict[str, User], now: datetime) -> None:
    """Creates requests of the last weeks, so that no queue is empty."""
    subscriptions = Subscription.objects.select_related("account")
    by_username = {subscription.account.username: subscription for subscription in subscriptions}
    _request(by_username["k.yamada"], now - timedelta(days=2), now, "switched_service", "We move to another service.")
    _request(by_username["gehilfinnen"], now - timedelta(hours=3), now, "too_complex", "")
    scheduled = _request(by_username["alnoor"], now - timedelta(days=5), now, "unused", "The project has ended.")
    schedule(
        request=scheduled, by=staff["support"], now=now - timedelta(days=4), words="Thank you for the time with us."
    )
    late = by_username["obrien"]
    current = late.period_on(now.date())
    assert current is not None
    received_at = datetime.combine(current.start - timedelta(days=4), time(9, 30), tzinfo=UTC)
    waived = _request(
        late, received_at, received_at, "too_expensive", "I was in hospital and missed the date.", refund=True
    )
    waive_notice(request=waived, by=staff["support"], ground="In hospital, proof seen", now=received_at)
    guest = Declaration("AT-104275", "markup", "markup@customer.example", "low_quality", "It is <b>slow</b>.")
    submit_as_guest(declaration=guest, submission_key=uuid4(), received_at=now - timedelta(hours=6), now=now)
    several = list(Subscription.objects.filter(account__username="nordlicht").select_related("account"))
    _submit(several, now - timedelta(hours=20), now, reason="switched_service", words="We leave with everything.")
    lost = "Since the update of last week our contacts are gone, and support could not bring them back."
    _submit([by_username["formula"]], now - timedelta(hours=9), now, kind=Kind.FOR_CAUSE, cause=lost)
    _submit([by_username["newcomer"]], now - timedelta(days=1), now, kind=Kind.COOLING_OFF)
    enforce(now=now)
    refund = Refund.objects.get(subscription=by_username["newcomer"])
    propose(refund=refund, basis=refund.computed_basis, by=staff["finance"], now=now)
    terminate(case=_breach(by_username["mailblast"].account), by=staff["manager"], now=now - timedelta(days=1))
    for hours, sender, subject, words in MAILS:
        _receive_mail(now - timedelta(hours=hours), sender, subject, words, now)
    read_due(now=now)


def _receive_mail(at: datetime, sender: str, subject: str, words: str, now: datetime) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, settings.SUPPORT_EMAIL, subject
    mail["Message-ID"] = f"<demo.{uuid4()}@customer.example>"
    mail.set_content(words)
    store(raw=mail.as_bytes(), arrived_at=at, door=Door.COMMAND, now=now)


def _breach(account: Account) -> Case:
    return Case(
        account=account,
        ground=TerminationGround.HARMFUL_ACTIVITY,
        description="On three days of last week, 214,000 unwanted messages went out from this account.",
        evidence="Abuse reports 8841 to 8876; log of the mail gateway.",
        refund_proposed=True,
        refund_ground="Most of the year is unused, and no damage is left with us.",
        revoke_sign_in=True,
    )


def _request(
    subscription: Subscription, received_at: datetime, now: datetime, reason: str, words: str, *, refund: bool = False
) -> CancellationRequest:
    why = words if refund else ""
    return _submit(
        [subscription], received_at, now, reason=reason, words=words, refund_wanted=refund, refund_reason=why
    )


def _submit(
    subscriptions: list[Subscription], received_at: datetime, now: datetime, **fields: Any
) -> CancellationRequest:
    account = subscriptions[0].account
    origin: dict[str, Any] = {"language": account.language, "jurisdiction": profile_of_account(account).code}
    declaration = Declaration(account.account_number, account.username, account.email, **origin, **fields)
    return submit_for(
        subscriptions=subscriptions,
        declaration=declaration,
        submission_key=uuid4(),
        received_at=received_at,
        now=now,
    )


def _anchor(sold: Sold, today: date) -> date:
    """The billing anchor, in the past so that there are billing dates before and after today (except for a trial)."""
    if sold.trial:
        return today + timedelta(days=sold.days_off)
    if sold.anchored:
        return sold.anchored
    if sold.on_day:
        month = (today - relativedelta(months=sold.months_ago)).replace(day=1)
        while monthrange(month.year, month.month)[1] < sold.on_day:
            month -= relativedelta(months=1)
        return month.replace(day=sold.on_day)
    return today - relativedelta(months=sold.months_ago) + relativedelta(days=sold.days_off % 28)


def _payments(sold: Sold, reference: str, anchor: date, today: date, before: int) -> Iterator[list[object]]:
    if Decimal(sold.price) == 0:
        return
    first = [(anchor - timedelta(days=sold.days_before), anchor)] if sold.days_before and not sold.trial else []
    for number, (start, end) in enumerate(chain(first, _periods(sold, anchor, today)), 1):
        paid_at = datetime.combine(start, time(6, 30), tzinfo=UTC).isoformat()
        key = f"PAY-{before + number:06}"
        yield [key, reference, start, end, sold.price, sold.currency, paid_at, "card", "manual", "", "0"]


def _periods(sold: Sold, anchor: date, today: date) -> Iterator[tuple[date, date]]:
    k = 0
    while (start := billing_date(anchor, sold.interval, k)) <= today:
        k += 1
        yield start, billing_date(anchor, sold.interval, k)


def _write(path: Path, columns: tuple[str, ...], rows: list[list[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([columns, *rows])
