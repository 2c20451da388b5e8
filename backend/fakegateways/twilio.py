"""Twilio's Programmable Messaging as its specification shows it; knows nothing of the other vendors.

Sources: twilio/twilio-oai `twilio_api_v2010.json`, twilio.com/docs/messaging, twilio.com/docs/iam/test-credentials.
"""

from __future__ import annotations

import base64
import json
import random
import re
import time
from email.utils import formatdate
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from fakegateways import codes, twilio_account, twilio_callbacks
from fakegateways.catalogue import Fault, Operation
from fakegateways.config import ReceiptPlan, Receipts, TwilioConfig, Vendor, plan_from
from fakegateways.dialect import Answered, Call, Letter, Persistence, as_json, retry_header
from fakegateways.effects import Effect
from fakegateways.ledger import Entry, Ledger, code_in
from fakegateways.segments import count_segments
from fakegateways.wire import Reply, Request

_PHONE: Final = re.compile(r"^\+[1-9]\d{6,14}$")
_MESSAGES: Final = re.compile(r"^/2010-04-01/Accounts/([^/]+)/Messages\.json$")
_MESSAGE: Final = re.compile(r"^/2010-04-01/Accounts/([^/]+)/Messages/([^/.]+)\.json$")
_CONTENT_SID: Final = re.compile(r"^HX[0-9a-fA-F]{32}$")
_SERVICE_SID: Final = re.compile(r"^MG[0-9a-fA-F]{32}$")
_MAGIC_TO: Final = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
_MAGIC_FROM: Final = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
_RANK: Final = ("accepted", "queued", "sending", "sent", "delivered", "undelivered", "failed", "read")


