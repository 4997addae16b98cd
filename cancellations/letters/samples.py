"""Renders each mail with example values, to preview it in the staff interface."""

from collections.abc import Mapping

from django.conf import settings
from django.utils import translation

from messaging.outbound.rendering import Rendered, Value, render

LANGUAGES = {code.partition("-")[0]: name for code, name in settings.LANGUAGES}
FOLDER = settings.BASE_DIR / "templates" / "messages"
_EXPLANATION = [
    "We received your request on 12 February 2026.",
    "The next billing date after that is 28 February 2026.",
    "Notice is 10 days, so the last day to cancel for that date is 18 February 2026.",
]
_PART: Mapping[str, Value] = {
    "plan": "Team (SUB-00001)",
    "effective": "28 February 2026",
    "explanation": _EXPLANATION,
    "to_come": "Nothing more will be charged.",
    "at_once": False,
    "ground_is_open": False,
    "end_is_open": False,
}
SAMPLE: Mapping[str, Value] = {
    **_PART,
    "about": "CR-7KQ4-M9XT",
    "account_number": settings.ACCOUNT_NUMBER_EXAMPLE,
    "address": "https://crm.example.com/hooks/portal",
    "amount": "20,00 €",
    "appeal_email": settings.APPEAL_EMAIL,
    "audit": "entry 1,204, seal 5f0c…",
    "basis": "unused",
    "breakdown": ["30,00 € for 1 April 2026 to 1 May 2026: 20 of 30 days unused, 20,00 €."],
    "by_mail": False,
    "cause": "",
    "change": "passkey_added",
    "changed_at": "12 February 2026, 14:07:31 (Europe/Berlin)",
    "changed_by": "Adam Berger",
    "charges": ["30,00 € for 28 February 2026 to 31 March 2026 (PAY-00042)"],
    "code": "7KQ4-M9XT",
    "compare_url": f"{settings.SITE_URL}/policy/compare/1/2/",
    "count": "2",
    "counts_with": "",
    "credit_note": "CN-000012",
    "day": "12 February 2026",
    "decision_due": "26 February 2026",
    "decision_words": "Thank you for the years with us.",
    "decline_ground": "There is no such account with us",
    "description": "Mass mailings on 3 February 2026.",
    "desk_url": f"{settings.SITE_URL}/admin/",
    "detail": "My phone",
    "disabled": False,
    "disabled_on": "17 February 2026",
    "end_notice": False,
    "error": "It answered 503.",
    "expires": "14 March 2026",
    "form_url": f"{settings.SITE_URL}/cancel/",
    "given_up": "1",
    "ground": "Harmful activity",
    "in_force": False,
    "is_about_person": True,
    "is_invitation": True,
    "is_own": True,
    "is_single": False,
    "items": [
        {
            "what": "CR-7KQ4-M9XT, received on 10 February 2026",
            "todo": "match it",
            "due": "26 February 2026",
            "page_url": settings.SITE_URL,
        }
    ],
    "joined": [
        {
            "reference": "CR-2N8K-QQ3M",
            "received": "10 February 2026, 09:12:05 (Europe/Berlin)",
            "page_url": f"{settings.SITE_URL}/requests/CR-2N8K-QQ3M/",
        }
    ],
    "kind": "ordinary",
    "kind_declared": "ordinary",
    "kind_ground": "The cooling-off days were over when it was received",
    "last_day": "18 February 2026",
    "link_days": "7",
    "link_hours": "24",
    "link_url": f"{settings.SITE_URL}/admin/password/…/",
    "mail": "6",
    "mail_subject": "Cancellation, with all of our invoices",
    "mine": "3",
    "more": "",
    "more_proof": False,
    "name": "Donaudampfschifffahrtsgesellschaft Mannheim-Ludwigshafen mbH",
    "overdue": ["CR-7KQ4-M9XT, received on 10 February 2026: match it"],
    "page_url": f"{settings.SITE_URL}/requests/CR-7KQ4-M9XT/",
    "paid_on": "2 March 2026",
    "parts": [_PART],
    "payment_due": "10 March 2026",
    "plans": ["Team (SUB-00001)"],
    "policy": "2",
    "policy_url": f"{settings.SITE_URL}/policy/2/",
    "quoted": ["Where do I find the receipt?", "Alice"],
    "quoted_at": "12 February 2026, 14:07:31 (Europe/Berlin)",
    "reason": "It costs too much",
    "price": "79,00 € a month",
    "receipt_url": f"{settings.SITE_URL}/requests/CR-7KQ4-M9XT/receipt.pdf",
    "received": "12 February 2026, 14:07:31 (Europe/Berlin)",
    "reference": "CR-7KQ4-M9XT",
    "refund_due": "26 February 2026",
    "refund_reason": "I paid twice.",
    "refunds_charged": "1",
    "refunds_decide": "4",
    "refunds_paid": ["RF-2N8K-QQ3M"],
    "refunds_pay": "2",
    "refunds_today": "1",
    "renews_on": "28 February 2026",
    "requested_end": "",
    "requests": ["CR-7KQ4-M9XT"],
    "requests_proof": "5",
    "requests_review": "12",
    "requests_soon": "3",
    "reviewed": True,
    "revoked": True,
    "seal": "8c6d1fa2",
    "settled_ground": "The mailings came from somebody else.",
    "settlement_reference": "TRF 2026-0301",
    "since": "11 February 2026, 09:00",
    "size": "40 MB",
    "size_limit": "25 MB",
    "status_url": f"{settings.SITE_URL}/requests/proof/…/",
    "summary": "Notice is 14 days instead of 30.",
    "tried_at": "12 February 2026, 14:07:31 (Europe/Berlin)",
    "typed": ["Name: Alice Adler", "Account number: AT-104233", "Reason for leaving at once: It does not work."],
    "unread": ["support@imap.example.com/INBOX"],
    "username": "alice",
    "verify_url": f"{settings.SITE_URL}/verify/",
    "why": "It has accepted no webhook for five days.",
    "words": "You find it on the page of your request, under «Receipt».",
}


def kinds(language: str) -> list[str]:
    """Returns the kinds of mail that exist in the language."""
    return sorted(path.stem for path in (FOLDER / language).glob("*.md"))


def sample(kind: str, language: str, /, **changed: Value) -> Rendered:
    """Returns the mail with example values."""
    with translation.override("en-gb" if language == "en" else language):
        return render(kind, {**SAMPLE, **changed})
