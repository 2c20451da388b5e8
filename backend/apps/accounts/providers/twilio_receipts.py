"""Twilio's status callbacks: is it Twilio who calls, and what does the call say?

It must not know who is called with the answer. The address that was signed is the configured one, never what the Host
header says.
"""

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qs, urlsplit

from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator, add_port, remove_port

from apps.accounts.providers.base import DeliveryEvent, DeliveryStatus, FailureKind, WebhookCall
from apps.accounts.providers.twilio_codes import RECEIPT

SIGNATURE: Final = "x-twilio-signature"
SETTINGS: Final = "x-twilio-webhooks-signature-settings"
REFERENCE: Final = "reference"

# https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
# What is missing reports nothing: queued, accepted, scheduled, sending, receiving, received.
STATUSES: Final[Mapping[str, DeliveryStatus]] = {
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.DELIVERED,
    "undelivered": DeliveryStatus.FAILED,
    "failed": DeliveryStatus.FAILED,
    "canceled": DeliveryStatus.FAILED,
    "partially_delivered": DeliveryStatus.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Fields:
    """The posted form, in the shape that Twilio's validator reads: a name may have several values.

    It has as many fields as its bytes hold, and is read in a time that grows with them and no faster.
    """

    values: Mapping[str, list[str]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def __bool__(self) -> bool:
        return bool(self.values)

    def getlist(self, name: str) -> list[str]:
        return self.values[name]


class TwilioListener:
    """Checks signatures made with the account's auth token, or with a shared key where the call names one."""

    def __init__(self, *, auth_token: str, webhook_keys: Sequence[tuple[str, str]], public_base_url: str) -> None:
        self._auth_token = auth_token
        self._webhook_keys = dict(webhook_keys)
        self._public_base_url = public_base_url

    def authenticate(self, call: WebhookCall) -> bool:
        """Say whether the call is signed, over the configured address and every field.

        https://www.twilio.com/docs/usage/webhooks/webhooks-security and .../webhook-shared-keys: without the settings
        header HMAC-SHA1 with the auth token; with it HMAC-SHA256 with the shared key that it names.
        """
        secret, algorithm = self._key(call.headers.get(SETTINGS))
        given = call.headers.get(SIGNATURE, "").encode("utf-8", "surrogateescape")
        if not secret or not given or not self._public_base_url:
            return False
        fields = _signed_fields(call)
        if fields is None:
            return False
        validator = RequestValidator(secret)
        address = urlsplit(self._public_base_url + call.path)
        # Twilio's own signer is not consistent about default ports: its validator, too, takes either.
        addresses = (remove_port(address), add_port(address))
        made = (validator.compute_signature(one, fields, algorithm) for one in addresses)
        return any(hmac.compare_digest(one.encode(), given) for one in made)

    def events(self, call: WebhookCall) -> list[DeliveryEvent]:
        """Return what an authenticated call reports: one event, or none."""
        fields = {name: values[-1] for name, values in (_form(call.body) or {}).items()}
        vendor_id = fields.get("MessageSid") or fields.get("SmsSid", "")
        status = STATUSES.get(fields.get("MessageStatus") or fields.get("SmsStatus", ""))
        if status is None or not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", vendor_id, re.ASCII):
            return []
        code = fields.get("ErrorCode", "")
        code = code if re.fullmatch(r"[0-9]{1,9}", code, re.ASCII) else ""
        failed = status is DeliveryStatus.FAILED
        return [
            DeliveryEvent(
                vendor_id=vendor_id,
                status=status,
                failure=RECEIPT.get(int(code or 0), FailureKind.GATEWAY) if failed else FailureKind.NONE,
                error_code=code if failed else "",
                reference=_reference(call),
                at=_done_at(fields.get("RawDlrDoneDate", "")),
            )
        ]

    def _key(self, settings: str | None) -> tuple[str, str]:
        if settings is None:
            return self._auth_token, HMAC_SHA1
        named = dict(part.strip().partition("=")[::2] for part in settings.split(","))
        if named.get("algorithm") != HMAC_SHA256:
            return "", HMAC_SHA256
        return self._webhook_keys.get(named.get("key", ""), ""), HMAC_SHA256


def _signed_fields(call: WebhookCall) -> Fields | None:
    """Return what was signed beside the address, or None when the body is not covered by the signature."""
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        claimed = parse_qs(urlsplit(call.path).query).get("bodySHA256", [""])[0]
        covered = hmac.compare_digest(sha256(call.body).hexdigest().encode(), claimed.encode())
        return Fields({}) if covered else None
    values = _form(call.body)
    return None if values is None else Fields(values)


def _form(body: bytes) -> dict[str, list[str]] | None:
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True)
    except ValueError:
        return None


def _reference(call: WebhookCall) -> str:
    # Out of the address that was signed.
    found = parse_qs(urlsplit(call.path).query).get(REFERENCE, [""])[0]
    return found if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", found, re.ASCII) else ""


def _done_at(raw: str) -> datetime | None:
    try:
        return datetime.strptime(raw, "%y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None
