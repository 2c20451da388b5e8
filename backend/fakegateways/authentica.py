"""Authentica's API v2 as its documents and its live answers show it; knows nothing of the other vendors.

Sources: docs.authentica.sa OpenAPI 2.0.0, the older API Blueprint (`otp`, `fallback_*`, `/send-sms`), and published
observations of the live service for what the documents leave out (422 at verify, the 302, the balance as a text).
"""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass
from typing import Any, Final

from fakegateways import codes
from fakegateways.catalogue import Fault, Operation
from fakegateways.config import AuthenticaConfig, ReceiptPlan, Vendor
from fakegateways.dialect import Answered, Call, Letter, Persistence, as_json, json_object, retry_header
from fakegateways.effects import Effect
from fakegateways.ledger import Entry, Ledger, code_in
from fakegateways.wire import Reply, Request

_PHONE: Final = re.compile(r"^\+[1-9]\d{1,14}$")
_EMAIL: Final = re.compile(r"^[^@\s]+@[^@\s]+$")
_CHANNELS: Final = ("sms", "whatsapp", "email")
_ENDPOINTS: Final = {
    ("POST", "/api/v2/send-otp"): (Operation.SEND, "send-otp"),
    ("POST", "/api/v2/send-sms"): (Operation.SEND, "send-sms"),
    ("POST", "/api/v2/verify-otp"): (Operation.VERIFY, "verify-otp"),
    ("GET", "/api/v2/balance"): (Operation.BALANCE, "balance"),
}


@dataclass(frozen=True, slots=True)
class _Known:
    """A code that the vendor can judge, good until a time of the monotonic clock."""

    code: str
    until: float


class Authentica:
    """One account at Authentica."""

    vendor = Vendor.AUTHENTICA

    def __init__(self, config: AuthenticaConfig, *, ledger: Ledger, dice: random.Random) -> None:
        self._config = config
        self._ledger = ledger
        self._dice = dice
        self._known: dict[str, _Known] = {}

    def read(self, request: Request, path: str) -> Call | None:
        """Understand a request under this vendor's base URL."""
        found = _ENDPOINTS.get((request.method, path))
        if found is None:
            return None
        fields = json_object(request.body) or {}
        phone = fields.get("phone")
        return Call(
            request=request,
            operation=found[0],
            endpoint=found[1],
            phone=phone if isinstance(phone, str) else "",
            fields=fields,
            auth_ok=request.headers.get("x-authorization") == self._config.api_key,
        )

    def act(self, call: Call, effect: Effect) -> Answered:
        """Answer as the vendor would: the key first, then the input, then the work."""
        if not call.auth_ok:
            self.note(call, "refused", error="401")
            return Answered(self.at_status(401))
        if call.endpoint == "balance":
            return Answered(self._balance(effect))
        if call.endpoint == "verify-otp":
            return Answered(self._verify(call))
        faults = _faults_of(call)
        if faults:
            self.note(call, "refused", error="422")
            return Answered(_invalid(call.request, faults))
        return self._send(call, effect)

    def note(self, call: Call, outcome: str, *, error: str) -> None:
        """Record a sending call that came to nothing."""
        if call.operation is Operation.SEND:
            code = call.fields.get("otp")
            self._record(call, outcome, code=code if isinstance(code, str) else "", accepted=False, error=error)

    def at_status(self, status: int, *, retry_after: str = "") -> Reply:
        """Return the body seen, or to be expected of a Laravel application, at this status."""
        text = codes.AUTHENTICA.get(status, "Error")
        if status == 401:
            return as_json(401, {"errors": [{"message": "Unauthorized"}]})
        if status == 422:
            return as_json(422, {"message": text, "errors": {"phone": ["The phone field format is invalid."]}})
        return as_json(status, {"success": False, "message": text}, headers=retry_header(retry_after))

    def with_code(self, code: int, *, status: int = 0, retry_after: str = "") -> Reply:
        """Return the answer at this HTTP status; the vendor has no codes of its own."""
        return self.at_status(status or code, retry_after=retry_after)

    def refusing(self, message: str) -> Reply:
        """Return a 200 that says it did not work."""
        return as_json(200, {"success": False, "data": None, "message": message})

    def story(self, plan: ReceiptPlan) -> tuple[str, ...]:
        """Return nothing: this vendor reports nothing afterwards."""
        return ()

    def callback_url(self, entry: Entry) -> str:
        """Return no address: this vendor reports nothing afterwards."""
        return ""

    def persistence(self, url: str) -> Persistence:
        """Return the usual patience, which is never used."""
        return Persistence()

    def letter(self, entries: list[tuple[Entry, str]], plan: ReceiptPlan, url: str) -> Letter:
        """Refuse: this vendor reports nothing afterwards."""
        raise NotImplementedError("Authentica has no delivery reports")

    def forget(self) -> None:
        """Forget every code that was sent."""
        self._known.clear()

    def _send(self, call: Call, effect: Effect) -> Answered:
        fields = call.fields
        if call.endpoint == "send-sms":
            entry = self._record(call, effect.outcome, code=code_in(fields["message"]), accepted=True, effect=effect)
            entry.text = fields["message"]
            return Answered(as_json(200, {"success": True, "message": "Message sent successfully."}), entry)
        own = fields.get("otp")
        honoured = own is not None and self._config.honours_own_code and effect.fault is not Fault.OTHER_CODE
        code = str(own) if honoured else self._mint(avoiding=str(own))
        entry = self._record(call, effect.outcome, code=code, accepted=True, effect=effect)
        entry.text = f"Your verification code is {code}"
        self._known[entry.to] = _Known(code, time.monotonic() + self._config.mint_ttl_seconds)
        return Answered(as_json(200, {"success": True, "data": None, "message": "OTP sent successfully."}), entry)

    def _verify(self, call: Call) -> Reply:
        code = call.fields.get("otp")
        whom = call.fields.get("phone") or call.fields.get("email")
        if not isinstance(code, str | int) or not isinstance(whom, str):
            missing = {"otp": ["The otp field is required."]} if code is None else {"phone": ["The phone is required."]}
            return _invalid(call.request, missing)
        known = self._known.get(whom)
        if known is None or known.code != str(code) or time.monotonic() >= known.until:
            return as_json(422, {"status": False, "message": "Failed to verify OTP"})
        del self._known[whom]
        return as_json(200, {"status": True, "message": "OTP verified successfully"})

    def _balance(self, effect: Effect) -> Reply:
        text = effect.param("balance") if effect.fault is Fault.LOW_BALANCE else self._config.balance
        value: Any = float(text) if self._config.balance_is_number else text
        return as_json(200, {"success": True, "data": {"balance": value}, "message": "Balance retrieved successfully"})

    def _mint(self, *, avoiding: str) -> str:
        length = self._config.mint_length
        while True:
            code = "".join(self._dice.choice("0123456789") for _ in range(length))
            if code != avoiding:
                return code

    def _record(
        self, call: Call, outcome: str, *, code: str, accepted: bool, error: str = "", effect: Effect | None = None
    ) -> Entry:
        fields = call.fields
        method = fields.get("method")
        whom = fields.get("email") if method == "email" else fields.get("phone")
        return self._ledger.add(
            Entry(
                seq=self._ledger.next_seq(),
                at=time.time(),
                vendor=self.vendor.value,
                channel=method if isinstance(method, str) else "sms",
                to=whom if isinstance(whom, str) else "",
                code=code,
                text=str(fields.get("message", "")) if call.endpoint == "send-sms" else "",
                endpoint=call.endpoint,
                outcome=outcome,
                accepted=accepted,
                delivered=accepted and (effect is None or effect.reaches_handset),
                id="",
                auth_ok=call.auth_ok,
                error=error,
                raw_fields=fields,
            )
        )


