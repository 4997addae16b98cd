"""All settings, read from environment variables. docs/configuration.md lists them."""

from email.utils import parseaddr
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from kombu import Queue

from cancellations.rules.jurisdictions import PROFILES
from config.checks import refusals
from config.local import embedded
from messaging.inbound.mailboxes import source_of

BASE_DIR = Path(__file__).resolve().parent.parent


class Environment(environ.FileAwareEnv):
    """`SECRET_KEY_FILE` names a file that holds `SECRET_KEY`, and so for each variable; spaces around it go."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        value = super().get_value(var, *args, **kwargs)
        return value.strip() if isinstance(value, str) else value


env = Environment()
DATA_DIR = embedded.data_dir()
LOCAL_RUN = env.bool("PORTAL_LOCAL_RUN", default=False)  # asked for, never inferred: `make run` sets it


SECRET_KEY = env.str("SECRET_KEY", default="")
if LOCAL_RUN and not SECRET_KEY:
    SECRET_KEY = embedded.local_secret()
# Earlier keys, the newest first: what they signed and encrypted is still read (docs/deployment.md, "Change a key")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
# Seals the audit (accounts/audit.py); earlier keys, the newest first, verify what they sealed
AUDIT_KEY = env.str("AUDIT_KEY", default="")
AUDIT_KEY_FALLBACKS = env.list("AUDIT_KEY_FALLBACKS", default=[])
if not AUDIT_KEY:
    AUDIT_KEY, AUDIT_KEY_FALLBACKS = SECRET_KEY, [*SECRET_KEY_FALLBACKS, *AUDIT_KEY_FALLBACKS]
DEBUG = env.bool("DEBUG", default=False)
PORT = env.int("PORT", default=8000)
SITE_URL = env.str("SITE_URL", default=f"http://localhost:{PORT}").rstrip("/")
if _refusals := refusals(
    local_run=LOCAL_RUN,
    secret_key=SECRET_KEY,
    debug=DEBUG,
    site_url=SITE_URL,
    database_url=env.str("DATABASE_URL", default=""),
    redis_url=env.str("REDIS_URL", default=""),
):
    raise ImproperlyConfigured(" ".join(_refusals))
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = [SITE_URL]

# The company and its brand
BRAND_NAME = env.str("BRAND_NAME", default="atntcrm")
BRAND_ACCENT = env.str("BRAND_ACCENT", default="")
SUPPORT_EMAIL = env.str("SUPPORT_EMAIL", default="support@atntcrm.com")
COMPANY_COUNTRY = env.str("COMPANY_COUNTRY", default="DE")
COMPANY_TIME_ZONE = env.str("COMPANY_TIME_ZONE", default="Europe/Berlin")
ACCOUNT_NUMBER_EXAMPLE = env.str("ACCOUNT_NUMBER_EXAMPLE", default="AT-104233")
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")  # whoever sends it reads /metrics
FORM_MINUTES = env.int("FORM_MINUTES", default=60)  # how long the time of receipt of a form stays valid
APPEAL_EMAIL = env.str("APPEAL_EMAIL", default=SUPPORT_EMAIL)  # shown in the letter of a termination
PROOF_LINK_DAYS = env.int("PROOF_LINK_DAYS", default=7)
BRAND_LOGO = env.str("BRAND_LOGO", default="")  # a file, SVG or PNG
if BRAND_LOGO and (Path(BRAND_LOGO).suffix.lower() not in (".svg", ".png") or not Path(BRAND_LOGO).is_file()):
    raise ImproperlyConfigured(f"BRAND_LOGO has to be the path of an SVG or PNG file, not {BRAND_LOGO!r}.")
# How long personal data is kept, in days; 0: until erasure is requested (docs/configuration.md)
RETENTION_CASE_DAYS = env.int("RETENTION_CASE_DAYS", default=1461)
RETENTION_UNPROVEN_DAYS = env.int("RETENTION_UNPROVEN_DAYS", default=90)
RETENTION_MESSAGE_DAYS = env.int("RETENTION_MESSAGE_DAYS", default=1461)
JURISDICTION = env.str("JURISDICTION", default="default")  # the profile for guests who choose no country
if JURISDICTION not in PROFILES:
    raise ImproperlyConfigured(f"JURISDICTION has to be one of {', '.join(PROFILES)}, not {JURISDICTION!r}.")
UNKNOWN_CUSTOMERS = env.str("UNKNOWN_CUSTOMERS", default="consumer")  # how an account of an unknown type counts
if UNKNOWN_CUSTOMERS not in ("consumer", "business"):
    raise ImproperlyConfigured(f"UNKNOWN_CUSTOMERS has to be consumer or business, not {UNKNOWN_CUSTOMERS!r}.")
_proposal_mail = env.str("REFUND_PROPOSAL_MAIL_MINUTES", default="15")
if not (_proposal_mail == "approval" or _proposal_mail.isdecimal()):
    raise ImproperlyConfigured(
        f"REFUND_PROPOSAL_MAIL_MINUTES has to be a number of minutes, or approval, not {_proposal_mail!r}."
    )
REFUND_PROPOSAL_MAIL_MINUTES = None if _proposal_mail == "approval" else int(_proposal_mail)  # None: no such mail
# One offer to stay, only on the entry page and where the law allows it; none if the text is empty
RENEWAL_REMINDERS = env.bool("RENEWAL_REMINDERS", default=True)  # off if the company sends its own
OFFER_TEXT = env.str("OFFER_TEXT", default="")
OFFER_LABEL = env.str("OFFER_LABEL", default="")
OFFER_URL = env.str("OFFER_URL", default="")

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "config.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "csp",
    "crispy_forms",
    "crispy_bootstrap5",
    "djmoney",
    "pgtrigger",
    "pghistory",
    "anymail",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "messaging.apps.MessagingConfig",
    "accounts.apps.AccountsConfig",
    "billing.apps.BillingConfig",
    "cancellations.apps.CancellationsConfig",
    "config.apps.PortalConfig",
]

MIDDLEWARE = [
    "config.metrics.Latencies",
    "config.web.headers.SafeHeaders",
    "config.web.headers.content_security_policy",
    "config.web.middleware.HttpsOnly",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.web.middleware.SmallForms",
    "config.web.middleware.KeepableText",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.web.middleware.Refusals",
    "config.web.middleware.Sessions",
    "config.web.middleware.Language",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "config.web.middleware.History",
    "config.web.middleware.PageForException",
    "config.web.middleware.PageForBareAnswers",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "config.desk.frame.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.web.context.portal",
            ],
        },
    }
]

# PostgreSQL with persistent connections; works with PgBouncer in transaction mode.
if env.str("DATABASE_URL", default=""):
    DATABASES = {"default": env.db_url("DATABASE_URL")}
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", **embedded.database_settings()}}
# The role of web, worker and beat, for `manage.py migrate`: it grants this role what they need
APP_DATABASE_URL = env.str("APP_DATABASE_URL", default="")
DATABASES["default"].update({"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, "DISABLE_SERVER_SIDE_CURSORS": True})
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Rate limits count in Redis, for all web processes together; while it is away, each process counts by itself.
CACHES = {
    "default": {
        "BACKEND": "config.web.cache.SharedCache",
        "LOCATION": (env.str("REDIS_URL", default="") or embedded.redis_url()).replace("redis+socket://", "unix://"),
        "KEY_PREFIX": "portal",
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    }
}

# Celery only wakes workers; the rows are the queue (docs/architecture.md).
CELERY_BROKER_URL = env.str("REDIS_URL", default="") or embedded.redis_url()
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    "max_retries": 0,
    "queue_order_strategy": "priority",  # in the order of CELERY_TASK_QUEUES
}
CELERY_TIMEZONE = "UTC"
# Mail that somebody waits for has a lane of its own. A worker takes both, the first one first; one more with
# `--queues mail` always has a process free for it.
CELERY_TASK_DEFAULT_QUEUE = "celery"
CELERY_TASK_QUEUES = (Queue("mail"), Queue("celery"))
CELERY_TASK_ROUTES = {"messaging.deliver": {"queue": "mail"}, "cancellations.prove": {"queue": "mail"}}
CELERY_TASK_TIME_LIMIT = 300

# Mail
if env.str("EMAIL_URL", default="") or not LOCAL_RUN:
    vars().update(env.email_url("EMAIL_URL", default="smtp://localhost:25"))
    if vars()["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend":
        EMAIL_BACKEND = "messaging.outbound.smtp.EmailBackend"
else:
    EMAIL_BACKEND = "config.local.mail_files.EmailBackend"
EMAIL_FILE_PATH = str(DATA_DIR / "mail")
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"{BRAND_NAME} <{SUPPORT_EMAIL}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

MAIL_PER_ADDRESS_HOUR = env.int("MAIL_PER_ADDRESS_HOUR", default=30)  # further mails wait; 0: no limit
# Incoming mail (docs/mail.md): the mailboxes to read, and our own mail servers
INBOUND_MAILBOXES = env.list("INBOUND_MAILBOXES", default=[])
for _url in INBOUND_MAILBOXES:
    try:
        source_of(_url)
    except ValueError as error:
        raise ImproperlyConfigured(f"INBOUND_MAILBOXES: {error}") from error
INBOUND_FIRST_DAYS = env.int("INBOUND_FIRST_DAYS", default=30)  # older mail is skipped at first; 0: read all
INBOUND_MOST_BYTES = env.int("INBOUND_MOST_BYTES", default=26_214_400)
MAIL_SERVERS = env.list("MAIL_SERVERS", default=[parseaddr(SUPPORT_EMAIL)[1].rpartition("@")[2]])
# Servers that write Authentication-Results below their Received header, for each mail (docs/mail.md)
AUTHENTICATION_RESULTS_BY = env.list("AUTHENTICATION_RESULTS_BY", default=[])
# The reply address of mails; its token identifies what a reply answers, such as support+{token}@example.com
_user, _, _domain = SUPPORT_EMAIL.partition("@")
REPLY_ADDRESS = env.str("REPLY_ADDRESS", default=f"{_user}+{{token}}@{_domain}" if LOCAL_RUN else "")
if REPLY_ADDRESS and ("{token}" not in REPLY_ADDRESS.partition("@")[0] or "@" not in REPLY_ADDRESS):
    raise ImproperlyConfigured("REPLY_ADDRESS needs {token} before its @, such as support+{token}@example.com.")
# A virus scanner for uploaded files: clamd, at tcp://host:3310 or unix:///run/clamav/clamd.sock
CLAMD = env.str("CLAMD", default="")
if CLAMD and not CLAMD.startswith(("tcp://", "unix:///")):
    raise ImproperlyConfigured("CLAMD has to be like tcp://host:3310 or unix:///run/clamav/clamd.sock.")
# The settings of django-anymail for the webhooks of the mail provider, as JSON with a WEBHOOK_SECRET
ANYMAIL = env.json("ANYMAIL", default={})
if ANYMAIL and ":" not in ANYMAIL.get("WEBHOOK_SECRET", ""):
    raise ImproperlyConfigured('ANYMAIL needs a WEBHOOK_SECRET, such as {"WEBHOOK_SECRET": "name:long-random-text"}.')
# Allows webhooks to private networks and without HTTPS
WEBHOOK_PRIVATE_TARGETS = env.bool("WEBHOOK_PRIVATE_TARGETS", default=False)

# Payment gateways for refunds. Without a key, refunds are paid and settled by hand.
STRIPE_API_KEY = env.str("STRIPE_API_KEY", default="")
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="")
# Notifications to staff by mail: a daily digest from this hour on (company's zone; -1: none), and overdue cases
STAFF_DIGEST_HOUR = env.int("STAFF_DIGEST_HOUR", default=7)
STAFF_DIGEST_TO = env.list("STAFF_DIGEST_TO", default=[])  # empty: all who decide requests or refunds
STAFF_OVERDUE = env.bool("STAFF_OVERDUE", default=True)
STAFF_OVERDUE_TO = env.list("STAFF_OVERDUE_TO", default=[])
# The company's bank account, for files with bank transfers (ISO 20022); without it they are CSV
COMPANY_NAME = env.str("COMPANY_NAME", default=BRAND_NAME)
COMPANY_IBAN = env.str("COMPANY_IBAN", default="").replace(" ", "").upper()
COMPANY_BIC = env.str("COMPANY_BIC", default="").strip().upper()

# Signing in: customers by a code sent to their address, staff with a password at /admin/
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["config.sign_in.hashing.Argon2", "config.sign_in.hashing.FormerPBKDF2"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "config.sign_in.password_rules.NotGuessable"},
    {"NAME": "config.sign_in.password_rules.NotTooLong"},
]
LOGIN_URL = "account_request_login_code"
LOGIN_REDIRECT_URL = "subscriptions"
ACCOUNT_ADAPTER = "config.sign_in.customers.PortalAdapter"
ACCOUNT_FORMS = {
    "request_login_code": "config.sign_in.customers.SignInForm",
    "confirm_login_code": "config.sign_in.customers.CodeForm",
}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # the code proves the address
ACCOUNT_RATE_LIMITS = {"request_login_code": None}  # config/sign_in/limits.py counts these mails
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = 600
ACCOUNT_LOGIN_BY_CODE_MAX_ATTEMPTS = 5
ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND = True
# Passkeys of customers are optional; the code is always enough (config/sign_in/passkeys.py)
MFA_ADAPTER = "config.sign_in.factors.EncryptedFactors"
MFA_SUPPORTED_TYPES = ["webauthn"]  # for customers; config/sign_in/staff_factors.py handles those of staff
MFA_TOTP_ISSUER = BRAND_NAME
MFA_TOTP_TOLERANCE = 1  # half a minute, for clocks that are slightly off
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_REAUTHENTICATION_REQUIRED = False
MFA_ALLOW_UNVERIFIED_EMAIL = True  # signing in by a code has proven the address
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = LOCAL_RUN  # http://localhost
ACCOUNT_LOGIN_ON_PASSWORD_RESET = False
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
SESSION_COOKIE_AGE = 60 * 60 * 8
PASSWORD_RESET_TIMEOUT = 60 * 60 * 24  # seconds that a link to choose a password works
# Staff: always with a second factor, and signed out when idle (config/sign_in/sessions.py)
STAFF_SESSION_HOURS = env.int("STAFF_SESSION_HOURS", default=10)
STAFF_IDLE_MINUTES = env.int("STAFF_IDLE_MINUTES", default=30)
STAFF_REAUTH_MINUTES = env.int("STAFF_REAUTH_MINUTES", default=10)
# Optional: staff sign in with the company's identity provider (OpenID Connect)
OIDC_NAME = env.str("OIDC_NAME", default="the company’s account")
OIDC_SERVER_URL = env.str("OIDC_SERVER_URL", default="")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", default="")
OIDC_TRUST_EMAIL = env.bool("OIDC_TRUST_EMAIL", default=False)
OIDC_TRUST_SECOND_FACTOR = env.bool("OIDC_TRUST_SECOND_FACTOR", default=False)
if bool(OIDC_SERVER_URL) != bool(OIDC_CLIENT_ID):
    raise ImproperlyConfigured("OIDC_SERVER_URL and OIDC_CLIENT_ID belong together: set both, or neither.")
SOCIALACCOUNT_ADAPTER = "config.sign_in.staff_oidc.StaffOnly"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "APPS": [
            {
                "provider_id": "staff",
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": OIDC_CLIENT_SECRET,
                "settings": {"server_url": OIDC_SERVER_URL, "oauth_pkce_enabled": True},
            }
        ]
        if OIDC_CLIENT_ID
        else []
    }
}
SECURE = SITE_URL.startswith("https://")
# The names of all cookies. With __Host-, browsers refuse one that was not set by this host over HTTPS (RFC 6265bis).
# Browsers keep cookies by host, not by port: two local runs need different names.
COOKIE_NAME = ("__Host-" if SECURE else "") + "portal_{}" + (f"_{PORT}" if LOCAL_RUN else "")
SESSION_COOKIE_NAME = COOKIE_NAME.format("session")
CSRF_COOKIE_NAME = COOKIE_NAME.format("csrf")
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "config.web.errors.stale_form"
MESSAGE_STORAGE = "config.web.cookies.MessageCookie"

# HTTPS, if SITE_URL uses it
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SECURE_SSL_REDIRECT = SECURE
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^readyz/workers$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
# How many proxies of ours stand in front: so many addresses at the end of X-Forwarded-For are theirs to say
BEHIND_PROXY = env.int("BEHIND_PROXY", default=0)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
X_FRAME_OPTIONS = "DENY"
# Never the path, which may hold the link of a mail. Not no-referrer: forms would then post `Origin: null`.
SECURE_REFERRER_POLICY = "strict-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
FORM_MOST_BYTES = 1_000_000  # of a form without its files (config/web/middleware.py)
DATA_UPLOAD_MAX_MEMORY_SIZE = INBOUND_MOST_BYTES * 3 // 2 if ANYMAIL else FORM_MOST_BYTES  # a mail arrives as one field
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000
DATA_UPLOAD_MAX_NUMBER_FILES = 20
FILE_UPLOAD_HANDLERS = [
    "config.web.uploads.LimitedUpload",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# Language and time. The staff interface is in LANGUAGE_CODE, customers' pages and mails in their language.
LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch"), ("fr", "Français")]
LOCALE_PATHS = [BASE_DIR / "config" / "locale"]
LANGUAGE_COOKIE_NAME = COOKIE_NAME.format("language")
LANGUAGE_COOKIE_AGE = 31_536_000
USE_I18N = True
USE_TZ = True
TIME_ZONE = COMPANY_TIME_ZONE

# Files
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = LOCAL_RUN
WHITENOISE_MAX_AGE = 60 if LOCAL_RUN else 31_536_000
_STATIC_STORAGE = "django.contrib.staticfiles.storage.StaticFilesStorage"
if not LOCAL_RUN:
    _STATIC_STORAGE = "whitenoise.storage.CompressedManifestStaticFilesStorage"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": _STATIC_STORAGE},
}

CRISPY_ALLOWED_TEMPLATE_PACKS = CRISPY_TEMPLATE_PACK = "bootstrap5"

# History (django-pghistory)
PGHISTORY_APPEND_ONLY = True

UNFOLD = {
    "SITE_TITLE": f"{BRAND_NAME} cancellations",
    "SITE_HEADER": BRAND_NAME,
    "SITE_SUBHEADER": "Cancellations and refunds",
    "SITE_SYMBOL": "event_busy",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("icon.svg")}],
    "SITE_URL": "/",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "COLORS": {
        "primary": {
            "50": "#eef1fd",
            "100": "#dfe5fb",
            "200": "#c3cef8",
            "300": "#9db2ff",
            "400": "#7690f2",
            "500": "#4c69e0",
            "600": "#2746c7",
            "700": "#2039a3",
            "800": "#1d327f",
            "900": "#1b2c66",
            "950": "#121c40",
        }
    },
    "STYLES": [lambda request: static("css/desk.css")],
    "DASHBOARD_CALLBACK": "config.desk.dashboard.dashboard",
    "SCRIPTS": [lambda request: static("js/desk.js"), lambda request: static("js/desk-alpine.js")],
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "config.desk.navigation.navigation",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "config.logs.LineFormatter", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "kombu": {"level": "ERROR"},
    },
}
