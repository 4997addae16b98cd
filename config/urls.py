from allauth.account.views import request_login_code
from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from config import health, metrics
from config.api import api
from config.local import pages as local_pages
from config.sign_in import passkeys, staff_oidc
from config.sign_in.customers import ConfirmCode
from config.sign_in.leaving import sign_out
from config.web import language, style

urlpatterns = [
    path("", include("cancellations.urls")),
    path("signin/", request_login_code, name="account_request_login_code"),
    path("signin/code/", ConfirmCode.as_view(), name="account_confirm_login_code"),
    path("signout/", sign_out, name="account_logout"),
    # URL names that allauth needs; there is one page to sign in, and no sign-up.
    path("signin/", request_login_code, name="account_login"),
    path("signin/", request_login_code, name="account_signup"),
    path("style-<str:digest>.css", style.style, name="style"),
    path("logo", style.logo, name="brand_logo"),
    path("language/", language.choose, name="choose_language"),
    path("signin/passkey/", passkeys.SignIn.as_view(), name="mfa_login_webauthn"),
    path("passkeys/", passkeys.passkeys, name="mfa_index"),
    path("passkeys/add/", passkeys.Add.as_view(), name="mfa_add_webauthn"),
    path("passkeys/sessions/", passkeys.end_sessions, name="end_own_sessions"),
    path("passkeys/<int:key>/remove/", passkeys.remove, name="passkey_remove"),
    path("admin/sign-in/oidc/<provider_id>/login/", staff_oidc.go_to_provider, name="openid_connect_login"),
    path("admin/sign-in/oidc/<provider_id>/login/callback/", staff_oidc.come_back, name="openid_connect_callback"),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("readyz/workers", health.workers_ready, name="readyz_workers"),
    path("metrics", metrics.metrics, name="metrics"),
]
if settings.ANYMAIL:
    urlpatterns.append(path("mail-provider/", include("anymail.urls")))
if settings.LOCAL_RUN:
    urlpatterns += [
        path("local/mail/", local_pages.mailbox, name="local_mail"),
        path("local/codes/", local_pages.codes, name="local_codes"),
        path("local/mail/<str:name>/", local_pages.mail, name="local_mail_one"),
    ]

handler400 = "config.web.errors.bad_request"
handler403 = "config.web.errors.forbidden"
handler404 = "config.web.errors.not_found"
handler500 = "config.web.errors.server_error"
handler429 = "config.web.errors.too_many_requests"
