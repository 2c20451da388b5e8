"""The outermost door: every request gets an id and a checked host, every answer its headers and one log line.

It must not know a view, nor read a body.
"""

import re
import secrets
from collections.abc import Callable
from ipaddress import ip_address
from time import perf_counter
from typing import Final

import structlog
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed

from apps.accounts import telemetry
from apps.accounts.api import problems
from apps.accounts.api.errors import MethodNotAllowed
from apps.accounts.errors import InvalidRequest

log = structlog.get_logger("otp")

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
# Nothing of these may ever be read from a cache, whatever a view thinks.
_NEVER_CACHED: Final = ("/api/auth/", "/api/mobile/", "/api/webhooks/", "/admin/otp")
_CROSS_ORIGIN: Final = ("/api/", "/otp/", "/.well-known/")
# Orchestrators and scrapers ask by address: what these say is the same whoever is meant.
_PROBED: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_IP_HOST: Final = re.compile(r"\[?([0-9A-Fa-f.:]+?)\]?(?::[0-9]{1,5})?")
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_ALLOW_HEADERS: Final = (
    "Accept-Language, Authorization, Content-Type, Idempotency-Key, X-Device-ID, X-Device-Token, X-Proof-Token, "
    "X-Request-ID"
)
_EXPOSE_HEADERS: Final = (
    "Deprecation, Idempotency-Replayed, Link, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-ID"
)
_PREFLIGHT_SECONDS: Final = "600"

Next = Callable[[HttpRequest], HttpResponseBase]


class Door:
    """The first middleware; a crash behind it is answered by `process_exception`."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response
        self.origins = frozenset(settings.OTP["CORS_ALLOWED_ORIGINS"])

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request."""
        started = perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        request.request_id = request_id  # type: ignore[attr-defined]
        tokens = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            response = self._turn_away(request) or _in_words(request, self.get_response(request))
            self._dress(request, response)
            route, seconds = _route(request), perf_counter() - started
            telemetry.answered(route=route, status=response.status_code, seconds=seconds)
            log.info(
                "otp.answered",
                method=request.method if request.method in _METHODS else "other",
                route=route,
                status=response.status_code,
                ms=round(seconds * 1000, 1),
            )
            return response
        finally:
            structlog.contextvars.reset_contextvars(**tokens)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse:
        """Answer what a view let through, before Django makes a page of it."""
        return problems.of_exception(request, exception)

    def _turn_away(self, request: HttpRequest) -> HttpResponse | None:
        """Answer a host that is not ours, and a browser's question whether it may call."""
        try:
            request.get_host()  # Django looks at the host only where something asks for it
        except DisallowedHost:
            if not (request.path_info in _PROBED and _is_address(request.META.get("HTTP_HOST", ""))):
                return problems.problem(request, InvalidRequest(detail_key="bad_host"))
        if request.method == "OPTIONS" and self._may_call(request):
            wanted = request.META.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
            return _preflight() if wanted else None
        return None

    def _may_call(self, request: HttpRequest) -> bool:
        origins = self.origins
        return bool(origins) and (
            request.META.get("HTTP_ORIGIN") in origins and request.path_info.startswith(_CROSS_ORIGIN)
        )

    def _dress(self, request: HttpRequest, response: HttpResponseBase) -> None:
        headers, path = response.headers, request.path_info
        headers["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        headers["X-Content-Type-Options"] = "nosniff"
        # A page that may not say where a form comes from has it sent with `Origin: null`, and the form is refused.
        headers["Referrer-Policy"] = "same-origin" if _is_staff(path) else "no-referrer"
        if path.startswith(_NEVER_CACHED):
            headers["Cache-Control"] = "no-store"
        else:
            headers.setdefault("Cache-Control", "no-store")
        if headers.get("Content-Type", "").startswith("text/html"):
            headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            headers["X-Frame-Options"] = "DENY"
        if response.cookies and not _is_staff(path):
            response.cookies.clear()
        if "Server" in headers:
            del headers["Server"]
        if self.origins and path.startswith(_CROSS_ORIGIN):
            self._share(request, response)

    def _share(self, request: HttpRequest, response: HttpResponseBase) -> None:
        headers = response.headers
        before = headers.get("Vary")
        headers["Vary"] = f"{before}, Origin" if before else "Origin"
        if self._may_call(request):
            headers["Access-Control-Allow-Origin"] = request.META["HTTP_ORIGIN"]
            headers["Access-Control-Expose-Headers"] = _EXPOSE_HEADERS


def _in_words(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return the answer of a plain view, whose refusal of a method says nothing, as everybody else words it."""
    if isinstance(response, HttpResponseNotAllowed):
        return problems.problem(request, MethodNotAllowed(response.headers["Allow"]))
    return response


def _preflight() -> HttpResponse:
    response = HttpResponse(status=204)
    del response.headers["Content-Type"]
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
    response.headers["Access-Control-Allow-Headers"] = _ALLOW_HEADERS
    response.headers["Access-Control-Max-Age"] = _PREFLIGHT_SECONDS
    return response


def _is_staff(path: str) -> bool:
    return path.startswith("/admin/") and not path.startswith("/admin/otp")


def _is_address(host: str) -> bool:
    match = _IP_HOST.fullmatch(host)
    try:
        return match is not None and bool(ip_address(match[1]))
    except ValueError:
        return False


def _route(request: HttpRequest) -> str:
    """Return the route's name; a raw path may hold anything a caller likes to put into our log."""
    match = request.resolver_match
    return match.view_name if match is not None else "none"
