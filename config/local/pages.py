"""Extra pages of a local run: its outgoing mail, and the codes of the demo staff's authenticator apps.

They are in the URLs only if LOCAL_RUN is set.
"""

import re
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from allauth.mfa.utils import decrypt
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.html import escape
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache

MAX_MAILS = 100
LINK = re.compile(r"(?<=&lt;)(https?://[^\s&]+)(?=&gt;)")  # as in our mails, HTML-escaped


@never_cache
def mailbox(http: HttpRequest) -> HttpResponse:
    files = sorted(Path(settings.EMAIL_FILE_PATH).glob("*.eml"), reverse=True)[:MAX_MAILS]
    mails = [(path.stem, _read(path)) for path in files]
    return render(http, "local/mailbox.html", {"mails": mails, "folder": settings.EMAIL_FILE_PATH})


@never_cache
def mail(http: HttpRequest, name: str) -> HttpResponse:
    path = Path(settings.EMAIL_FILE_PATH) / f"{name}.eml"
    if path.name != f"{name}.eml" or not path.is_file():
        raise Http404
    message = _read(path)
    part = message.get_body(("plain",))
    plain = escape(part.get_content() if part else "")
    text = mark_safe(LINK.sub(r'<a href="\1">\1</a>', plain))  # noqa: S308 - escaped before
    return render(http, "local/mail.html", {"mail": message, "text": text})


def _read(path: Path) -> EmailMessage:
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


@never_cache
def codes(http: HttpRequest) -> HttpResponse:
    """The current codes of the demo staff's authenticator apps."""
    factors = Authenticator.objects.filter(type=Authenticator.Type.TOTP, user__email__endswith="@atntcrm.example")
    counter = int(time.time()) // 30
    current = {}
    for factor in factors.select_related("user").order_by("pk"):
        used, secret = factor.data.get("used", []), decrypt(factor.data["secret"])
        candidates = (format_hotp_value(hotp_value(secret, counter + step)) for step in (0, 1))
        current[factor.user.email] = next((code for code in candidates if code not in used), "wait half a minute")
    if http.GET.get("json"):
        return JsonResponse(current)
    return render(http, "local/codes.html", {"codes": current})
