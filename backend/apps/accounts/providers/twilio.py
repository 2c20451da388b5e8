"""Twilio Messaging through Twilio's SDK: text by SMS, the code by a WhatsApp content template.

It must not know other vendors. The SDK writes the request; its answer is judged here, because the SDK raises whatever
a broken body makes it raise, keeps Retry-After to itself, and has no deadline of its own.
"""

import json
import logging
import re
import threading
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from apps.accounts.providers.base import (
    AuditLine,
    Carries,
    Channel,
    DeliveryEvent,
    Misconfigured,
    Order,
    OutcomeUnknown,
    ProviderError,
    Receipt,
    Rejected,
    WebhookCall,
)
from apps.accounts.providers.http import Answer, Http, leaf_for_status
from apps.accounts.providers.twilio_audit import TwilioAuditor, TwilioSettings
from apps.accounts.providers.twilio_codes import NOT_ON_CHANNEL, SEND
from apps.accounts.providers.twilio_receipts import REFERENCE, TwilioListener

# Its INFO lines hold addresses and headers.
logging.getLogger("twilio.http_client").setLevel(logging.CRITICAL)

# https://www.twilio.com/docs/messaging/api/message-resource: seconds a message may wait at Twilio.
_VALIDITY_SECONDS: Final = (1, 36_000)
# Callbacks come again, five times, where we did not answer or had to say 5xx; Twilio's own rule repeats neither.
# https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides: the fragment is not signed.
AGAIN: Final = "#rc=5&rp=ct,rt,5xx"
_UNSENT: Final = ("failed", "undelivered", "canceled")
# The SDK looks for a region and an edge in the environment unless it is given another one.
_NO_ENVIRONMENT: Final = {"TWILIO_EDGE": "", "TWILIO_REGION": ""}


class _Call(threading.local):
    """What the SDK has no place for: the deadline on the way in, the answer on the way out."""

    deadline: float = 0.0
    answer: Answer | None = None


class _Transport(HttpClient):
    """Carries what the SDK wrote over our own bounded try."""

    def __init__(self, http: Http) -> None:
        super().__init__(logging.getLogger("twilio.http_client"), False, None)
        self._http = http
        self.call = _Call()

    def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        user, password = auth or ("", "")
        answer = self._http.exchange(
            method,
            uri.removeprefix(self._http.base_url),
            headers={**(headers or {}), "Authorization": basic(user, password)},
            body=urlencode(data or {}, doseq=True).encode(),
            deadline=self.call.deadline,
        )
        self.call.answer = answer
        return Response(answer.status, answer.text(), {})


