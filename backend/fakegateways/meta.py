"""Meta's WhatsApp Cloud API as its specification and its error page show it; knows nothing of the other vendors.

Sources: facebook/openapi `business-messaging-api`, developers.facebook.com WhatsApp Cloud API (messages, templates,
error codes, business-scoped user ids).
"""

from __future__ import annotations

import base64
import random
import re
import time
from typing import Any, Final

from fakegateways import codes, meta_account, meta_webhooks
from fakegateways.catalogue import Fault, Operation
from fakegateways.config import MetaConfig, ReceiptPlan, Receipts, Vendor, plan_from
from fakegateways.dialect import Answered, Call, Letter, Persistence, as_json, json_object, retry_header
from fakegateways.effects import Effect
from fakegateways.ledger import Entry, Ledger
from fakegateways.wire import Reply, Request

_SEND: Final = re.compile(r"^/v\d+\.\d+/(\d+)/messages$")
_TO: Final = re.compile(r"^\+?[1-9]\d{6,14}$")
_BSUID: Final = re.compile(r"^[A-Z]{2}\.[A-Za-z0-9]{1,128}$")
_STATE_CODES: Final = {"PAUSED": 132015, "DISABLED": 132016}
_CODE_LIMIT: Final = 15
_EVERYTHING: Final = frozenset({"ct", "rt", "3xx", "4xx", "5xx"})


class Meta:
    """One WhatsApp business account."""

    vendor = Vendor.META

    def __init__(self, config: MetaConfig, *, ledger: Ledger, dice: random.Random) -> None:
        self._config = config
        self._ledger = ledger
        self._dice = dice
        self._last_to: dict[str, float] = {}

    def read(self, request: Request, path: str) -> Call | None:
        """Understand a request under this vendor's base URL."""
        auth_ok = request.headers.get("authorization", "") == f"Bearer {self._config.token}"
        sending = _SEND.match(path)
        if sending and request.method == "POST":
            fields = json_object(request.body) or {}
            to = fields.get("to")
            phone = f"+{to.removeprefix('+')}" if isinstance(to, str) and to else ""
            return Call(request, Operation.SEND, "messages", phone, fields, auth_ok, sending.group(1))
        return meta_account.read(request, path, auth_ok=auth_ok)

    def act(self, call: Call, effect: Effect) -> Answered:
        """Answer as the vendor would: the token first, then the address, then the shape, the template, the work."""
        if not call.auth_ok or not self._config.token_is_valid:
            return self._refuse(call, 190)
        if call.operation is not Operation.SEND:
            found = meta_account.answer(call, self._config)
            return Answered(as_json(200, found) if found is not None else self.with_code(100))
        if call.target != self._config.phone_number_id:
            return self._refuse(call, 100)
        code = self._fault_of(call)
        return self._refuse(call, code) if code else self._send(call, effect)

    def note(self, call: Call, outcome: str, *, error: str) -> None:
        """Record a sending call that came to nothing."""
        if call.operation is Operation.SEND:
            self._record(call, outcome, accepted=False, error=error)

    def at_status(self, status: int, *, retry_after: str = "") -> Reply:
        """Return the vendor's body for an HTTP status."""
        code = {401: 190, 402: 131042, 403: 10, 429: 130429, 500: 131000, 503: 2}.get(status, 100)
        return self.with_code(code, status=status, retry_after=retry_after)

    def with_code(self, code: int, *, status: int = 0, retry_after: str = "") -> Reply:
        """Return the vendor's error body with this code."""
        usual, text = codes.META[code]
        error = {
            "message": f"(#{code}) {text}",
            "type": "OAuthException",
            "code": code,
            "error_data": {"messaging_product": "whatsapp", "details": f"{text}."},
            "fbtrace_id": f"A{self._dice.getrandbits(64):016x}",
        }
        return as_json(status or usual, {"error": error}, headers=retry_header(retry_after))

    def refusing(self, message: str) -> Reply:
        """Return a 200 without any message in it."""
        return as_json(200, {"success": False, "message": message})

    def letter(self, entries: list[tuple[Entry, str]], plan: ReceiptPlan, url: str) -> Letter:
        """Write and sign one webhook with one or several statuses."""
        body = meta_webhooks.body_of(entries, plan=plan, config=self._config)
        return meta_webhooks.sign(self._config, url=url, body=body, plan=plan)

    def callback_url(self, entry: Entry) -> str:
        """Return where receipts go; empty while no webhook is configured."""
        return self._config.webhook_url

    def story(self, plan: ReceiptPlan) -> tuple[str, ...]:
        """Return the statuses a plan reports, in the order of posting."""
        return meta_webhooks.STORIES[plan.mode]

    def persistence(self, url: str) -> Persistence:
        """Return Meta's habit: whatever is not a 2xx is posted again, with growing gaps."""
        return Persistence(retries=self._config.retries, on=_EVERYTHING, first_gap_seconds=0.5)

    def forget(self) -> None:
        """Forget who was written to lately."""
        self._last_to.clear()

    def _fault_of(self, call: Call) -> int:
        """Return the code with which Meta refuses these fields, 0 when it takes them."""
        fields = call.fields
        if fields.get("messaging_product") != "whatsapp" or fields.get("recipient_type", "individual") != "individual":
            return 100
        if not fields.get("to"):
            return 131062 if _BSUID.match(str(fields.get("recipient", ""))) else 131008
        if _BSUID.match(str(fields["to"])):
            return 131062
        if not isinstance(fields["to"], str) or not _TO.match(fields["to"]):
            return 131009
        if call.phone == f"+{self._config.display_phone_number}":
            return 131021
        if fields.get("type") != "template":
            return 131047
        return self._fault_of_template(fields.get("template")) or self._fault_of_pace(call.phone)

    def _fault_of_template(self, template: Any) -> int:
        if not isinstance(template, dict) or not isinstance(template.get("language"), dict):
            return 131008
        name, language = template.get("name"), template["language"].get("code")
        known = next((one for one in self._config.templates if (one.name, one.language) == (name, language)), None)
        if known is None:
            return 132001
        if known.status != "APPROVED":
            return _STATE_CODES.get(known.status, 132001)
        return _fault_of_components(template.get("components"))

    def _fault_of_pace(self, phone: str) -> int:
        pace = self._config.pair_limit_seconds
        if not pace:
            return 0
        now = time.monotonic()
        if now - self._last_to.get(phone, -pace) < pace:
            return 131056
        self._last_to[phone] = now
        return 0

    def _send(self, call: Call, effect: Effect) -> Answered:
        plan = plan_from(effect.receipts or {}, base=self._config.receipts)
        arrives = effect.reaches_handset and (plan.says_arrived or plan.arrives_anyway)
        entry = self._record(call, effect.outcome, accepted=True, delivered=arrives)
        if plan.mode in (Receipts.UNDELIVERED, Receipts.FAILED):
            entry.error_code = plan.error_code or 131026
        message = {"id": entry.id, "message_status": "accepted"}
        digits = call.phone.removeprefix("+")
        body: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "contacts": [{"input": call.fields["to"], "wa_id": digits}],
            "messages": [message],
        }
        if effect.fault is Fault.HELD:
            message["message_status"] = effect.param("message_status")
        if effect.fault is Fault.BARE_ANSWER:
            del body["contacts"], message["message_status"]
        return Answered(as_json(200, body), entry, plan)

    def _refuse(self, call: Call, code: int) -> Answered:
        self.note(call, "refused", error=str(code))
        return Answered(self.with_code(code))

    def _record(self, call: Call, outcome: str, *, accepted: bool, delivered: bool = False, error: str = "") -> Entry:
        code = _code_of(call.fields)
        # Twenty bytes leave one `=` at the end, as real ids have, and that is escaped in every webhook.
        tail = base64.b64encode(self._dice.randbytes(20)).decode()
        return self._ledger.add(
            Entry(
                seq=self._ledger.next_seq(),
                at=time.time(),
                vendor=self.vendor.value,
                channel="whatsapp",
                to=call.phone,
                code=code,
                text=f"{code} is your verification code." if code else "",
                endpoint=call.endpoint,
                outcome=outcome,
                accepted=accepted,
                delivered=delivered,
                id=f"wamid.HBgM{tail}" if accepted else "",
                auth_ok=call.auth_ok,
                error=error,
                raw_fields=call.fields,
            )
        )


