from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from config import health, local_mail

urlpatterns = [
    path("", include("cancellations.urls")),
    path("signin/", include("allauth.account.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
]
if settings.LOCAL_RUN:
    urlpatterns += [
        path("local/mail/", local_mail.mailbox, name="local_mail"),
        path("local/mail/<str:name>/", local_mail.mail, name="local_mail_one"),
    ]

handler400 = "config.errors.bad_request"
handler403 = "config.errors.forbidden"
handler404 = "config.errors.not_found"
handler500 = "config.errors.server_error"
