"""Authentica (authentica.sa), API v2: our code in its template, our text, or a code that it makes and checks itself.

It must not know other vendors. No vendor document names a message id, a delivery report, a rate limit or the body of
most errors, so an answer is judged by its status, by `success`, and by the fields that a refusal names.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from apps.accounts.providers import auditing
from apps.accounts.providers.base import (
    AuditLine,
    Carries,
    Channel,
    CheckOutcome,
    Misconfigured,
    Order,
    OutcomeUnknown,
    OutOfCredit,
    ProviderError,
    Receipt,
    Rejected,
    Throttled,
)
from apps.accounts.providers.http import Answer, Http, leaf_for_status

# Statuses. Named without bodies by https://github.com/AuthenticaSA/Plug-and-Play-Auth (400, 401, 429); 422 and 302 as
# the live API was seen to answer. 302 is how it refuses input when it takes the caller for a browser: the message is
# refused, the gateway is well. Any other redirect means that AUTHENTICA_BASE_URL is not the API's address. No 5xx is
# documented as "not accepted".
STATUSES: Final[Mapping[int, type[ProviderError]]] = {
    302: Rejected,
    303: Rejected,
    400: Rejected,
    401: Misconfigured,
    402: OutOfCredit,
    415: Misconfigured,
    422: Rejected,
    429: Throttled,
}

# Fields whose refusal says that our settings are wrong, whoever the message is for.
# https://docs.authentica.sa/api-reference/otp-verification/send-otp
OUR_FIELDS: Final = frozenset(
    {"method", "template_id", "sender_name", "otp", "message", "fallback_phone", "fallback_email"}
)

# No answer for "no credit" is documented; these words have been seen in it.
CREDIT_WORDS: Final = ("balance", "credit", "رصيد")


@dataclass(frozen=True, slots=True, repr=False)
class AuthenticaSettings:
    """`mode` is otp, sms or verify; a template id is digits or empty; `whatsapp_open` says the template is approved."""

    api_key: str
    base_url: str
    mode: str
    template_id: str
    whatsapp_template_id: str
    whatsapp_open: bool
    sender_name: str
    verify_ttl_seconds: int
    min_balance: int
    ca_bundle: str


class Authentica:
    """Sender and Auditor. With mode verify an `AuthenticaMint`, which can be asked about a code, takes its place."""

    name = "authentica"

    def __init__(self, settings: AuthenticaSettings, *, timeout: float, connections: int) -> None:
        self._settings = settings
        self._http = Http(settings.base_url, timeout=timeout, connections=connections, ca_bundle=settings.ca_bundle)
        # Without Accept a refusal comes as a redirect to a plain-http page.
        self._headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "X-Authorization": settings.api_key,
        }
        self.carries = self._carries()

    def channels(self) -> frozenset[Channel]:
        """Return SMS, and WhatsApp where a template for it is configured and approved."""
        if self._settings.whatsapp_template_id and self._settings.whatsapp_open:
            return frozenset({Channel.SMS, Channel.WHATSAPP})
        return frozenset({Channel.SMS})

    def send(self, order: Order) -> Receipt:
        """Hand one message over. A receipt means accepted, never delivered, and bears no id.

        Raises:
            ProviderError: one of LEAVES.
        """
        if order.channel not in self.channels():
            raise Rejected("channel")
        path, fields = self._request(order)
        answer = self._post(path, fields, deadline=order.deadline)
        if answer.ok and answer.object().get("success") is True:
            return Receipt()
        raise refusal(answer)

    def audit(self, *, deadline: float) -> list[AuditLine]:
        """Read the balance, which costs nothing and needs the key."""
        found = auditing.ask(self._http, "/balance", expects="data", headers=self._headers, deadline=deadline)
        lines = [auditing.tls(self._http, found), auditing.credentials(found, variables="AUTHENTICA_API_KEY")]
        if isinstance(found, Answer) and found.ok:
            data = found.object().get("data")
            raw = data.get("balance") if isinstance(data, dict) else None
            lines.append(auditing.balance(raw, threshold=self._settings.min_balance))
        lines.append(auditing.note("receipts", "This gateway reports no delivery: only codes that are typed prove it."))
        lines.append(self._what_only_a_message_proves())
        return lines

    def _carries(self) -> frozenset[Carries]:
        settings = self._settings
        if settings.mode == "sms":
            by_template = {Carries.CODE} if Channel.WHATSAPP in self.channels() else set()
            return frozenset({Carries.TEXT} | by_template)
        return frozenset({Carries.CODE, Carries.TEXT} if settings.sender_name else {Carries.CODE})

    def _request(self, order: Order) -> tuple[str, dict[str, Any]]:
        by_text = order.channel is Channel.SMS and (self._settings.mode == "sms" or order.code is None)
        if by_text:
            return "/send-sms", self._text_fields(order)
        if order.code is None:
            raise Rejected("no_text_here")
        # As a text, so that a leading zero survives.
        return "/send-otp", {**self._template_fields(order), "otp": order.code}

    def _text_fields(self, order: Order) -> dict[str, Any]:
        if not order.text or not self._settings.sender_name:
            raise Rejected("no_text_here")
        return {"phone": order.to, "message": order.text, "sender_name": self._settings.sender_name}

    def _template_fields(self, order: Order) -> dict[str, Any]:
        settings = self._settings
        template = settings.whatsapp_template_id if order.channel is Channel.WHATSAPP else settings.template_id
        fields: dict[str, Any] = {"method": str(order.channel), "phone": order.to}
        return {**fields, "template_id": int(template)} if template else fields

    def _post(self, path: str, fields: Mapping[str, Any], *, deadline: float) -> Answer:
        body = json.dumps(fields, ensure_ascii=False).encode()
        return self._http.exchange("POST", path, headers=self._headers, body=body, deadline=deadline)

    def _what_only_a_message_proves(self) -> AuditLine:
        if self._settings.mode == "sms":
            return auditing.note("sender", "Sender names cannot be read: send one live message to be sure.")
        return auditing.note("own_code", "Only one live message proves that this gateway delivers our code.")


class AuthenticaMint(Authentica):
    """Mode verify: Authentica makes the code, and must be asked about it."""

    def check(self, *, to: str, channel: Channel, code: str, deadline: float) -> CheckOutcome:
        """Ask whether `code` is the one that was sent to `to`.

        Raises:
            ProviderError: the vendor could not be asked.
        """
        answer = self._post("/verify-otp", {"phone": to, "otp": code}, deadline=deadline)
        # The key is `status` here, not `success`. A wrong and an expired code look alike.
        said = answer.object().get("status")
        if answer.ok and said is True:
            return CheckOutcome.RIGHT
        if said is False and (answer.ok or answer.status == 422):
            return CheckOutcome.WRONG
        raise refusal(answer)

    def _carries(self) -> frozenset[Carries]:
        # No notices: an order without a code is an order to mint one.
        return frozenset({Carries.MINT})

    def _request(self, order: Order) -> tuple[str, dict[str, Any]]:
        return "/send-otp", self._template_fields(order)

    @property
    def minted_for_seconds(self) -> int:
        """Return how long the vendor holds a code."""
        return self._settings.verify_ttl_seconds


def refusal(answer: Answer) -> ProviderError:
    """Return the leaf of an answer without Authentica's sign of success."""
    code = f"http_{answer.status}"
    said = answer.object()
    refused = 400 <= answer.status < 500 or (answer.ok and said.get("success") is False)
    if refused and answer.status not in (401, 404, 405, 408, 429) and _speaks_of_credit(said):
        return OutOfCredit(code)
    if answer.ok:
        return Rejected(code) if said.get("success") is False else OutcomeUnknown(code)
    if answer.status in (400, 422) and OUR_FIELDS & _named_fields(said):
        return Misconfigured(code)
    leaf = STATUSES.get(answer.status) or leaf_for_status(answer.status)
    return leaf(code, retry_after=answer.retry_after)


def _named_fields(said: Mapping[str, Any]) -> frozenset[str]:
    errors = said.get("errors")
    return frozenset(errors) if isinstance(errors, dict) else frozenset()


def _speaks_of_credit(said: Mapping[str, Any]) -> bool:
    errors = said.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    words = [said.get("message"), first.get("message") if isinstance(first, dict) else None]
    spoken = " ".join(word.lower() for word in words if isinstance(word, str))
    return any(word in spoken for word in CREDIT_WORDS)
