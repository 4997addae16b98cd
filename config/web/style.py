"""The style sheet of the customers' pages: Bootstrap, our theme and the brand colour in one file.

Its URL holds a hash of its content, so that browsers can cache it for ever.
"""

import gzip
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import brotli
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

SOURCES = ("vendor/bootstrap/bootstrap.min.css", "css/portal.css")


class Style(NamedTuple):
    digest: str
    encodings: dict[str, bytes]  # by content encoding, the smallest first


def style_url() -> str:
    return reverse("style", args=[_style().digest])


@require_safe
def style(http: HttpRequest, digest: str) -> HttpResponse:
    """The style sheet, compressed as well as the browser accepts it."""
    accepted = http.headers.get("Accept-Encoding", "")
    encoding = next((name for name in _style().encodings if name in accepted), "identity")
    response = HttpResponse(_style().encodings[encoding], content_type="text/css; charset=utf-8")
    if encoding != "identity":
        response.headers["Content-Encoding"] = encoding
    patch_vary_headers(response, ["Accept-Encoding"])
    forever = "public, max-age=31536000, immutable"
    response.headers["Cache-Control"] = forever if digest == _style().digest else "no-cache"
    return response


@require_safe
def logo(http: HttpRequest) -> HttpResponse:
    """The brand's logo, the file in BRAND_LOGO."""
    if not settings.BRAND_LOGO:
        raise Http404
    path = Path(settings.BRAND_LOGO)
    content_type = {".svg": "image/svg+xml", ".png": "image/png"}[path.suffix.lower()]
    response = HttpResponse(path.read_bytes(), content_type=content_type)
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


def _style() -> Style:
    return _build(settings.BRAND_ACCENT, _modified_at())


def _modified_at() -> float:
    """When the sources were modified; constant outside a local run, where they do not change."""
    return max(_path(name).stat().st_mtime for name in SOURCES) if settings.LOCAL_RUN else 0.0


@cache
def _build(accent: str, modified_at: float) -> Style:
    css = "\n".join(_path(name).read_text() for name in SOURCES)
    if accent:
        css += f"\n:root {{ --accent: {accent}; }}\n"
    source = css.replace("/*# sourceMappingURL=bootstrap.min.css.map */", "").encode()
    encodings = {"br": brotli.compress(source), "gzip": gzip.compress(source, 9, mtime=0), "identity": source}
    return Style(sha256(source).hexdigest()[:12], encodings)


def _path(name: str) -> Path:
    return settings.BASE_DIR / "static" / name
