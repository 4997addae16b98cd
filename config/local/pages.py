"""What a local run shows beside the portal: its mail, and the codes of the demo staff's authenticator apps.

What would have gone to a mail server lies in files here.

Only in the URL table where LOCAL_RUN is set, that is on embedded servers.
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

NEWEST = 100
LINK = re.compile(r"(?<=&lt;)(https?://[^\s&]+)(?=&gt;)")  # as our mails write them, escaped


@never_cache
def mailbox(http: HttpRequest) -> HttpResponse:
    files = sorted(Path(settings.EMAIL_FILE_PATH).glob("*.eml"), reverse=True)[:NEWEST]
    mails = [(path.stem, _read(path)) for path in files]
    return render(http, "local/mailbox.html", {"mails": mails, "folder": settings.EMAIL_FILE_PATH})


@never_cache
def mail(http: HttpRequest, name: str) -> HttpResponse:
    path = Path(settings.EMAIL_FILE_PATH) / f"{name}.eml"
    if path.name != f"{name}.eml" or not path.is_file():
        raise Http404
    found = _read(path)
    part = found.get_body(("plain",))
    plain = escape(part.get_content() if part else "")
    text = mark_safe(LINK.sub(r'<a href="\1">\1</a>', plain))
    return render(http, "local/mail.html", {"mail": found, "text": text})


def _read(path: Path) -> EmailMessage:
    found = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


@never_cache
def codes(http: HttpRequest) -> HttpResponse:
    """What the authenticator apps of the demo staff would show now."""
    found = Authenticator.objects.filter(type=Authenticator.Type.TOTP, user__email__endswith="@atntcrm.example")
    now = int(time.time()) // 30
    told = {}
    for one in found.select_related("user").order_by("pk"):
        used = one.data.get("used", [])
        steps = (format_hotp_value(hotp_value(decrypt(one.data["secret"]), now + step)) for step in (0, 1))
        told[one.user.email] = next((code for code in steps if code not in used), "wait half a minute")
    if http.GET.get("json"):
        return JsonResponse(told)
    return render(http, "local/codes.html", {"codes": told})
