"""Settings, read from the environment; importing them starts nothing."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured

from curation import embedded, paths
from curation.dbwatch import WatchedConnection

# Lets generic Django classes be written with their parameter, as the type checker wants them.
django_stubs_ext.monkeypatch()

BASE_DIR = paths.ROOT
WHITTLE_HOME = paths.home()


def envbool(name: str, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value in {"", "default"}:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false")


def envfloat(name: str, default: float) -> float:
    try:
        return float(os.environ.get(name) or default)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not a number") from error


def secret_key() -> str:
    """The signing key: from the environment, else a private file made once under the home."""
    if given := os.environ.get("SECRET_KEY"):
        return given
    path = paths.secrets_dir() / "secret_key"
    older = WHITTLE_HOME / "secret_key"  # where it was before there was a folder of secrets
    if older.is_file() and not path.exists():
        shutil.move(older, path)
    return embedded.draw_once(path, lambda: secrets.token_urlsafe(48))


def database() -> dict[str, Any]:
    """Django's connection settings: DATABASE_URL, else the embedded server's own record."""
    options: dict[str, Any] = {
        "options": "-c idle_in_transaction_session_timeout=60000 -c lock_timeout=10000",
        "connect_timeout": 5,
    }
    # A pool's threads do not survive a fork, so only the web server (curation.wsgi) asks for one.
    # Its requests end: a slow statement on the server, one without an answer by the pulse.
    if pool := int(envfloat("DATABASE_POOL", 0)):
        seconds = envfloat("WEB_STATEMENT_SECONDS", 30)
        options["options"] += f" -c statement_timeout={int(seconds * 1000)}"
        options["pool"] = {
            "min_size": 1,
            "max_size": pool,
            "timeout": 3,
            "reconnect_timeout": 5,
            "connection_class": WatchedConnection,
        }
    base: dict[str, Any] = {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }
    url = os.environ.get("DATABASE_URL")
    if url:
        parts = urlsplit(url)
        if parts.scheme not in {"postgres", "postgresql"}:
            raise ImproperlyConfigured("DATABASE_URL must be a postgresql:// address")
        return base | {
            "NAME": unquote(parts.path.lstrip("/")) or "whittle",
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or ""),
            "PORT": parts.port or "",
        }
    dsn = embedded.database_dsn()
    return base | {
        "NAME": dsn.get("dbname", "whittle"),
        "USER": dsn.get("user", ""),
        "PASSWORD": dsn.get("password", ""),
        "HOST": dsn.get("host", ""),
        "PORT": dsn.get("port", ""),
    }


DEBUG = envbool("DEBUG", False)
SECRET_KEY = secret_key()
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [o for o in os.environ.get("CSRF_TRUSTED_ORIGINS", "").split(",") if o]
ROOT_URLCONF = "curation.urls"
WSGI_APPLICATION = "curation.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "template_partials",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "curation",
    "reviews",
    "workers",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "curation.browsing.NoStore",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "curation.browsing.SessionLimits",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "curation.failures.Busy",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
DATABASES = {"default": database()}
REDIS_URL = os.environ.get("REDIS_URL") or embedded.redis_url()
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# The folder's name is a hash of what is in it, so a browser may keep every file for good.
STATIC_FILES = BASE_DIR / "static"
STATIC_URL = "/static/" if DEBUG else f"/static/{paths.content_hash(STATIC_FILES)}/"
STATICFILES_DIRS = [STATIC_FILES]
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 0  # of packages' own files, which the hash does not cover


def WHITENOISE_IMMUTABLE_FILE_TEST(path: str, url: str) -> bool:
    """Whether a file's address changes with its content."""
    return not DEBUG and Path(path).is_relative_to(STATIC_FILES)


LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# SECURE_COOKIES says that pages are reached over HTTPS alone, which a proxy in front ends.
_HTTPS = envbool("SECURE_COOKIES", False)
if _HTTPS:  # the proxy speaks plain HTTP to this server: take each request for what it was
    SECURE_PROXY_SSL_HEADER = ("wsgi.url_scheme", "http")
    SECURE_HSTS_SECONDS = int(envfloat("HSTS_SECONDS", 365 * 24 * 3600))
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_HTTPONLY = True
# A session ends when nobody used it for so long, and in any case so long after signing in.
SESSION_IDLE_SECONDS = envfloat("SESSION_IDLE_SECONDS", 12 * 3600)
SESSION_COOKIE_AGE = int(envfloat("SESSION_MAX_SECONDS", 14 * 24 * 3600))
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # not in a cookie
# Copies that run side by side on one host differ only by port, and cookies ignore ports.
_COOKIE_SUFFIX = os.environ.get("PORT", "8000")
# Browsers take a cookie of this prefix only from this very host, over HTTPS, for all paths.
_COOKIE_PREFIX = "__Host-" if _HTTPS else ""
SESSION_COOKIE_NAME = f"{_COOKIE_PREFIX}whittle_session_{_COOKIE_SUFFIX}"
CSRF_COOKIE_NAME = f"{_COOKIE_PREFIX}whittle_csrf_{_COOKIE_SUFFIX}"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "curation.api.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["curation.api.auth.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["curation.api.parsers.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "curation.api.pagination.IdCursorPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "curation.api.errors.handle",
    "PAGE_SIZE": 50,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Whittle",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
}

