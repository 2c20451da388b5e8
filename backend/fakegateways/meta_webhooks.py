"""The webhooks that Meta posts, signed over their raw bytes or forged on demand; sends nothing itself."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from fakegateways import codes, signatures
from fakegateways.config import MetaConfig, ReceiptPlan, Receipts
from fakegateways.dialect import Letter
from fakegateways.ledger import Entry
from fakegateways.signatures import Forgery

STORIES: Final = {
    Receipts.NONE: (),
    Receipts.DELIVERED: ("sent", "delivered"),
    Receipts.READ: ("sent", "delivered", "read"),
    Receipts.SENT_ONLY: ("sent",),
    Receipts.UNDELIVERED: ("failed",),
    Receipts.FAILED: ("failed",),
    Receipts.OUT_OF_ORDER: ("delivered", "sent"),
}


def body_of(entries: list[tuple[Entry, str]], *, plan: ReceiptPlan, config: MetaConfig) -> bytes:
    """Return the raw bytes of one webhook that reports these statuses.

    Meta escapes what it need not escape, so that only a check over the raw bytes comes out right.
    """
    value = {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": config.display_phone_number,
            "phone_number_id": config.phone_number_id,
        },
        "statuses": [_status(entry, status, plan) for entry, status in entries],
    }
    change = {"field": "messages", "value": value}
    payload = {
        "object": "whatsapp_business_account",
        "entry": [{"id": config.business_account_id, "changes": [change]}],
    }
    text = json.dumps(payload, separators=(",", ":"))
    return text.replace("=", "\\u003d").replace("/", "\\/").encode()


def sign(config: MetaConfig, *, url: str, body: bytes, plan: ReceiptPlan) -> Letter:
    """Return the webhook with its signature, or forged as the plan says."""
    headers = {"Content-Type": "application/json", "User-Agent": "facebookexternalua"}
    forgery = plan.forgery
    secret = config.app_secret
    if forgery in (Forgery.WRONG, Forgery.UNKNOWN_KEY):
        secret = signatures.FORGERS_SECRET
    signature = signatures.meta(secret, body=body)
    if forgery is Forgery.UNKNOWN_ALGORITHM:
        signature = "sha1=" + signature.removeprefix("sha256=")[:40]
    if forgery is not Forgery.MISSING:
        headers[signatures.META_HEADER] = "" if forgery is Forgery.EMPTY else signature
    if forgery is Forgery.TAMPERED:
        body = body.replace(b'"status":"', b'"status": "')
    return Letter(url, body, headers, genuine=forgery is Forgery.NONE)


def _status(entry: Entry, status: str, plan: ReceiptPlan) -> dict[str, Any]:
    digits = entry.to.removeprefix("+")
    one: dict[str, Any] = {
        "id": entry.id,
        "status": status,
        "timestamp": str(int(time.time() - plan.age_seconds)),
    }
    if not plan.without_recipient:
        one["recipient_id"] = digits
    if "biz_opaque_callback_data" in entry.raw_fields:
        one["biz_opaque_callback_data"] = entry.raw_fields["biz_opaque_callback_data"]
    if status == "failed":
        code = plan.error_code or entry.error_code or 131026
        text = codes.META[code][1] if code in codes.META else "Unknown"
        details = f"{text} \u2013 see the error\u2019s page."
        page = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"
        one["errors"] = [
            {"code": code, "title": text, "message": text, "error_data": {"details": details}, "href": page}
        ]
    else:
        one["pricing"] = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "authentication"}
    return one