class Twilio:
    """One account at Twilio."""

    vendor = Vendor.TWILIO

    def __init__(self, config: TwilioConfig, *, ledger: Ledger, dice: random.Random) -> None:
        self._config = config
        self._ledger = ledger
        self._dice = dice

    def read(self, request: Request, path: str) -> Call | None:
        """Understand a request under this vendor's base URL."""
        auth_ok = self._knows(request.headers.get("authorization", ""))
        creating = _MESSAGES.match(path)
        if creating and request.method == "POST":
            fields = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
            phone = fields.get("To", "").removeprefix("whatsapp:")
            return Call(request, Operation.SEND, "messages", phone, dict(fields), auth_ok, creating.group(1))
        if request.method != "GET":
            return None
        reading = _MESSAGE.match(path)
        if reading:
            return Call(request, Operation.READ, "message", "", {"sid": reading.group(2)}, auth_ok, reading.group(1))
        return twilio_account.read(request, path, auth_ok=auth_ok, account_sid=self._config.account_sid)

    def act(self, call: Call, effect: Effect) -> Answered:
        """Answer as the vendor would: the credentials first, then the account, then the input, then the work."""
        if not call.auth_ok:
            return self._refuse(call, 20003)
        if call.target != self._config.account_sid:
            return self._refuse(call, 20404)
        if call.endpoint == "message":
            entry = self._ledger.find(call.fields["sid"])
            return Answered(as_json(200, self._body(entry)) if entry else self.with_code(20404))
        if call.operation is not Operation.SEND:
            low = effect.param("balance") if effect.fault is Fault.LOW_BALANCE else self._config.balance
            found = twilio_account.answer(call, self._config, balance=low)
            return Answered(as_json(200, found) if found is not None else self.with_code(20404))
        code = self._fault_of(call.fields)
        return self._refuse(call, code) if code else self._send(call, effect)

    def note(self, call: Call, outcome: str, *, error: str) -> None:
        """Record a sending call that came to nothing."""
        if call.operation is Operation.SEND:
            self._record(call, outcome, accepted=False, error=error)

    def at_status(self, status: int, *, retry_after: str = "") -> Reply:
        """Return the vendor's body for an HTTP status."""
        code = {401: 20003, 402: 20005, 403: 20008, 404: 20404, 429: 20429, 500: 20500, 503: 20503}.get(status)
        if code is not None:
            return self.with_code(code, status=status, retry_after=retry_after)
        problem = {"type": "about:blank", "title": "Unprocessable", "status": status, "code": 20001}
        return Reply(status, json.dumps(problem).encode(), "application/problem+json", retry_header(retry_after))

    def with_code(self, code: int, *, status: int = 0, retry_after: str = "") -> Reply:
        """Return the vendor's error body with this code."""
        usual, text = codes.TWILIO[code]
        body = {
            "code": code,
            "message": text,
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "status": status or usual,
        }
        return as_json(status or usual, body, headers=retry_header(retry_after))

    def refusing(self, message: str) -> Reply:
        """Return a 201 whose message has failed already."""
        sid = self._sid()
        return as_json(201, {"sid": sid, "status": "failed", "error_code": 30008, "error_message": message})

    def letter(self, entries: list[tuple[Entry, str]], plan: ReceiptPlan, url: str) -> Letter:
        """Write and sign one status callback."""
        entry, status = entries[0]
        fields = twilio_callbacks.fields_of(entry, status, plan=plan, config=self._config)
        return twilio_callbacks.sign(self._config, url=url, fields=fields, plan=plan)

    def story(self, plan: ReceiptPlan) -> tuple[str, ...]:
        """Return the statuses a plan reports, in the order of posting."""
        return twilio_callbacks.STORIES[plan.mode]

    def persistence(self, url: str) -> Persistence:
        """Return what the fragment of the callback URL asks for."""
        return twilio_callbacks.persistence_of(url)

    def forget(self) -> None:
        """Forget nothing: all that Twilio knows of a message is in the ledger."""

    def callback_url(self, entry: Entry) -> str:
        """Return where receipts for this message go; empty when none were asked for."""
        return str(entry.raw_fields.get("StatusCallback", ""))

    def _knows(self, header: str) -> bool:
        scheme, _, value = header.partition(" ")
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except ValueError:
            return False
        known = {self._config.account_sid: self._config.auth_token, **self._config.api_keys}
        return scheme.lower() == "basic" and known.get(user) == password

    def _fault_of(self, fields: dict[str, Any]) -> int:
        """Return the code with which Twilio refuses these fields, 0 when it takes them."""
        to, sender, service = fields.get("To", ""), fields.get("From", ""), fields.get("MessagingServiceSid", "")
        if not to:
            return 21604
        if not sender and not service:
            return 21603
        bare = to.removeprefix("whatsapp:")
        if bare in _MAGIC_TO:
            return _MAGIC_TO[bare]
        if not _PHONE.match(bare):
            return 21211
        if sender in _MAGIC_FROM:
            return _MAGIC_FROM[sender]
        if self._config.test_credentials and (service or sender != "+15005550006"):
            return 21606
        if sender and sender.startswith("whatsapp:") != to.startswith("whatsapp:"):
            return 21910
        if service and not _SERVICE_SID.match(service):
            return 21705
        return _fault_of_content(fields)

    def _send(self, call: Call, effect: Effect) -> Answered:
        plan = plan_from(effect.receipts or {}, base=self._config.receipts)
        if effect.receipts is None:
            plan = self._plan_by_itself(call.fields, plan)
        arrives = effect.reaches_handset and (plan.says_arrived or plan.arrives_anyway)
        entry = self._record(call, effect.outcome, accepted=True, delivered=arrives)
        if not self._config.test_credentials:
            moment = entry.at + plan.delay_seconds
            for step in self.story(plan):
                entry.steps.append((moment, step))
                moment += plan.gap_seconds
        if plan.mode in (Receipts.UNDELIVERED, Receipts.FAILED):
            entry.error_code = plan.error_code or 30008
        reply = as_json(201, self._body(entry, at=entry.at - 1))
        return Answered(reply, entry, None if self._config.test_credentials else plan)

    def _plan_by_itself(self, fields: dict[str, Any], plan: ReceiptPlan) -> ReceiptPlan:
        """Fail what Twilio fails by itself: free text on WhatsApp, and numbers that end in a code when asked to."""
        if fields["To"].startswith("whatsapp:") and not fields.get("ContentSid"):
            return plan_from({"mode": "failed", "error_code": 63016}, base=plan)
        ending = fields["To"][-5:]
        if self._config.errors_by_suffix and ending.isdigit() and int(ending) in codes.TWILIO and ending[0] in "36":
            return plan_from({"mode": "undelivered", "error_code": int(ending)}, base=plan)
        return plan

    def _refuse(self, call: Call, code: int) -> Answered:
        self.note(call, "refused", error=str(code))
        return Answered(self.with_code(code))

    def _sid(self) -> str:
        return f"SM{self._dice.getrandbits(128):032x}"

    def _record(self, call: Call, outcome: str, *, accepted: bool, delivered: bool = False, error: str = "") -> Entry:
        fields = call.fields
        code, text = _message_of(fields)
        return self._ledger.add(
            Entry(
                seq=self._ledger.next_seq(),
                at=time.time(),
                vendor=self.vendor.value,
                channel="whatsapp" if fields.get("To", "").startswith("whatsapp:") else "sms",
                to=call.phone,
                code=code,
                text=text,
                endpoint=call.endpoint,
                outcome=outcome,
                accepted=accepted,
                delivered=delivered,
                id=self._sid() if accepted else "",
                auth_ok=call.auth_ok,
                error=error,
                raw_fields=fields,
            )
        )

    def _status(self, entry: Entry, at: float) -> str:
        seen = [status for moment, status in entry.steps if moment <= at]
        first = "accepted" if entry.raw_fields.get("MessagingServiceSid") else "queued"
        return max(seen, key=_RANK.index, default=first)

    def _body(self, entry: Entry, *, at: float | None = None) -> dict[str, Any]:
        status = self._status(entry, time.time() if at is None else at)
        fields, account = entry.raw_fields, self._config.account_sid
        code = entry.error_code if status in ("failed", "undelivered") else None
        address = f"/2010-04-01/Accounts/{account}/Messages/{entry.id}"
        return {
            "account_sid": account,
            "api_version": "2010-04-01",
            "body": entry.text,
            "date_created": _rfc2822(entry.at),
            "date_sent": None if status in ("accepted", "queued") else _rfc2822(entry.at),
            "date_updated": _rfc2822(entry.at),
            "direction": "outbound-api",
            "error_code": code,
            "error_message": codes.TWILIO[code][1] if code in codes.TWILIO else None,
            "from": fields.get("From") or None,
            "messaging_service_sid": fields.get("MessagingServiceSid") or None,
            "num_media": "0",
            "num_segments": "0" if status == "accepted" else str(count_segments(entry.text)),
            "price": None,
            "price_unit": "USD",
            "sid": entry.id,
            "status": status,
            "subresource_uris": {"media": f"{address}/Media.json"},
            "to": fields.get("To"),
            "uri": f"{address}.json",
        }


