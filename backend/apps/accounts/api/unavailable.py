"""Tells a store or a host that is gone, busy or full (503, come back) from a bug (500).

It must not know what was being done at the time.
"""

import errno
from typing import Final

import psycopg
from cryptography.exceptions import InternalError as OpenSSLError
from django.db import InterfaceError, InternalError, OperationalError

# The process or the host is out of something; the request did nothing wrong and may succeed in a moment.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EAGAIN})
# Classes of SQLSTATE that a failover, a shutdown or a conflict ends in: 08 connection, 25 (a standby takes no writes),
# 40 rolled back, 53 out of resources, 55 lock not available, 57 operator intervention, 58 system error.
# https://www.postgresql.org/docs/15/errcodes-appendix.html
_PASSING_CLASSES: Final = frozenset({"08", "25", "40", "53", "55", "57", "58"})

# The driver's own come through where a connection is given back to the pool; the pool's (timeout, too many waiting,
# closed) are OperationalErrors as well. A process out of memory says so, or OpenSSL fails inside it.
_GONE: Final = (
    OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError, MemoryError, OpenSSLError,
)  # fmt: skip


def is_unavailable(error: BaseException) -> bool:
    """Say whether `error` means: not now, and through no fault of the code or the caller."""
    if isinstance(error, _GONE):
        return True
    if isinstance(error, InternalError):
        return str(getattr(error.__cause__, "sqlstate", "") or "")[:2] in _PASSING_CLASSES
    if isinstance(error, OSError):
        return error.errno in _EXHAUSTED
    return isinstance(error, RuntimeError) and str(error).startswith("can't start new thread")
