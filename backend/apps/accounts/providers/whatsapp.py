"""Meta's WhatsApp Cloud API: our code in an authentication template, whose text is Meta's.

It must not know other vendors.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.accounts.providers.base import (
    AuditLine,
    Carries,
    Channel,
    DeliveryEvent,
    Order,
    OutcomeUnknown,
    ProviderError,
    Receipt,
    Rejected,
    WebhookCall,
)
from apps.accounts.providers.http import Answer, Http, leaf_for_status
from apps.accounts.providers.whatsapp_audit import WhatsAppAuditor, WhatsAppSettings
from apps.accounts.providers.whatsapp_codes import NOT_ON_CHANNEL, SEND
from apps.accounts.providers.whatsapp_receipts import WhatsAppListener, is_message_id


@dataclass(frozen=True, slots=True, repr=False)
class WhatsAppSecrets:
    """What signs and opens the webhook."""

    app_secret: str
    verify_token: str


class WhatsApp:
    """Sender, Listener (with the handshake) and Auditor."""

    name = "whatsapp"
    carries = frozenset({Carries.CODE})

    def __init__(
        self,
        settings: WhatsAppSettings,
        *,
        secrets: WhatsAppSecrets,
        timeout: float,
        connections: int,
        public_base_url: str,
    ) -> None:
        self._settings = settings
        self._http = Http(settings.base_url, timeout=timeout, connections=connections)
        self._headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": f"Bearer {settings.token}",
        }
        self._listener = WhatsAppListener(
            app_secret=secrets.app_secret,
            verify_token=secrets.verify_token,
            phone_number_id=settings.phone_number_id,
        )
        self._auditor = WhatsAppAuditor(
            settings,
            http=self._http,
            headers=self._headers,
            signed=bool(secrets.app_secret),
            public_base_url=public_base_url,
        )

    def channels(self) -> frozenset[Channel]:
        """Return WhatsApp while the template is approved, else nothing."""
        return frozenset({Channel.WHATSAPP}) if self._settings.template_approved else frozenset()

    def send(self, order: Order) -> Receipt:
        """Hand one message over.

        Raises:
            ProviderError: one of LEAVES.
        """
        if order.channel not in self.channels():
            raise Rejected("channel")
        if not order.code:
            raise Rejected("no_text_here")
        path = f"/{self._settings.api_version}/{self._settings.phone_number_id}/messages"
        body = json.dumps(self._message(order, code=order.code)).encode()
        answer = self._http.exchange("POST", path, headers=self._headers, body=body, deadline=order.deadline)
        return accepted(answer)

    def handshake(self, call: WebhookCall) -> str | None:
        """Return the text to answer Meta's GET with, or None: 403."""
        return self._listener.handshake(call)

    def authenticate(self, call: WebhookCall) -> bool:
        """Say whether Meta signed this call."""
        return self._listener.authenticate(call)

    def events(self, call: WebhookCall) -> Sequence[DeliveryEvent]:
        """Return what an authenticated call reports."""
        return self._listener.events(call)

    def audit(self, *, deadline: float) -> Sequence[AuditLine]:
        """Check token, number and template without sending."""
        return self._auditor.audit(deadline=deadline)

    def _message(self, order: Order, *, code: str) -> dict[str, Any]:
        """Return the body. The code stands in the text and in the button, whichever kind of button it is.

        .../whatsapp/templates/authentication-templates. Always `to`: these templates cannot go to a user id (131062).
        """
        given = [{"type": "text", "text": code}]
        return {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": order.to.removeprefix("+"),
            "type": "template",
            "biz_opaque_callback_data": order.reference,
            "template": {
                "name": self._settings.template_name,
                "language": {"code": order.language},
                "components": [
                    {"type": "body", "parameters": given},
                    {"type": "button", "sub_type": "url", "index": "0", "parameters": given},
                ],
            },
        }


def accepted(answer: Answer) -> Receipt:
    """Return the receipt of an answer that bears a message id.

    A message that is held back or paused may go out late or never, and somebody waits for it: the outcome is open.

    Raises:
        ProviderError: any other answer.
    """
    said = answer.object()
    if not answer.ok or "error" in said:
        raise refusal(said, answer=answer)
    messages = said.get("messages")
    message = messages[0] if isinstance(messages, list) and messages and isinstance(messages[0], dict) else {}
    if not is_message_id(message.get("id")):
        raise OutcomeUnknown(f"http_{answer.status}")
    if message.get("message_status", "accepted") != "accepted":
        raise OutcomeUnknown("held")
    return Receipt(vendor_id=str(message["id"]))


def refusal(said: Mapping[str, Any], *, answer: Answer) -> ProviderError:
    """Return the leaf of Meta's code, else of the HTTP status."""
    error = said.get("error")
    raw = error.get("code") if isinstance(error, dict) else None
    code = raw if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < 10_000_000 else -1
    leaf = SEND.get(code) or leaf_for_status(answer.status)
    return leaf(
        str(code) if code >= 0 else f"http_{answer.status}",
        retry_after=answer.retry_after,
        not_on_channel=code in NOT_ON_CHANNEL,
    )
