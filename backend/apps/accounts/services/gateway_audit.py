"""The audit of the gateways: is each configuration alive? Asked without spending a message; a live one on demand.

Its word is kept: status, dashboard and metrics show the last one, and a gateway with a fault is not used while another
one is up. It must not know how a vendor is asked, nor how findings are printed.
"""

import json
import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from apps.accounts import codes, messages
from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.errors import InvalidRequest
from apps.accounts.phones import Phone
from apps.accounts.providers.base import AuditLine, Auditor, Channel, Finding, Order, Provider, ProviderError
from apps.accounts.services import audit, statements

SECONDS_PER_GATEWAY: Final = 15.0
_RANK: Final = (Finding.OK, Finding.NOTE, Finding.WARNING, Finding.FAULT)
# A fault of these checks concerns WhatsApp alone and does not take the whole gateway out.
_ONE_CHANNEL: Final = ("whatsapp_", "template_")


@dataclass(frozen=True, slots=True)
class Audited:
    """What was found about one gateway; `at` by the database's clock."""

    provider: str
    at: datetime
    lines: tuple[AuditLine, ...]

    @property
    def finding(self) -> Finding:
        """Return the worst line's finding."""
        return max((line.finding for line in self.lines), key=_RANK.index, default=Finding.OK)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON for operators."""
        return {
            "provider": self.provider,
            "at": self.at.isoformat(),
            "finding": self.finding.value,
            "lines": [line_json(line) for line in self.lines],
        }


def line_json(line: AuditLine) -> dict[str, Any]:
    """Return one line as JSON."""
    value = None if line.value is None else str(line.value)
    return {"check": line.check, "finding": line.finding.value, "advice": line.advice, "value": value}


class Vouch(Protocol):
    """Who is told that an audit that took `seconds` found a gateway well on a channel."""

    def __call__(self, name: str, *, channel: str, seconds: float) -> None: ...


class GatewayAudits:
    """Runs audits and keeps their word."""

    def __init__(
        self,
        *,
        config: Config,
        providers: Mapping[str, Provider],
        clock: Clock,
        mark: Callable[[str, bool, str], None],
        vouch: Vouch,
        keep_templates: Callable[[str, Sequence[AuditLine]], None],
    ) -> None:
        self._config = config
        self._providers = providers
        self._clock = clock
        self._mark = mark
        self._vouch = vouch
        self._keep_templates = keep_templates

    def run(self) -> list[Audited]:
        """Audit every gateway that can be asked, keep what was found, and tell the health of faults."""
        found = []
        for name, provider in self._providers.items():
            if not isinstance(provider, Auditor):
                continue
            began = time.monotonic()
            lines = [*provider.audit(deadline=time.monotonic() + SECONDS_PER_GATEWAY), *self._webhook(name)]
            audited = Audited(provider=name, at=statements.now() + self._clock.offset, lines=tuple(lines))
            self._keep(audited)
            self._keep_templates(name, lines)
            for channel in Channel:
                if is_well(lines, channel=channel.value):
                    self._vouch(name, channel=channel.value, seconds=time.monotonic() - began)
            found.append(audited)
        return found

    def last(self) -> list[dict[str, Any]]:
        """Return the newest audit of each gateway as JSON."""
        return [
            {"provider": provider, "at": at.isoformat(), "finding": finding, "lines": json.loads(lines)}
            for provider, at, finding, lines in self.newest()
        ]

    def newest(self) -> list[tuple[str, datetime, str, str]]:
        """Return provider, time, finding and lines (JSON) of the newest audit of each configured gateway, by name.

        One look into an index for each, however many audits are kept.
        """
        one = (
            "SELECT * FROM (SELECT provider, at, finding, lines FROM accounts_gatewayaudit WHERE provider = %s "
            "ORDER BY at DESC, id DESC LIMIT 1) newest"
        )
        names = sorted(self._providers)
        rows = statements.rows(" UNION ALL ".join([one] * len(names)), names) if names else []
        return sorted((provider, statements.as_time(at), finding, lines) for provider, at, finding, lines in rows)

    def _keep(self, audited: Audited) -> None:
        whole = [line for line in audited.lines if _bears_on_all(line) and line.check != "webhook"]
        faults = [line.check for line in whole if line.finding is Finding.FAULT]
        with statements.durable():
            statements.run(
                "INSERT INTO accounts_gatewayaudit (at, provider, finding, lines) VALUES (%s, %s, %s, %s)",
                (audited.at, audited.provider, audited.finding.value,
                 json.dumps([line_json(line) for line in audited.lines], ensure_ascii=False)),
            )  # fmt: skip
            if faults:
                audit.record("gateway.audit_failed", actor="audit", subject=audited.provider, note=", ".join(faults))
        unsure = any(line.finding is Finding.WARNING and line.check in ("reachable", "credentials") for line in whole)
        if faults or not unsure:  # a gateway that could not be asked has not been found to be right
            self._mark(audited.provider, not faults, ", ".join(faults))

    def _webhook(self, name: str) -> Sequence[AuditLine]:
        """Say whether receipts can come back: their settings, and whether our own public address answers."""
        needs = {"twilio": ("TWILIO_AUTH_TOKEN",), "whatsapp": ("WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN")}
        if name not in needs:
            return []
        missing = [variable for variable in needs[name] if not self._config[variable]]
        if not self._config.public_base_url:
            missing.append("PUBLIC_BASE_URL")
        if missing:
            advice = f"No delivery receipts: set {', '.join(missing)}."
            return [AuditLine("webhook", Finding.WARNING, advice)]
        return [_own_address(self._config.public_base_url)]

    # --- one live message -----------------------------------------------------------------------------------------

    def send_live(self, phone: Phone, *, gateway: str, actor: str) -> "Live":
        """Send one code that opens nothing to `phone` by `gateway`.

        Raises:
            InvalidRequest: no such gateway.
            ProviderError: the gateway did not take it.
        """
        provider = self._providers.get(gateway)
        if provider is None or Channel.SMS not in provider.channels():
            raise InvalidRequest(fields={"gateway": ["choice"]})
        code = f"{secrets.randbelow(10**codes.LENGTH):0{codes.LENGTH}d}"
        message_id = uuid.uuid4().hex
        with statements.durable():
            statements.run(
                "INSERT INTO accounts_message (id, send_id, cause, phone, country, provider, channel, state, "
                "vendor_id, error_kind, error_code, created_at) "
                f"VALUES (%s, %s, 'audit', %s, %s, %s, 'sms', 'sending', '', '', '', {statements.now_sql()})",
                (message_id, message_id, phone.e164, phone.region, gateway),
            )
            audit.record("gateway.audited_live", actor=actor, subject=str(phone), note=gateway)
        order = Order(
            to=phone.e164, channel=Channel.SMS, code=code, language="en", reference=message_id,
            text=messages.code_text(code, language=messages.Language.EN, options=self._config.texts),
            deadline=time.monotonic() + self._config.send_deadline, callback_url=self._callback(gateway),
        )  # fmt: skip
        state, vendor_id = "accepted", ""
        try:
            vendor_id = provider.send(order).vendor_id
        except ProviderError as error:
            state = "failed" if error.definite else "unknown"
            raise
        finally:
            statements.run(
                "UPDATE accounts_message SET state = CASE WHEN state = 'sending' THEN %s ELSE state END, "
                f"vendor_id = %s, finished_at = {statements.now_sql()} WHERE id = %s",
                (state, vendor_id[:128], message_id),
            )
        return Live(message_id=message_id, code=code)

    def receipt_of(self, live: "Live") -> str:
        """Return the state of a live message: accepted until a receipt says more."""
        found = statements.row("SELECT state FROM accounts_message WHERE id = %s", (live.message_id,))
        return str(found[0]) if found else "unknown"

    def _callback(self, gateway: str) -> str | None:
        if gateway == "twilio" and self._config.public_base_url:
            return f"{self._config.public_base_url}/api/webhooks/twilio/"
        return None


@dataclass(frozen=True, slots=True, repr=False)
class Live:
    """A live message that went out, and the code that is ours."""

    message_id: str
    code: str

    def is_ours(self, typed: str) -> bool:
        """Say whether the handset got our own code."""
        found = codes.clean(typed)
        return found is not None and codes.equal(found, self.code)


def is_well(lines: Sequence[AuditLine], *, channel: str) -> bool:
    """Say whether the gateway answered, knows us and has no fault that bears on `channel`."""
    bearing = [line for line in lines if channel == Channel.WHATSAPP.value or not line.check.startswith("whatsapp_")]
    known = any(line.check == "credentials" and line.finding is Finding.OK for line in bearing)
    return known and all(line.finding is not Finding.FAULT for line in bearing)


def is_whole(lines: Sequence[AuditLine]) -> bool:
    """Say whether the gateway answered, knows us and has no fault that takes all of it out."""
    return is_well([line for line in lines if _bears_on_all(line)], channel=Channel.SMS.value)


def _bears_on_all(line: AuditLine) -> bool:
    return not line.check.startswith(_ONE_CHANNEL)


def _own_address(base: str) -> AuditLine:
    host = urlsplit(base).hostname or ""
    if urlsplit(base).scheme == "http":
        return AuditLine("webhook", Finding.NOTE, "PUBLIC_BASE_URL is plain http to this machine: fit for tests only.")
    try:
        with urlopen(
            Request(f"{base}/healthz"), timeout=5
        ) as answer:  # https, or http to loopback: checked at the start
            if answer.status == 200:
                return AuditLine("webhook", Finding.OK, f"Receipts can reach {host}.")
    except HTTPError as error:
        return AuditLine("webhook", Finding.WARNING, f"{host} answers {error.code} to /healthz: is it this service?")
    except (URLError, OSError, ValueError):
        pass
    return AuditLine("webhook", Finding.NOTE, f"{host} cannot be reached from here; vendors may still reach it.")
