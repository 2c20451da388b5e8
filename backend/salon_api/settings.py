"""Django's settings, read top to bottom: the environment becomes `OTP`, and `OTP` becomes everything else."""

import os
import sys
from pathlib import Path

import dj_database_url

from apps.accounts import config as accounts_config
from apps.accounts.services.limits import redis_connection_options
from salon_api import environment, logs
from salon_api.postgresql.patience import POOL_SECONDS
from salon_api.postgresql.wary import WaryConnection

BACKEND = Path(__file__).resolve().parent.parent
VAR = BACKEND / "var"

try:
    OTP = accounts_config.load(environment.read(Path(os.environ.get("OTP_ENV_FILE") or BACKEND / ".env")))
except accounts_config.ConfigurationError as error:
    print(error, file=sys.stderr)
    raise SystemExit(78) from None  # EX_CONFIG

DEBUG = OTP.debug
SECRET_KEY = OTP.secret_key
ALLOWED_HOSTS = list(OTP["ALLOWED_HOSTS"])
PROCESSES = OTP.processes

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_tasks",
    "django_tasks_db",
    "apps.accounts",
    "apps.ops",
]
MIDDLEWARE = [
    "apps.accounts.api.door.Door",
    "salon_api.staff.StaffStatic",
    "salon_api.staff.StaffSessions",
    "salon_api.staff.StaffCsrf",
    "salon_api.staff.StaffAuthentication",
    "salon_api.staff.StaffMessages",
    "salon_api.staff.StaffFrames",
]
ROOT_URLCONF = "salon_api.urls"
WSGI_APPLICATION = "salon_api.wsgi.application"
APPEND_SLASH = False
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

_database_url = OTP["DATABASE_URL"] or f"sqlite:///{VAR / 'db.sqlite3'}"
if _database_url.startswith("sqlite"):
    VAR.mkdir(exist_ok=True)
DATABASES = {"default": dj_database_url.parse(_database_url)}
_database = DATABASES["default"]
if _database["ENGINE"].endswith("postgresql"):
    # A connection per request costs seven times the rest of it; the pool's is given back before a gateway is called.
    _database["ENGINE"] = "salon_api.postgresql"
    _database["CONN_MAX_AGE"] = 0
    _database["OPTIONS"] = {
        **_database.get("OPTIONS", {}),
        "connect_timeout": 3,
        "prepare_threshold": 3,
        "server_side_binding": True,
        "pool": {
            "connection_class": WaryConnection,
            "min_size": 1,
            "max_size": OTP["DATABASE_POOL_MAX"],
            "timeout": POOL_SECONDS,
            "max_waiting": 512,
            "reconnect_timeout": 3,
        },
        # A lock is waited for a little longer than the second after which the server looks for deadlocks (the default
        # of `deadlock_timeout`): of calls that wait for each other, one must hear that and not of a lock that was held
        # for too long, because only then it is done again.
        # The statements are made for READ COMMITTED. Where a server's default is stricter, those of one phone would
        # end each other instead of waiting for each other. And a plan is kept as long as its connection lives: made on
        # the empty tables of a new installation it would walk them when they are full, so walking is the last resort.
        # A small table that is read whole looks dear then, and is neither worth compiling for nor processes of its own.
        "options": "-c statement_timeout=4000 -c lock_timeout=1250 -c idle_in_transaction_session_timeout=10000 "
        "-c default_transaction_isolation=read\\ committed -c enable_seqscan=off -c jit=off "
        "-c max_parallel_workers_per_gather=0",
    }
else:
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }

if OTP["REDIS_URL"]:
    CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": OTP["REDIS_URL"],
            "KEY_PREFIX": "otp",
            "OPTIONS": redis_connection_options(),
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "otp"}}

BACKGROUND_THREADS = True  # a process may write by itself what it kept in memory

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default"]}}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
SILENCED_SYSTEM_CHECKS = [
    # Django's own SecurityMiddleware is not used: TLS ends at the proxy and the door sets the headers itself.
    "security.W001",
    "security.W002",  # XFrameOptionsMiddleware is there as a subclass, for the staff pages
    "security.W003",  # CsrfViewMiddleware is there as a subclass, for the staff pages
    "admin.E408",
    "admin.E409",
    "admin.E410",
]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = "/admin/"
CSRF_FAILURE_VIEW = "apps.accounts.api.problems.csrf_failed"
# TLS ends at the proxy: a browser's `Origin` says https where Django sees http.
CSRF_TRUSTED_ORIGINS = [f"https://{'*' if host[0] == '.' else ''}{host}" for host in ALLOWED_HOSTS if host != "*"]
if OTP.public_base_url:
    CSRF_TRUSTED_ORIGINS.append(OTP.public_base_url)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Phone login",
    "DESCRIPTION": (
        "Logs people in with their phone: a number gets a code by SMS or WhatsApp, the app gets an access token and a "
        "refresh token.\n\n"
        "Every error is `application/problem+json` (RFC 9457). Programs read `code`, which never changes with the "
        "language; `detail` is for people and follows `Accept-Language`. `retry_after` is in seconds and equals the "
        "header `Retry-After`. What every code means: `/errors/`.\n\n"
        "Members that are not described are ignored. Numbers are E.164; digits of any script are understood, another "
        "spelling is answered with the canonical one. A request with an `Idempotency-Key` may be repeated: the answer "
        "is given again and nothing is done twice."
    ),
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "OAS_VERSION": "3.1.0",
    "TAGS": [
        {"name": "login", "description": "A number, a code, a session."},
        {"name": "sessions", "description": "Tokens and the devices that hold them."},
        {"name": "account", "description": "What a person may do with the own account and number."},
        {"name": "first mobile API", "description": "Old paths, kept for apps that are out; each names its successor."},
        {"name": "status", "description": "How the service stands."},
        {"name": "operations", "description": "What an operator sees and changes."},
        {"name": "webhooks", "description": "What the gateways call: receipts and handshakes."},
    ],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "Channel": ["sms", "whatsapp"],
        "AnyPurpose": ["login", "verify_phone", "change_phone", "step_up"],
        "Purpose": ["verify_phone", "change_phone", "step_up"],
    },
}

LOGGING_CONFIG = None
logs.configure(level=OTP["LOG_LEVEL"].upper(), as_json=not DEBUG)
