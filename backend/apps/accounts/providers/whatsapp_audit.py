"""Is the configuration of Meta's WhatsApp alive? Token, number, template in every language: read, never sent.

It must not know how messages are sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlencode

from apps.accounts.providers import auditing
from apps.accounts.providers.base import AuditLine
from apps.accounts.providers.http import Answer, Http

LANGUAGES: Final = ("en", "ar")
# Invalid parameter, unknown object: Meta answers 400 with one of these for an id that is not there.
_UNKNOWN_OBJECT: Final = frozenset({33, 100, 803})


@dataclass(frozen=True, slots=True, repr=False)
class WhatsAppSettings:
    """`business_account_id` may be empty: then templates cannot be read."""

    token: str
    phone_number_id: str
    business_account_id: str
    template_name: str
    template_approved: bool
    api_version: str
    base_url: str


class WhatsAppAuditor:
    """Asks the Graph API."""

    def __init__(
        self, settings: WhatsAppSettings, *, http: Http, headers: Mapping[str, str], signed: bool, public_base_url: str
    ) -> None:
        self._settings = settings
        self._http = http
        self._headers = headers
        self._signed = signed
        self._public_base_url = public_base_url

    def audit(self, *, deadline: float) -> list[AuditLine]:
        """Check token, number, templates and webhook."""
        fields = urlencode({"fields": "id,quality_rating,status"})
        found = self._ask(f"{self._settings.phone_number_id}?{fields}", deadline, expects="id")
        lines = [auditing.tls(self._http, found), *self._number(found)]
        if isinstance(found, Answer) and found.ok:
            lines.extend(self._templates(deadline))
        if not self._settings.template_approved:
            lines.append(auditing.note("whatsapp_open", "OTP_WHATSAPP_TEMPLATE_APPROVED=False shuts this channel."))
        if not self._signed:
            lines.append(
                auditing.warning("webhook_secret", "WHATSAPP_APP_SECRET is not set: every receipt is refused.")
            )
        lines.append(auditing.callbacks(self._public_base_url))
        return lines

    def _ask(self, node: str, deadline: float, *, expects: str) -> Answer | str:
        path = f"/{self._settings.api_version}/{node}"
        return auditing.ask(self._http, path, expects=expects, headers=self._headers, deadline=deadline)

    def _number(self, found: Answer | str) -> list[AuditLine]:
        if isinstance(found, Answer) and found.status == 400 and _code(found) in _UNKNOWN_OBJECT:
            ours = auditing.credentials(Answer(200, b""), variables="WHATSAPP_TOKEN")
            return [
                ours,
                auditing.fault(
                    "sender", "WHATSAPP_PHONE_NUMBER_ID is not a number that this token may use.", str(_code(found))
                ),
            ]
        line = auditing.credentials(found, variables="WHATSAPP_TOKEN")
        if isinstance(found, str) or not found.ok:
            return [line]
        said = found.object()
        if said.get("status", "CONNECTED") != "CONNECTED":
            return [
                line,
                auditing.fault("sender", "The sending number is not connected.", auditing.word(said.get("status"))),
            ]
        quality = auditing.word(said.get("quality_rating"))
        if quality == "RED":
            return [line, auditing.warning("sender", "People block or report this number: Meta may limit it.", quality)]
        return [line, auditing.ok("sender", "The sending number is connected.", quality)]

    def _templates(self, deadline: float) -> list[AuditLine]:
        settings = self._settings
        if not settings.business_account_id:
            return [
                auditing.note(
                    "template", "WHATSAPP_BUSINESS_ACCOUNT_ID is not set: the template's state cannot be read."
                )
            ]
        query = urlencode({"name": settings.template_name, "limit": 100})
        found = self._ask(f"{settings.business_account_id}/message_templates?{query}", deadline, expects="data")
        if isinstance(found, str) or not found.ok:
            return [auditing.unanswered("template", found)]
        listed = found.object().get("data")
        # The name is a search word to Meta: `otp` finds `otp_old`, too.
        ours = [
            one
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, dict) and one.get("name") == settings.template_name
        ]
        return [line for language in LANGUAGES for line in _language(language, ours)]


def _language(language: str, templates: list[dict[str, Any]]) -> list[AuditLine]:
    check = f"template_{language}"
    template = next((one for one in templates if one.get("language") == language), None)
    if template is None:
        return [
            auditing.fault(
                check,
                f"WHATSAPP_TEMPLATE_NAME has no version in {language}: create it and wait for its approval.",
                "missing",
            )
        ]
    state = auditing.word(template.get("status"))
    lines = [auditing.ok(check, "The template is approved.", state)]
    if state != "APPROVED":
        lines = [
            auditing.fault(
                check,
                "Only an approved template can be sent. A pause ends by itself; a disabled template needs a new one.",
                state,
            )
        ]
    if template.get("category") != "AUTHENTICATION":
        lines.append(
            auditing.warning(
                f"{check}_category",
                "Codes belong into a template of the category AUTHENTICATION: others are held back and cost more.",
                auditing.word(template.get("category")),
            )
        )
    lines.append(
        auditing.ok(
            f"{check}_body_sha256", "The text's fingerprint: it changes when the text does.", _fingerprint(template)
        )
    )
    return lines


def _fingerprint(template: Mapping[str, Any]) -> str:
    components = template.get("components")
    texts = [
        str(one.get("text", ""))
        for one in (components if isinstance(components, list) else [])
        if isinstance(one, dict) and str(one.get("type", "")).upper() == "BODY"
    ]
    return sha256("\n".join(texts).encode("utf-8", "replace")).hexdigest()


def _code(answer: Answer) -> int:
    error = answer.object().get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else -1
