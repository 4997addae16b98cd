"""Handing files out: to be saved, never to be opened as a page of ours."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from cancellations.models import Attachment


def calendar_file(content: bytes, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type="text/calendar; charset=utf-8")
    response.headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return response


def handed_out(attachment: Attachment) -> HttpResponse:
    """The file as an attachment, with its type fixed and nothing in it allowed to run (RFC 6266, CSP sandbox)."""
    response = HttpResponse(bytes(attachment.content), content_type=attachment.media_type)
    response.headers["Content-Disposition"] = content_disposition_header(True, attachment.name) or "attachment"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-store"
    return response
