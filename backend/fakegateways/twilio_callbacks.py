"""The status callbacks that Twilio posts, signed or forged on demand; sends nothing itself."""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import parse_qsl, urlencode

from fakegateways import signatures
from fakegateways.config import ReceiptPlan, Receipts, TwilioConfig
from fakegateways.dialect import Letter, Persistence
from fakegateways.ledger import Entry
from fakegateways.signatures import Forgery

STORIES: Final = {
    Receipts.NONE: (),
    Receipts.DELIVERED: ("sent", "delivered"),
    Receipts.READ: ("sent", "delivered", "read"),
    Receipts.SENT_ONLY: ("sent",),
    Receipts.UNDELIVERED: ("sent", "undelivered"),
    Receipts.FAILED: ("failed",),
    Receipts.OUT_OF_ORDER: ("delivered", "sent"),
}


def persistence_of(url: str) -> Persistence:
    """Read how hard to try from the URL's fragment: ct, rt, tt in milliseconds, rc retries (0-5), rp what to retry on.

    Source: twilio.com/docs/usage/webhooks/webhooks-connection-overrides.
    """
    said = dict(parse_qsl(url.partition("#")[2]))
    on = frozenset(said.get("rp", "ct").split(","))
    return Persistence(
        connect_seconds=_number(said, "ct", 5000) / 1000,
        total_seconds=min(_number(said, "rt", 15000), _number(said, "tt", 15000)) / 1000,
        retries=min(_number(said, "rc", 1), 5),
        on=frozenset({"ct", "rt", "4xx", "5xx"}) if "all" in on else on,
    )


def _number(said: dict[str, str], name: str, usual: int) -> int:
    value = said.get(name, "")
    return int(value) if value.isdigit() else usual


def fields_of(entry: Entry, status: str, *, plan: ReceiptPlan, config: TwilioConfig) -> dict[str, str]:
    """Return the form fields of a status callback.

    Source: twilio.com/docs/messaging/guides/track-outbound-message-status.
    """
    sent = entry.raw_fields
    fields = {
        "AccountSid": config.account_sid,
        "ApiVersion": "2010-04-01",
        "From": sent.get("From") or config.phone_number,
        "MessageSid": entry.id,
        "MessageStatus": status,
        "SmsSid": entry.id,
        "SmsStatus": status,
        "To": sent.get("To", ""),
    }
    if sent.get("MessagingServiceSid"):
        fields["MessagingServiceSid"] = sent["MessagingServiceSid"]
    if entry.channel == "whatsapp":
        fields |= {"ChannelPrefix": "whatsapp", "ChannelInstallSid": "XE" + "0" * 32}
        fields |= {"EventType": status.upper()} if status in ("read", "delivered") else {}
    elif status in ("delivered", "undelivered"):
        fields["RawDlrDoneDate"] = time.strftime("%y%m%d%H%M", time.gmtime(time.time() - plan.age_seconds))
    if status in ("failed", "undelivered"):
        fields["ErrorCode"] = str(plan.error_code or entry.error_code or 30008)
        if entry.channel == "whatsapp":
            fields["ChannelStatusMessage"] = "The channel refused the message"
    return fields


def sign(config: TwilioConfig, *, url: str, fields: dict[str, str], plan: ReceiptPlan) -> Letter:
    """Return a form post signed with the token or with a shared key, or forged as the plan says."""
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "User-Agent": "TwilioProxy/1.1"}
    key, forgery = plan.shared_key, plan.forgery
    secret = config.shared_keys.get(key, signatures.FORGERS_SECRET) if key else config.auth_token
    if forgery in (Forgery.WRONG, Forgery.UNKNOWN_KEY):
        secret = signatures.FORGERS_SECRET
    if key or forgery in (Forgery.UNKNOWN_KEY, Forgery.UNKNOWN_ALGORITHM):
        named = "nobody" if forgery is Forgery.UNKNOWN_KEY else key or next(iter(config.shared_keys), "nobody")
        algorithm = "HMAC_MD5" if forgery is Forgery.UNKNOWN_ALGORITHM else "HMAC_SHA256"
        headers[signatures.TWILIO_SETTINGS_HEADER] = f"key={named},algorithm={algorithm}"
    modern = signatures.TWILIO_SETTINGS_HEADER in headers
    signature = signatures.twilio(secret, url=url, fields=fields.items(), sha256=modern)
    if forgery is not Forgery.MISSING:
        headers[signatures.TWILIO_HEADER] = "" if forgery is Forgery.EMPTY else signature
    if forgery is Forgery.TAMPERED:
        fields = fields | {"MessageStatus": "read", "SmsStatus": "read"}
    return Letter(url, urlencode(fields).encode(), headers, genuine=forgery is Forgery.NONE)