def _fault_of_content(fields: dict[str, Any]) -> int:
    body, content, variables = fields.get("Body", ""), fields.get("ContentSid", ""), fields.get("ContentVariables", "")
    if variables and not content:
        return 21654
    if not body and not content and not fields.get("MediaUrl"):
        return 21602
    if len(body) > 1600:
        return 21617
    if content and not _CONTENT_SID.match(content):
        return 21655
    if variables and not _are_variables(variables):
        return 21656
    callback = fields.get("StatusCallback", "")
    if callback:
        parts = urlsplit(callback)
        if parts.scheme not in ("http", "https") or not parts.hostname or "_" in parts.hostname or len(callback) > 4000:
            return 21609
    validity = fields.get("ValidityPeriod", "36000")
    return 0 if validity.isdigit() and 1 <= int(validity) <= 36000 else 20001


def _are_variables(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and all(isinstance(one, str) and one for one in value.values())


def _message_of(fields: dict[str, Any]) -> tuple[str, str]:
    """Return the code and the text that the person sees."""
    body = str(fields.get("Body", ""))
    if body or not fields.get("ContentSid"):
        return code_in(body), body
    variables = fields.get("ContentVariables", "")
    values = json.loads(variables) if _are_variables(variables) else {}
    code = values.get("1", "")
    return code, f"{code} is your verification code." if code else ""


def _rfc2822(moment: float) -> str:
    return formatdate(moment).replace("-0000", "+0000")
