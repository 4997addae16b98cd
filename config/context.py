from django.conf import settings
from django.http import HttpRequest


def portal(request: HttpRequest) -> dict[str, object]:
    """What every page needs to know of the company."""
    return {
        "brand": settings.BRAND_NAME,
        "brand_accent": settings.BRAND_ACCENT,
        "support_email": settings.SUPPORT_EMAIL,
        "site_url": settings.SITE_URL,
        "local_run": settings.LOCAL_RUN,
    }
