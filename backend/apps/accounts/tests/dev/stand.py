"""A stand for the handset: its two views, and a stand-in for the login that records, served over a socket.

Run as a process of its own, so that what a test records here has crossed a process boundary before the page shows it.
It must not know the project's settings.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from socketserver import ThreadingMixIn
from types import SimpleNamespace
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from apps.accounts.dev import views
from apps.accounts.dev.outbox import FileOutbox
from apps.accounts.messages import Language, TextOptions, code_text


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output to the test's own."""


def request_code(request: HttpRequest) -> JsonResponse:
    """Record a code for the number that asks; refuse one number, as the service does within a cooldown."""
    asked = json.loads(request.body)
    if asked["phone_number"].endswith("429"):
        return JsonResponse({"detail": "Please wait before asking again.", "retry_after": 42}, status=429)
    language = Language.negotiate(request.headers.get("Accept-Language"))
    text = code_text("482913", language=language, options=settings.OTP.texts, minutes=10)
    FileOutbox(settings.VAR).record(
        asked["phone_number"], channel=asked["channel"], text=text, code="482913", sent_at=datetime.now(UTC)
    )
    return JsonResponse({"expires_in": 600})


def main(*, var: str, port: int, texts: TextOptions) -> None:
    """Serve until killed; the first line of output says that the socket is open."""
    settings.configure(
        DEBUG=True,
        SECRET_KEY="of no use to anybody",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=(
            path("dev/phone/", views.handset),
            path("dev/messages/", views.messages),
            path("api/auth/phone/request/", request_code),
        ),
        VAR=Path(var),
        OTP=SimpleNamespace(texts=texts),
    )
    django.setup()
    with make_server("127.0.0.1", port, get_wsgi_application(), server_class=_Server, handler_class=_Quiet) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(var=sys.argv[1], port=int(sys.argv[2]), texts=TextOptions(*sys.argv[3:6]))
