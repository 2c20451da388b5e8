"""Settings of the floor: no middleware, no apps, one pooled PostgreSQL.

Everything comes from the environment that the bench writes; it must not read the service's settings.
"""

import os
from urllib.parse import unquote, urlsplit

_database = urlsplit(os.environ["DATABASE_URL"])

SECRET_KEY = os.environ["FLOOR_SECRET_KEY"]
FLOOR_REDIS_URL = os.environ["REDIS_URL"]
FLOOR_GATEWAY_URL = os.environ.get("FLOOR_GATEWAY_URL", "")
FLOOR_THREADS = int(os.environ.get("FLOOR_THREADS", "128"))

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "bench.floor.urls"
WSGI_APPLICATION = "bench.floor.wsgi.application"
INSTALLED_APPS: list[str] = []
MIDDLEWARE: list[str] = []
USE_TZ = True
USE_I18N = False
APPEND_SLASH = False
LOGGING_CONFIG = None

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path.lstrip("/"),
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        "HOST": _database.hostname or "",
        "PORT": str(_database.port or ""),
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "pool": {
                "min_size": int(os.environ.get("FLOOR_POOL_MIN", "2")),
                "max_size": int(os.environ.get("FLOOR_POOL_MAX", "8")),
                "timeout": 10,
            },
            # The driver's own (extended) protocol, not Django's client-side interpolation.
            "server_side_binding": True,
        },
    }
}
