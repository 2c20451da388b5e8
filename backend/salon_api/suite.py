"""The settings as the suite sees them: the table's defaults, whatever the machine's environment and backend/.env say.

`TEST_DATABASE_URL` and `TEST_REDIS_URL` choose the stores; a DATABASE_URL that lies about in a shell is never touched
by a test. It must not know what the tests are.
"""

import os

from apps.accounts.variables import VARIABLES

for _variable in VARIABLES:
    os.environ.pop(_variable.name, None)
os.environ.update(
    OTP_ENV_FILE=os.devnull,
    DEBUG="True",
    DATABASE_URL=os.environ.get("TEST_DATABASE_URL", ""),
    REDIS_URL=os.environ.get("TEST_REDIS_URL", ""),
    WEB_CONCURRENCY="2",
)

from salon_api.settings import *  # noqa: E402, F403  # the environment had to be laid out first

BACKGROUND_THREADS = False  # a test says itself when something is written
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # staff log in often here, and in no other place
if "options" in DATABASES["default"].get("OPTIONS", {}):  # noqa: F405
    # Making, flushing and dropping a database of tests takes longer than any statement of the service may. And threads
    # that race in one process of a busy machine wait for each other longer than calls of a service that serves.
    DATABASES["default"]["OPTIONS"]["options"] += (  # noqa: F405
        " -c statement_timeout=60000 -c lock_timeout=20000 -c idle_in_transaction_session_timeout=0"
    )
