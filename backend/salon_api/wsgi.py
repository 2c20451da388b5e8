"""The WSGI entry: Django, warm before the first request, without the server's banner, with a body of one piece.

It must not know what is asked or answered.
"""

import gc
import os
from collections.abc import Callable, Iterable
from typing import Any, Final

from django.conf import settings
from django.core.cache import close_caches
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, reset_queries
from django.http import HttpResponse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "salon_api.settings")
_django: Final = get_wsgi_application()
_OBJECTS_PER_COLLECTION: Final = 20_000
# The server adds its name where an answer names none; an empty value names nobody.
_NO_BANNER: Final = ("Server", "")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one request."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        return start_response(status, [*headers, _NO_BANNER], *exc_info)

    response = _django(environ, start)
    if not isinstance(response, HttpResponse):
        return response
    # A list goes out in one piece with its length; anything else in chunks, a call into Python for each.
    body = [response.content]
    response.close()
    return body


def _warm() -> None:
    """Load every view and service, and make the signing key of a new database, before somebody waits for it.

    A key that the first login makes inside its own transaction is unknown to the other processes for a second.
    """
    from django.db import DatabaseError, connection
    from django.urls import get_resolver

    from apps.accounts.services import wiring
    from apps.ops import board, releases

    _ = get_resolver().url_patterns
    try:
        made = wiring.services()
        made.keys.ensure()
        releases.record(made.config["APP_VERSION"])
        board.board().standing()  # what was so before this process began is known only now
    except DatabaseError:
        pass  # readiness says so, and the first login makes the key
    finally:
        connection.close()


def _travel_light() -> None:
    """Leave out what Django does around every request for other applications: a tenth of a login's CPU time."""
    # Django's log of statements is kept in debugging only, and nothing here opens a cache or an aged connection.
    if not settings.DEBUG:
        request_started.disconnect(reset_queries)
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_caches)
    # What is loaded by now stays: the collector need not walk through it again and again, nor come after every
    # 700 objects, where a single request makes thousands and leaves hardly a cycle behind.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)


_warm()
_travel_light()
