"""Responses that download files. Files are never shown as a page of ours."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from cancellations.models import Attachment


def calendar_response(content: bytes, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type="text/calendar; charset=utf-8")
    response.headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return response


def attachment_response(attachment: Attachment) -> HttpResponse:
    """Returns the file as a download in which no script can run (RFC 6266, CSP sandbox).

    Raises ValueError if the file is held by the virus scanner.
    """
    if attachment.is_held:
        raise ValueError("Nobody may open this file.")
    response = HttpResponse(bytes(attachment.content), content_type=attachment.media_type)
    response.headers["Content-Disposition"] = content_disposition_header(True, attachment.name) or "attachment"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-store"
    return response
