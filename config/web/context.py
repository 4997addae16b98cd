from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.translation import get_language, get_language_bidi

from cancellations.web.places import offers_withdrawal, profile_of
from config.web.style import style_url


def portal(request: HttpRequest) -> dict[str, object]:
    """The template variables of every page: the company, the language and the jurisdiction."""
    return {
        "brand": settings.BRAND_NAME,
        "brand_logo": settings.BRAND_LOGO,
        "style_url": style_url(),
        "support_email": settings.SUPPORT_EMAIL,
        "site_url": settings.SITE_URL,
        "profile": SimpleLazyObject(lambda: profile_of(request)),
        "offers_withdrawal": SimpleLazyObject(lambda: offers_withdrawal(request)),
        "text_language": settings.LANGUAGE_CODE.partition("-")[0],
        "local_run": settings.LOCAL_RUN,
        "languages": settings.LANGUAGES,
        "language": get_language() or settings.LANGUAGE_CODE,
        "rtl": get_language_bidi(),
    }
