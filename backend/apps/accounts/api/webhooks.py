"""Where gateways report: the raw body goes to the gateway's own listener; what it says is applied before the answer.

It must not know a vendor's words, nor what a receipt does. Anything unsigned or wrongly signed is 403 and changes
nothing; whatever an authentic call says, it is never answered with an error of ours, unless it came too fast.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from django.http import HttpRequest, HttpResponse

from apps.accounts.api import parsing
from apps.accounts.api.endpoint import Answer, Call, Endpoint, respond
from apps.accounts.api.errors import Forbidden
from apps.accounts.api.schema import documented
from apps.accounts.api.serializers import EmptyAnswer
from apps.accounts.errors import NotFound, ServiceUnavailable
from apps.accounts.messages import Language
from apps.accounts.services.wiring import services

FORM_LIMIT: Final = 64 * 1024
JSON_LIMIT: Final = 3 * 1024 * 1024
ERRORS: Final = ("forbidden", "not_found")


class Turnstile:
    """Lets few calls in at a time and few wait: a storm of receipts must leave threads and connections to logins.

    Whoever is turned away comes again: both vendors repeat what was answered with 5xx.
    """

    def __init__(self, *, at_once: int, waiting: int, patience_seconds: float) -> None:
        self._inside = threading.BoundedSemaphore(at_once)
        self._near = threading.BoundedSemaphore(at_once + waiting)
        self._patience = patience_seconds

    @contextmanager
    def pass_through(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            ServiceUnavailable: too many are here already.
        """
        if not self._near.acquire(blocking=False):
            raise ServiceUnavailable()
        try:
            if not self._inside.acquire(timeout=self._patience):
                raise ServiceUnavailable()
            try:
                yield
            finally:
                self._inside.release()
        finally:
            self._near.release()


TURNSTILE: Final = Turnstile(at_once=6, waiting=24, patience_seconds=2.0)


class Webhook(Endpoint):
    """Base of the webhooks: the body stays raw, because the signature is over its bytes."""

    gateway: ClassVar[str] = ""
    at_most: ClassVar[int] = 0

    def exists(self) -> bool:
        """Say whether this gateway is configured and reports."""
        try:
            services().receipts.listener(self.gateway)
        except NotFound:
            return False
        return True

    def hear(self, request: HttpRequest) -> int:
        """Apply what an authentic call reports; return how many messages it moved.

        Raises:
            Forbidden: not signed as it must be.
            BodyTooLarge, InvalidRequest: not read.
            ServiceUnavailable: too many calls at a time.
        """
        receipts = services().receipts
        body = parsing.read_bytes(request, at_most=self.at_most)
        events = receipts.heard(self.gateway, path=_signed_path(request), headers=_headers(request), body=body)
        if events is None:
            raise Forbidden()
        with TURNSTILE.pass_through():
            return receipts.apply(self.gateway, events)

    def _answer(self, request: HttpRequest, language: Language, params: dict[str, Any]) -> HttpResponse:
        if not self.exists():
            raise NotFound()
        handler: Callable[..., Answer | HttpResponse] = self._handler(request.method or "")
        found = handler(self._call(request, language))
        return found if isinstance(found, HttpResponse) else respond(found)


class TwilioWebhook(Webhook):
    gateway = "twilio"
    at_most = FORM_LIMIT

    @documented("POST", "Twilio's status callback", ok=None, ok_status=204, errors=ERRORS, tags=["webhooks"])
    def post(self, call: Call) -> Answer:
        """Take a form signed with `X-Twilio-Signature` over the configured address."""
        self.hear(call.request)
        return Answer(204)


class WhatsAppWebhook(Webhook):
    gateway = "whatsapp"
    at_most = JSON_LIMIT

    @documented("GET", "Meta's handshake", ok=str, errors=ERRORS, tags=["webhooks"])
    def get(self, call: Call) -> HttpResponse:
        """Echo `hub.challenge` to whoever knows the verify token."""
        text = services().receipts.handshake(self.gateway, query=parsing.read_query(call.request))
        if text is None:
            raise Forbidden()
        return HttpResponse(text, content_type="text/plain; charset=utf-8")

    @documented("POST", "Meta's status webhook", ok=EmptyAnswer, errors=ERRORS, tags=["webhooks"])
    def post(self, call: Call) -> Answer:
        """Take JSON signed with `X-Hub-Signature-256` over its raw bytes."""
        self.hear(call.request)
        return Answer(200, {})


def _signed_path(request: HttpRequest) -> str:
    """Return what follows the configured address in the one that was signed."""
    query = request.META.get("QUERY_STRING", "")
    return f"{request.path_info}?{query}" if query else request.path_info


def _headers(request: HttpRequest) -> Mapping[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}
