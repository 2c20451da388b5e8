"""The handset's page and its messages as JSON: plain views, meant for DEBUG=True alone.

It must not know how a message came about; whether these views may be reached at all is decided where they are wired.
"""

import base64
import hashlib
import html
import json
from dataclasses import asdict
from datetime import UTC
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt

from apps.accounts.dev.outbox import FileOutbox, Message, Outbox
from apps.accounts.messages import TextOptions, autofill, segments

_PAGE: Final = Path(__file__).resolve().parent / "page"
_STYLES: Final = ("theme.css", "phone.css", "panels.css")
_SCRIPTS: Final = ("parts.js", "phone.js", "inspector.js", "handset.js")


def handset(request: HttpRequest) -> HttpResponseBase:
    """Answer the page: one document that loads nothing else and may run only the scripts it came with."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    page, policy = _document(settings.OTP.texts.app_name)
    response = HttpResponse(page, content_type="text/html; charset=utf-8")
    response["Content-Security-Policy"] = policy
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "no-referrer"
    return response


# Another site's page cannot send a DELETE: the browser asks first, and no such origin is ever allowed.
@csrf_exempt
def messages(request: HttpRequest) -> HttpResponseBase:
    """Answer the messages, newest first, each with what a phone would do with it; DELETE empties the outbox.

    `?phone_number=` keeps one number's. An `ETag` lets the page ask every second for the price of a 304.
    """
    outbox = _outbox()
    if request.method == "DELETE":
        outbox.clear()
        return HttpResponse(status=204)
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD", "DELETE"])
    if not request.META.get("QUERY_STRING", "").isascii():
        raise BadRequest
    number = _number(request.GET.get("phone_number"))
    body = json.dumps([_as_json(message) for message in outbox.list(number)], ensure_ascii=False).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="application/json")
    response["ETag"] = etag
    # `no-cache`, not `no-store`: the browser may keep the list, and has to ask whether it is still true.
    response["Cache-Control"] = "private, no-cache"
    response["X-Content-Type-Options"] = "nosniff"
    return get_conditional_response(request, etag=etag, response=response) or response


def _outbox() -> Outbox:
    return FileOutbox(Path(settings.VAR))


def _number(asked: str | None) -> str | None:
    """Return the number to filter by. A `+` that nobody escaped arrives as a space: it is forgiven here."""
    if asked is None or not asked.strip():
        return None
    return "+" + asked.strip().removeprefix("+")


def _as_json(message: Message) -> dict[str, Any]:
    return {
        "to": message.to,
        "channel": message.channel,
        "text": message.text,
        "code": message.code,
        "sent_at": message.sent_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "id": message.id,
        "analysis": _analysis(message.text, message.channel, settings.OTP.texts),
    }


@lru_cache(maxsize=512)
def _analysis(text: str, channel: str, options: TextOptions) -> dict[str, Any]:
    counted = segments(text)
    verdicts = autofill(text, app_hash=options.android_app_hash or None, channel=channel)
    return {
        "encoding": counted.encoding,
        "units": counted.units,
        "segments": counted.count,
        "capacity": counted.capacity,
        "bytes": len(text.encode()),
        "autofill": asdict(verdicts),
    }


def _document(app_name: str) -> tuple[str, str]:
    """Return the page and the policy that allows exactly the style and the scripts in it, by their hashes."""
    style = "\n".join(_asset(name) for name in _STYLES)
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    page = (
        _asset("handset.html")
        .replace("/* style */", style)
        .replace("/* script */", script)
        .replace("{{ app_name }}", html.escape(app_name))
    )
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    return page, policy


def _asset(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
