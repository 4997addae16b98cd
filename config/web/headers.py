"""The headers that tell browsers what a response may do, and who may keep it."""

from collections.abc import Callable

from csp.constants import NONCE, NONE, SELF
from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponse

# The staff interface is django-unfold: its colours are a style sheet in the page.
STAFF_POLICY = {
    "default-src": [NONE],
    "script-src": [SELF],
    "style-src": [SELF, NONCE],
    "img-src": [SELF, "data:"],
    "font-src": [SELF],
    "connect-src": [SELF],
    "frame-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}
# What a page may use of the device: passkeys, and nothing else (W3C, "Permissions Policy")
PERMISSIONS = ", ".join(
    [
        *(
            f"{feature}=()"
            for feature in (
                "accelerometer", "autoplay", "browsing-topics", "camera", "display-capture",
                "encrypted-media", "fullscreen", "gamepad", "geolocation", "gyroscope", "hid", "idle-detection",
                "local-fonts", "magnetometer", "microphone", "midi", "payment", "picture-in-picture",
                "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
            )
        ),
        "publickey-credentials-create=(self)",
        "publickey-credentials-get=(self)",
    ]
)  # fmt: skip


class SafeHeaders:
    """Sets Permissions-Policy and Cross-Origin-Resource-Policy, and `no-store` on what is for one visitor alone.

    A page that names its own Cache-Control keeps it. Otherwise nobody stores a page of a visitor with a session or of
    the API, and every other page is asked for again each time.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        is_personal = request.path.startswith("/api/") or _has_session(request)
        response.headers.setdefault("Cache-Control", "private, no-store" if is_personal else "private, no-cache")
        return response


def content_security_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> CSPMiddleware:
    """Sets the strict content security policy of the settings, and STAFF_POLICY in the staff interface."""

    def with_staff_policy(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.path.startswith("/admin/"):
            response._csp_replace = STAFF_POLICY  # type: ignore[attr-defined]  # read by django-csp
        return response

    return CSPMiddleware(with_staff_policy)


def _has_session(request: HttpRequest) -> bool:
    session = getattr(request, "session", None)  # none if a middleware before it has answered
    return session is not None and not session.is_empty()
