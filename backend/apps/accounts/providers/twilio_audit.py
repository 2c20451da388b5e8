"""Is the configuration of Twilio alive? Account, balance, sender, template: read, never sent.

It must not know the SDK. Checks whose name begins with `whatsapp_` bear on that channel only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from apps.accounts.providers import auditing
from apps.accounts.providers.base import AuditLine
from apps.accounts.providers.http import Answer, Http


@dataclass(frozen=True, slots=True, repr=False)
class TwilioSettings:
    """A Messaging Service goes before a sender number; `whatsapp_open` says that the template is approved."""

    account_sid: str
    auth_token: str
    phone_number: str
    messaging_service_sid: str
    whatsapp_from: str
    content_sid: str
    whatsapp_open: bool
    base_url: str
    min_balance: int


class TwilioAuditor:
    """Asks three of Twilio's hosts; behind another TWILIO_BASE_URL all questions go there."""

    def __init__(
        self, settings: TwilioSettings, *, http: Http, headers: Mapping[str, str], public_base_url: str, timeout: float
    ) -> None:
        self._settings = settings
        self._http = http
        self._headers = {"Accept": "application/json", **headers}
        self._public_base_url = public_base_url
        self._timeout = timeout

    def audit(self, *, deadline: float) -> list[AuditLine]:
        """Check account, balance, sender and template."""
        account = f"/2010-04-01/Accounts/{self._settings.account_sid}"
        found = self._ask(self._http, f"{account}.json", deadline, expects="status")
        lines = [auditing.tls(self._http, found), _account(found)]
        if isinstance(found, Answer) and found.ok:
            lines.append(self._balance(f"{account}/Balance.json", deadline))
            lines.extend(self._senders(account, deadline))
            lines.extend(self._template(deadline))
        lines.append(auditing.callbacks(self._public_base_url))
        return lines

    def _ask(self, http: Http, path: str, deadline: float, *, expects: str) -> Answer | str:
        return auditing.ask(http, path, expects=expects, headers=self._headers, deadline=deadline)

    def _balance(self, path: str, deadline: float) -> AuditLine:
        found = self._ask(self._http, path, deadline, expects="balance")
        if isinstance(found, str) or not found.ok:
            return auditing.unanswered("balance", found)
        said = found.object()
        return auditing.balance(
            said.get("balance"), threshold=self._settings.min_balance, currency=said.get("currency")
        )

    def _senders(self, account: str, deadline: float) -> list[AuditLine]:
        settings = self._settings
        if settings.messaging_service_sid:
            found = self._ask(
                self._at("messaging"), f"/v1/Services/{settings.messaging_service_sid}", deadline, expects="sid"
            )
            return [_known("sender", found, variable="TWILIO_MESSAGING_SERVICE_SID")]
        if settings.phone_number.startswith("+"):
            query = urlencode({"PhoneNumber": settings.phone_number})
            found = self._ask(
                self._http, f"{account}/IncomingPhoneNumbers.json?{query}", deadline, expects="incoming_phone_numbers"
            )
            return [_owned(found)]
        if settings.phone_number:
            return [
                auditing.note("sender", "A sender name or short code cannot be read: send one live message to be sure.")
            ]
        return []

    def _template(self, deadline: float) -> list[AuditLine]:
        settings = self._settings
        if not settings.content_sid:
            return []
        path = f"/v1/Content/{settings.content_sid}/ApprovalRequests"
        found = self._ask(self._at("content"), path, deadline, expects="whatsapp")
        line = _known("whatsapp_template", found, variable="TWILIO_CONTENT_SID")
        return [_approval(found.object()) if isinstance(found, Answer) and found.ok else line]

    def _at(self, product: str) -> Http:
        """Return the connections to another product's host: `api.` of Twilio's own names becomes `content.`."""
        parts = urlsplit(self._http.base_url)
        host = parts.hostname or ""
        if not (host.startswith("api.") and host.endswith(".twilio.com")):
            return self._http
        return Http(f"{parts.scheme}://{product}{host.removeprefix('api')}", timeout=self._timeout, connections=1)


def _account(found: Answer | str) -> AuditLine:
    line = auditing.credentials(found, variables="TWILIO_ACCOUNT_SID or TWILIO_AUTH_TOKEN")
    if isinstance(found, str) or not found.ok or found.object().get("status") == "active":
        return line
    return auditing.fault(
        "credentials",
        "The account is not active: it sends nothing. Look at its console.",
        auditing.word(found.object().get("status")),
    )


def _known(check: str, found: Answer | str, *, variable: str) -> AuditLine:
    if isinstance(found, Answer) and found.status in (400, 404):
        return auditing.fault(check, f"The account has no such thing as {variable} names.", "http_404")
    if isinstance(found, str) or not found.ok:
        return auditing.unanswered(check, found)
    return auditing.ok(check, f"{variable} names something of this account.")


def _owned(found: Answer | str) -> AuditLine:
    if isinstance(found, str) or not found.ok:
        return auditing.unanswered("sender", found)
    if found.object().get("incoming_phone_numbers"):
        return auditing.ok("sender", "TWILIO_PHONE_NUMBER belongs to this account.")
    return auditing.fault("sender", "TWILIO_PHONE_NUMBER does not belong to this account.")


def _approval(said: Mapping[str, Any]) -> AuditLine:
    whatsapp = said.get("whatsapp")
    state = auditing.word(whatsapp.get("status")) if isinstance(whatsapp, dict) else "unknown"
    if state == "approved":
        return auditing.ok("whatsapp_template", "The content template is approved.", state)
    return auditing.fault(
        "whatsapp_template",
        "Only an approved content template can be sent: set OTP_WHATSAPP_TEMPLATE_APPROVED=False until it is.",
        state,
    )