def _faults_of(call: Call) -> dict[str, list[str]]:
    """Return what a Laravel validator would say of the fields, by field; empty when nothing is wrong."""
    fields, wrong = call.fields, dict[str, list[str]]()
    method = fields.get("method", "sms")
    if call.endpoint == "send-sms":
        for name in ("message", "sender_name"):
            if not isinstance(fields.get(name), str) or not fields[name]:
                wrong[name] = [f"The {name.replace('_', ' ')} field is required."]
    elif method not in _CHANNELS:
        wrong["method"] = ["The selected method is invalid."]
    if method == "email" and call.endpoint == "send-otp":
        if not isinstance(fields.get("email"), str) or not _EMAIL.match(fields["email"]):
            wrong["email"] = ["The email field is required."]
    elif not isinstance(fields.get("phone"), str) or not fields["phone"]:
        wrong["phone"] = ["The phone field is required."]
    elif not _PHONE.match(fields["phone"]):
        wrong["phone"] = ["The phone field format is invalid."]
    template = fields.get("template_id", 1)
    if isinstance(template, bool) or not isinstance(template, int) or template < 1:
        wrong["template_id"] = ["The template id field must be an integer."]
    own = fields.get("otp")
    if own is not None and not (isinstance(own, str | int) and str(own).isascii() and str(own).isdigit()):
        wrong["otp"] = ["The otp field must contain digits only."]
    return wrong


def _invalid(request: Request, wrong: dict[str, list[str]]) -> Reply:
    """Return Laravel's answer to bad input: 422 for a client that asks for JSON, a redirect for any other."""
    if "json" not in request.headers.get("accept", ""):
        target = "http://api.authentica.sa"
        page = f'<!DOCTYPE html><html><body>Redirecting to <a href="{target}">{target}</a>.</body></html>'
        return Reply(302, page.encode(), "text/html; charset=utf-8", (("Location", target),))
    first = next(iter(wrong.values()))[0]
    more = f" (and {len(wrong) - 1} more error{'s' if len(wrong) > 2 else ''})" if len(wrong) > 1 else ""
    return as_json(422, {"message": first + more, "errors": wrong})