class Twilio:
    """Sender, Listener and Auditor."""

    name = "twilio"

    def __init__(
        self,
        settings: TwilioSettings,
        *,
        timeout: float,
        connections: int,
        webhook_keys: Sequence[tuple[str, str]],
        public_base_url: str,
    ) -> None:
        self._settings = settings
        http = Http(settings.base_url, timeout=timeout, connections=connections)
        self._transport = _Transport(http)
        client = Client(
            settings.account_sid, settings.auth_token, http_client=self._transport, environment=_NO_ENVIRONMENT
        )
        client.api.base_url = http.base_url
        self._messages = client.messages
        self._listener = TwilioListener(
            auth_token=settings.auth_token, webhook_keys=webhook_keys, public_base_url=public_base_url
        )
        self._auditor = TwilioAuditor(
            settings,
            http=http,
            headers={"Authorization": basic(settings.account_sid, settings.auth_token)},
            public_base_url=public_base_url,
            timeout=timeout,
        )
        by_template = {Carries.CODE} if Channel.WHATSAPP in self.channels() else set()
        self.carries = frozenset({Carries.TEXT} | by_template)

    def channels(self) -> frozenset[Channel]:
        """Return SMS where a sender is configured, WhatsApp where a sender and an approved template are."""
        settings, found = self._settings, set()
        if settings.phone_number or settings.messaging_service_sid:
            found.add(Channel.SMS)
        if settings.whatsapp_from and settings.content_sid and settings.whatsapp_open:
            found.add(Channel.WHATSAPP)
        return frozenset(found)

    def send(self, order: Order) -> Receipt:
        """Hand one message over.

        Raises:
            ProviderError: one of LEAVES.
        """
        if order.channel not in self.channels():
            raise Rejected("channel")
        answer = self._create(self._fields(order), deadline=order.deadline)
        if answer is None:
            raise Misconfigured("sdk")
        return accepted(answer)

    def authenticate(self, call: WebhookCall) -> bool:
        """Say whether Twilio signed this call."""
        return self._listener.authenticate(call)

    def events(self, call: WebhookCall) -> Sequence[DeliveryEvent]:
        """Return what an authenticated call reports."""
        return self._listener.events(call)

    def audit(self, *, deadline: float) -> Sequence[AuditLine]:
        """Check account, balance, sender and template without sending."""
        return self._auditor.audit(deadline=deadline)

    def _create(self, fields: dict[str, Any], *, deadline: float) -> Answer | None:
        call = self._transport.call
        call.deadline, call.answer = deadline, None
        try:
            self._messages.create(**fields)
        except ProviderError:
            raise
        except Exception:  # noqa: S110  # whatever the SDK makes of a broken answer, the answer itself is judged
            pass
        answer, call.answer = call.answer, None
        return answer

    def _fields(self, order: Order) -> dict[str, Any]:
        low, high = _VALIDITY_SECONDS
        fields: dict[str, Any] = {"validity_period": min(max(order.valid_seconds, low), high)}
        if order.callback_url:
            fields["status_callback"] = _with_reference(order.callback_url, order.reference)
        if order.channel is Channel.WHATSAPP:
            return {**fields, **self._template_fields(order)}
        return {**fields, **self._text_fields(order)}

    def _text_fields(self, order: Order) -> dict[str, Any]:
        if not order.text:
            raise Rejected("no_text")
        # "Leave RiskCheck enabled for OTP traffic": https://www.twilio.com/docs/api/errors/30450
        fields = {"to": order.to, "body": order.text, "risk_check": "enable"}
        if self._settings.messaging_service_sid:
            return {**fields, "messaging_service_sid": self._settings.messaging_service_sid}
        return {**fields, "from_": self._settings.phone_number}

    def _template_fields(self, order: Order) -> dict[str, Any]:
        if not order.code:
            raise Rejected("no_text_here")
        return {
            "to": f"whatsapp:{order.to}",
            "from_": f"whatsapp:{self._settings.whatsapp_from.removeprefix('whatsapp:')}",
            "content_sid": self._settings.content_sid,
            "content_variables": json.dumps({"1": order.code}),
        }


def basic(user: str, password: str) -> str:
    """Return the value of a Basic Authorization header. RFC 7617."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def accepted(answer: Answer) -> Receipt:
    """Return the receipt of an answer that bears a message id.

    Raises:
        ProviderError: any other answer.
    """
    said = answer.object()
    if not answer.ok:
        raise refusal(said.get("code"), answer=answer)
    sid = said.get("sid")
    if not isinstance(sid, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", sid, re.ASCII):
        raise OutcomeUnknown(f"http_{answer.status}")
    if said.get("status") in _UNSENT:
        raise refusal(said.get("error_code"), answer=answer, otherwise=Rejected)
    return Receipt(vendor_id=sid)


def refusal(raw_code: Any, *, answer: Answer, otherwise: type[ProviderError] | None = None) -> ProviderError:
    """Return the leaf of Twilio's code, else `otherwise`, else of the HTTP status."""
    code = raw_code if isinstance(raw_code, int) and not isinstance(raw_code, bool) and 0 < raw_code < 1_000_000 else 0
    leaf = SEND.get(code) or otherwise or leaf_for_status(answer.status)
    return leaf(
        str(code) if code else f"http_{answer.status}",
        retry_after=answer.retry_after,
        not_on_channel=code in NOT_ON_CHANNEL,
    )


def _with_reference(url: str, reference: str) -> str:
    """Let the callback say which message it is about, even when the answer with the id was never read."""
    joint = "&" if urlsplit(url).query else "?"
    return f"{url}{joint}{urlencode({REFERENCE: reference})}{AGAIN}"