AUTHENTICATION_BACKENDS = ["curation.signin.BrakedBackend"]
# Sign-in: failed tries of an account from one address, of one address, and of one account from
# anywhere, within the window; and how many passwords a process hashes at once.
SIGN_IN_WINDOW_SECONDS = envfloat("SIGN_IN_WINDOW_SECONDS", 900)
SIGN_IN_ATTEMPTS = int(envfloat("SIGN_IN_ATTEMPTS", 5))
SIGN_IN_ATTEMPTS_PER_ADDRESS = int(envfloat("SIGN_IN_ATTEMPTS_PER_ADDRESS", 30))
SIGN_IN_ATTEMPTS_PER_ACCOUNT = int(envfloat("SIGN_IN_ATTEMPTS_PER_ACCOUNT", 50))
SIGN_IN_AT_ONCE = int(envfloat("SIGN_IN_AT_ONCE", 2))
# Addresses of reverse proxies whose X-Forwarded-For is believed.
TRUSTED_PROXIES = [a.strip() for a in os.environ.get("TRUSTED_PROXIES", "").split(",") if a.strip()]
PASSWORD_HASHERS = [
    "curation.hashing.BoundedArgon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",  # older ones, renewed at sign-in
]

# Uploads and imports: bytes of one file, of all files of a project that wait for their import, and
# of disk that are always left; days that a file nobody imported is kept.
UPLOAD_MAX_BYTES = int(envfloat("UPLOAD_MAX_BYTES", 2 * 2**30))
UPLOAD_PROJECT_BYTES = int(envfloat("UPLOAD_PROJECT_BYTES", 20 * 2**30))
UPLOAD_KEPT_DAYS = envfloat("UPLOAD_KEPT_DAYS", 7)
DISK_RESERVE_BYTES = int(envfloat("DISK_RESERVE_BYTES", 2**30))
FILE_UPLOAD_HANDLERS = ["curation.uploads.MeasuredUploadHandler"]
# Rejected rows whose text is kept, per source and reason; and rows of a file after which an import
# that took none of them stops.
IMPORT_REJECTS_KEPT = int(envfloat("IMPORT_REJECTS_KEPT", 1000))
IMPORT_ROWS_WITHOUT_ANY = int(envfloat("IMPORT_ROWS_WITHOUT_ANY", 10_000))

# Costly requests (tools, running a trace's code, previews): slots in each web process, slots of
# one user, and seconds that one may cost, which no caller can raise.
TOOLS_AT_ONCE = int(envfloat("TOOLS_AT_ONCE", 3))
TOOLS_PER_USER = int(envfloat("TOOLS_PER_USER", 2))
TOOL_SECONDS = envfloat("TOOL_SECONDS", 15)

# Jobs. Times in seconds, on the database's clock; tests make them short.
JOB_LEASE_SECONDS = envfloat("JOB_LEASE_SECONDS", 30)
JOB_HEARTBEAT_SECONDS = envfloat("JOB_HEARTBEAT_SECONDS", JOB_LEASE_SECONDS / 4)
JOB_SWEEP_SECONDS = envfloat("JOB_SWEEP_SECONDS", 10)
# A queued job is announced to the workers again after so long (its message may be lost).
JOB_REWAKE_SECONDS = envfloat("JOB_REWAKE_SECONDS", 30)
# A running job that does not move for so long fails; one that was asked to stop is stopped sooner.
JOB_STALL_SECONDS = envfloat("JOB_STALL_SECONDS", 1800)
JOB_CANCEL_SECONDS = envfloat("JOB_CANCEL_SECONDS", 60)
# What was taken away from a process has so long to stop before the process is ended.
JOB_GRACE_SECONDS = envfloat("JOB_GRACE_SECONDS", 30)
JOB_MAX_ATTEMPTS = int(envfloat("JOB_MAX_ATTEMPTS", 5))
# A process that has not been heard of for so long is shown as dead (design: within 15 s).
PROCESS_DEAD_SECONDS = envfloat("PROCESS_DEAD_SECONDS", 12)
PROCESS_BEAT_SECONDS = envfloat("PROCESS_BEAT_SECONDS", 4)
ASSIGNMENT_LEASE_SECONDS = envfloat("ASSIGNMENT_LEASE_SECONDS", 900)

# Where models may stand besides what administrators grant: HOST[:PORT][=KEY_VARIABLE], commas.
TEACHER_HOSTS = [h.strip() for h in os.environ.get("TEACHER_HOSTS", "").split(",") if h.strip()]
IMPORT_ROOTS = [Path(p) for p in os.environ.get("IMPORT_ROOTS", "").split(":") if p]
# Who makes projects, and owns them: "administrators" (and those they allow to), or "everyone".
PROJECT_CREATION = os.environ.get("PROJECT_CREATION") or "administrators"
if PROJECT_CREATION not in {"administrators", "everyone"}:
    raise ImproperlyConfigured("PROJECT_CREATION is neither administrators nor everyone")
EXPORT_ROOT = Path(os.environ.get("EXPORT_ROOT") or WHITTLE_HOME / "exports")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    # One line for each request to a model would drown the rest.
    "loggers": {"httpx": {"level": "WARNING"}},
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL", "INFO")},
}
