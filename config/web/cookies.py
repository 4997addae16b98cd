from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage


class MessageCookie(CookieStorage):
    """Django's messages in a cookie that is named like ours."""

    cookie_name = settings.COOKIE_NAME.format("messages")