def _fault_of_components(components: Any) -> int:
    """Check the one shape an authentication template has: the code in the body and, the same, in the button."""
    if not isinstance(components, list) or not all(isinstance(one, dict) for one in components):
        return 132000
    bodies = [one for one in components if one.get("type") == "body"]
    buttons = [one for one in components if one.get("type") == "button"]
    if len(components) != 2 or len(bodies) != 1 or len(buttons) != 1:
        return 132000
    button = buttons[0]
    if button.get("sub_type") != "url" or str(button.get("index")) != "0":
        return 132012
    texts = [_only_text(one) for one in (bodies[0], button)]
    if None in texts:
        return 132000
    if texts[0] != texts[1]:
        return 132012
    return 132005 if len(str(texts[0])) > _CODE_LIMIT else 0


def _only_text(component: dict[str, Any]) -> str | None:
    parameters = component.get("parameters")
    if not isinstance(parameters, list) or len(parameters) != 1 or not isinstance(parameters[0], dict):
        return None
    text = parameters[0].get("text")
    return text if parameters[0].get("type") == "text" and isinstance(text, str) and text else None


def _code_of(fields: dict[str, Any]) -> str:
    template = fields.get("template")
    components = template.get("components") if isinstance(template, dict) else None
    if not isinstance(components, list):
        return ""
    return next(
        (_only_text(one) or "" for one in components if isinstance(one, dict) and one.get("type") == "body"), ""
    )
