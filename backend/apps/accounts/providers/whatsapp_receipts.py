"""Meta's webhooks: is it Meta who calls, what does the call say, and the handshake that opens the address.

It must not know who is called with the answer. Messages are found by their id or by our own reference, never by the
recipient: Meta leaves that out for people with a username.
"""

import hmac
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from apps.accounts.providers.base import DeliveryEvent, DeliveryStatus, FailureKind, WebhookCall
from apps.accounts.providers.whatsapp_codes import RECEIPT

SIGNATURE: Final = "x-hub-signature-256"
# Meta posts at most 1000 updates at once.
_MOST_EVENTS: Final = 1000

# https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status
STATUSES: Final[Mapping[str, DeliveryStatus]] = {
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.DELIVERED,
    "played": DeliveryStatus.DELIVERED,
    "failed": DeliveryStatus.FAILED,
}


class WhatsAppListener:
    """Checks signatures made with the app secret over the raw bytes, and the token of the handshake."""

    def __init__(self, *, app_secret: str, verify_token: str, phone_number_id: str) -> None:
        self._app_secret = app_secret.encode()
        self._verify_token = verify_token.encode()
        self._phone_number_id = phone_number_id

    def handshake(self, call: WebhookCall) -> str | None:
        """Return the text to answer a GET with (as text/plain), or None when the call is not Meta's: 403.

        https://developers.facebook.com/docs/graph-api/webhooks/getting-started, "Verification Requests".
        """
        given = call.query.get("hub.verify_token", "").encode("utf-8", "surrogateescape")
        challenge = call.query.get("hub.challenge", "")
        if not self._verify_token or not hmac.compare_digest(given, self._verify_token):
            return None
        if call.query.get("hub.mode") != "subscribe" or not re.fullmatch(r"[ -~]{1,256}", challenge, re.ASCII):
            return None
        return challenge

    def authenticate(self, call: WebhookCall) -> bool:
        """Say whether the raw body is signed. Same page, "Validating Payloads"."""
        given = call.headers.get(SIGNATURE, "").encode("utf-8", "surrogateescape")
        if not self._app_secret:
            return False
        made = "sha256=" + hmac.new(self._app_secret, call.body, sha256).hexdigest()
        return hmac.compare_digest(made.encode(), given)

    def events(self, call: WebhookCall) -> list[DeliveryEvent]:
        """Return the deliveries that an authenticated call reports, in its order."""
        try:
            said = json.loads(call.body)
        except (ValueError, RecursionError):
            return []
        found = []
        for status in self._statuses(said):
            event = _event(status)
            if event is not None:
                found.append(event)
            if len(found) >= _MOST_EVENTS:
                break
        return found

    def _statuses(self, said: Any) -> Iterator[Mapping[str, Any]]:
        for entry in _objects(said, "entry"):
            for change in _objects(entry, "changes"):
                value = change.get("value")
                if change.get("field") == "messages" and isinstance(value, dict) and self._is_ours(value):
                    yield from _objects(value, "statuses")

    def _is_ours(self, value: Mapping[str, Any]) -> bool:
        """Say whether it is about our sending number: an app's webhooks tell of all its numbers."""
        metadata = value.get("metadata")
        named = metadata.get("phone_number_id") if isinstance(metadata, dict) else None
        return named in (None, self._phone_number_id)


def _objects(parent: Any, name: str) -> list[dict[str, Any]]:
    found = parent.get(name) if isinstance(parent, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _event(said: Mapping[str, Any]) -> DeliveryEvent | None:
    vendor_id, word, reference = said.get("id"), said.get("status"), said.get("biz_opaque_callback_data")
    status = STATUSES.get(word) if isinstance(word, str) else None
    if status is None or not is_message_id(vendor_id):
        return None
    failed = status is DeliveryStatus.FAILED
    errors = _objects(said, "errors")
    code = errors[0].get("code") if failed and errors else None
    code = code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 10_000_000 else None
    named = isinstance(reference, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", reference, re.ASCII)
    return DeliveryEvent(
        vendor_id=str(vendor_id),
        status=status,
        failure=RECEIPT.get(-1 if code is None else code, FailureKind.GATEWAY) if failed else FailureKind.NONE,
        error_code="" if code is None else str(code),
        reference=str(reference) if named else "",
        at=_time(said.get("timestamp")),
    )


def is_message_id(raw: Any) -> bool:
    """Say whether this can be a message id: short and printable, such as `wamid.HBgM…`."""
    return isinstance(raw, str) and re.fullmatch(r"[!-~]{1,128}", raw, re.ASCII) is not None


def _time(raw: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(raw), UTC) if isinstance(raw, str | int) else None
    except (ValueError, OverflowError, OSError):
        return None
