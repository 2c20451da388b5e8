"""Gateways that report, and their reports, as the vendors sign them: for tests of webhooks and receipts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from apps.accounts.providers.base import Carries, Channel, DeliveryEvent, WebhookCall
from apps.accounts.providers.twilio_receipts import TwilioListener
from apps.accounts.providers.whatsapp_receipts import WhatsAppListener
from conftest import RecordingGateway, Rooms
from fakegateways import signatures

PUBLIC = "https://otp.example.test"
TOKEN, APP_SECRET, VERIFY_TOKEN, NUMBER_ID = "fake-twilio-token", "meta-app-secret", "meta-verify-token", "1065"
SHARED_KEYS = (("key-1", "shared-secret-1"),)
TWILIO, WHATSAPP = "/api/webhooks/twilio/", "/api/webhooks/whatsapp/"


@dataclass
class HearingTwilio(RecordingGateway):
    """Records sends and hears callbacks with the real listener."""

    name: str = "twilio"
    public_base_url: str = PUBLIC

    def authenticate(self, call: WebhookCall) -> bool:
        return self._listener.authenticate(call)

    def events(self, call: WebhookCall) -> Sequence[DeliveryEvent]:
        return self._listener.events(call)

    @property
    def _listener(self) -> TwilioListener:
        return TwilioListener(auth_token=TOKEN, webhook_keys=SHARED_KEYS, public_base_url=self.public_base_url)


@dataclass
class HearingWhatsApp(RecordingGateway):
    """Records sends and hears webhooks with the real listener."""

    name: str = "whatsapp"
    able: frozenset[Channel] = frozenset({Channel.WHATSAPP})
    carries: frozenset[Carries] = frozenset({Carries.CODE})

    def handshake(self, call: WebhookCall) -> str | None:
        return self._listener.handshake(call)

    def authenticate(self, call: WebhookCall) -> bool:
        return self._listener.authenticate(call)

    def events(self, call: WebhookCall) -> Sequence[DeliveryEvent]:
        return self._listener.events(call)

    @property
    def _listener(self) -> WhatsAppListener:
        return WhatsAppListener(app_secret=APP_SECRET, verify_token=VERIFY_TOKEN, phone_number_id=NUMBER_ID)


class Vendors:
    """Posts what Twilio and Meta post."""

    def __init__(self) -> None:
        self.client = Client()

    def twilio(
        self, sid: str, status: str, *, reference: str = "", error_code: int | None = None, path: str = TWILIO,
        signature: str | None = None, secret: str = TOKEN, host: str = "testserver", base: str = PUBLIC,
        shared_key: str = "", **fields: str,
    ) -> Any:  # fmt: skip
        """Post one status callback; `signature` replaces the right one, empty leaves it out."""
        form = {"MessageSid": sid, "SmsSid": sid, "MessageStatus": status, "AccountSid": "AC" + "0" * 32, **fields}
        form |= {"ErrorCode": str(error_code)} if error_code else {}
        url = path + (f"?{urlencode({'reference': reference})}" if reference else "")
        made = signatures.twilio(secret, url=base + url, fields=form.items(), sha256=bool(shared_key))
        given = made if signature is None else signature
        headers: dict[str, Any] = {"HTTP_X_TWILIO_SIGNATURE": given} if given else {}
        if shared_key:
            headers["HTTP_X_TWILIO_WEBHOOKS_SIGNATURE_SETTINGS"] = f"key={shared_key},algorithm=HMAC_SHA256"
        return self.client.post(
            url, urlencode(form), content_type="application/x-www-form-urlencoded", HTTP_HOST=host, **headers
        )

    def meta(self, statuses: Sequence[Mapping[str, Any]], *, signature: str | None = None, path: str = WHATSAPP) -> Any:
        """Post one webhook with these statuses."""
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"phone_number_id": NUMBER_ID},
            "statuses": list(statuses),
        }
        entry = {"id": "200", "changes": [{"field": "messages", "value": value}]}
        return self.meta_raw(
            json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode(),
            signature=signature,
            path=path,
        )

    def meta_raw(self, body: bytes, *, signature: str | None = None, path: str = WHATSAPP) -> Any:
        """Post any bytes, signed."""
        given = signatures.meta(APP_SECRET, body=body) if signature is None else signature
        headers: dict[str, Any] = {"HTTP_X_HUB_SIGNATURE_256": given} if given else {}
        return self.client.post(path, body, content_type="application/json", **headers)


def all_orders(rooms: Rooms) -> list[tuple[str, str, str | None]]:
    """Return gateway, channel and code of everything that was handed over."""
    return [
        (name, str(order.channel), order.code) for name, gateway in rooms.gateways.items() for order in gateway.orders
    ]
