"""Every log line, metric and audit record as a named function: masks here, label sets bounded here.

It must not decide anything, and never gets a code, a token or a secret to begin with.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from prometheus_client import Counter, Gauge, Histogram

from apps.accounts.phones import Phone

log = structlog.get_logger("otp")

GATEWAY_STATES: Final = ("up", "cooling", "demoted", "misconfigured", "forced")
_LATENCY: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 9, 15)

REQUESTED = Counter("otp_requests_total", "Admitted requests and resends.", ["purpose", "channel", "kind"])
REFUSED = Counter("otp_refused_total", "Refused requests and verifies by error code and scope.", ["code", "scope"])
GATEWAY = Counter("otp_gateway_attempts_total", "Tries at gateways by outcome.", ["provider", "channel", "outcome"])
GATEWAY_SECONDS = Histogram("otp_gateway_seconds", "Time of a try at a gateway.", ["provider"], buckets=_LATENCY)
GATEWAY_STATE = Gauge(
    "otp_gateway_state",
    "1 for the state that a gateway is in: up, cooling, demoted, misconfigured or forced.",
    ["provider", "state"],
    multiprocess_mode="mostrecent",
)
VERIFIED = Counter("otp_verified_total", "Codes proven.", ["purpose"])
WRONG = Counter("otp_wrong_codes_total", "Wrong codes by lane.", ["lane"])
RECEIPTS = Counter("otp_receipts_total", "Delivery receipts by status.", ["provider", "status"])
NOTICES = Counter("otp_notices_total", "Notices by kind and how they ended.", ["kind", "outcome"])
SENT_ON = Counter("otp_sent_on_total", "Messages that a receipt called failed, by what was done about it.", ["outcome"])
AUDITED = Counter("otp_audit_events_total", "Audit records by event.", ["event"])
ALARMS = Counter("otp_alarms_total", "Alarms by name.", ["alarm"])
LIMITS = Counter(
    "otp_limit_decisions_total",
    "Sends that limits judged, once each, by the limit that refused.",
    ["decision", "scope"],
)
ANSWERS = Counter("otp_http_answers_total", "Answers by route and status.", ["route", "status"])
ANSWER_SECONDS = Histogram("otp_http_seconds", "Time of our own answers by route.", ["route"], buckets=_LATENCY)
LINES_DROPPED = Counter("otp_log_lines_dropped_total", "Log lines that could not be written.")
ALARM_NAMES: Final = (
    "all_gateways_fell",
    "code_key_unknown",
    "conversion_fell",
    "gateway_demoted",
    "gateway_down",
    "gateway_misconfigured",
    "gateway_out_of_credit",
    "gateway_slow",
    "guard_crashed",
    "proof_service_down",
    "pulse_crashed",
    "pumping_guard",
    "wrong_codes_spray",
)
# A series that begins with its first event never rises: whoever watches for a rise must have seen it at 0.
for _name in ALARM_NAMES:
    ALARMS.labels(_name)
for _scope in ("global", "store"):
    LIMITS.labels("refused", _scope)


def requested(*, phone: Phone, purpose: str, channel: str, kind: str, challenge_id: str, provider: str) -> None:
    """Tell of an admitted request or resend."""
    REQUESTED.labels(purpose, channel, kind).inc()
    LIMITS.labels("admitted", "").inc()
    log.info(
        "otp.requested",
        phone=str(phone),
        country=phone.region,
        purpose=purpose,
        channel=channel,
        kind=kind,
        challenge=challenge_id[:8],
        provider=provider,
    )


_refusals: list[Callable[[str, str, Phone | None], None]] = []


def tell_refusals_to(listener: Callable[[str, str, Phone | None], None]) -> None:
    """Have `listener(code, scope, phone)` told of each refusal, in place of any other; it must cost nothing."""
    _refusals[:] = [listener]


def refused(*, code: str, scope: str = "", phone: Phone | None = None) -> None:
    """Tell of a refusal by limit, block, policy or want of a gateway."""
    for listener in _refusals:
        listener(code, scope, phone)
    REFUSED.labels(code, scope).inc()
    log.info("otp.refused", code=code, scope=scope, phone=str(phone) if phone else "")  # safe: the error's code


def send_refused(*, limit: str) -> None:
    """Count a send that a limit refused, `store` where nothing could judge; those admitted are counted by `requested`.

    A send is counted once, whichever store judged it. Guesses are not: a single one asks several limits, in turn.
    """
    LIMITS.labels("refused", limit).inc()


def answered(*, route: str, status: int, seconds: float) -> None:
    """Count one answer of ours; `route` is a route's name, never a path."""
    ANSWERS.labels(route, str(status)).inc()
    ANSWER_SECONDS.labels(route).observe(seconds)


def lines_dropped(count: int) -> None:
    """Count log lines that were lost; writes none, for obvious reasons."""
    LINES_DROPPED.inc(count)


def attempted(*, provider: str, channel: str, outcome: str, error_code: str, seconds: float, message_id: str) -> None:
    """Tell how one try at one gateway ended."""
    GATEWAY.labels(provider, channel, outcome).inc()
    GATEWAY_SECONDS.labels(provider).observe(seconds)
    event = "otp.sent" if outcome == "accepted" else "otp.send_failed"
    log.info(
        event,
        provider=provider,
        channel=channel,
        outcome=outcome,
        error_code=error_code,
        ms=round(seconds * 1000),
        message=message_id[:8],
    )


def gateways_stand(states: Mapping[str, str]) -> None:
    """Tell in which state each gateway is."""
    for provider, state in states.items():
        for one in GATEWAY_STATES:
            GATEWAY_STATE.labels(provider, one).set(one == state)


def verified(*, phone: str, purpose: str) -> None:
    """Tell of a code that was proven; the caller passes the number masked."""
    VERIFIED.labels(purpose).inc()
    log.info("otp.verified", phone=phone, purpose=purpose)


def wrong_code(*, phone: Phone | None, lane: str) -> None:
    """Tell of a wrong code; `lane` is `challenge`, `phone`, `device`, `readout` or `none`."""
    WRONG.labels(lane).inc()
    log.info("otp.wrong_code", phone=str(phone) if phone else "", lane=lane)


def receipts(*, provider: str, status: str, count: int) -> None:
    """Count receipts: `status` is the state a message moved to, or `repeated` for one that moved nothing."""
    if count:
        RECEIPTS.labels(provider, status).inc(count)


def sent_on(*, message_id: str, outcome: str) -> None:
    """Tell what became of a message that a receipt called failed."""
    SENT_ON.labels(outcome).inc()
    log.info("otp.sent_on", message=message_id[:8], outcome=outcome)


def notice(*, kind: str, outcome: str) -> None:
    """Tell how a notice ended: `sent`, `unknown`, `unsent`, `test`."""
    NOTICES.labels(kind, outcome).inc()
    log.info("otp.notice", kind=kind, outcome=outcome)


def alarm(name: str, **facts: Any) -> None:
    """Raise an alarm: a metric that the alert rules watch and a log line."""
    ALARMS.labels(name).inc()
    log.warning("otp.alarm", alarm=name, **facts)


def happened(event: str, **facts: Any) -> None:
    """Tell of anything else as `otp.<event>`; the caller passes masked values only."""
    name = f"otp.{event}"
    log.info(name, **facts)


def audit_row(
    event: str, *, actor: str, subject: str = "", note: str = "", detail: dict[str, Any] | None = None
) -> tuple[str, str, str, str, str, str]:
    """Return the columns of an audit record (event, actor, subject, note, request id, detail as JSON) and count it."""
    audited(event)
    return (event, actor[:64], subject[:64], note[:255], request_id(), audit_detail(detail or {}))


def operated(event: str, *, actor: str, subject: str) -> None:
    """Tell of an operator's act that is committed; its note may hold anything and stays in the audit trail.

    A log that is shipped outlives a database that is restored to a moment before the act.
    """
    log.info("otp.operated", act=event, actor=actor, subject=subject)


def audited(event: str) -> None:
    """Count an audit record."""
    AUDITED.labels(event).inc()


def audit_detail(detail: dict[str, Any]) -> str:
    """Return an audit record's detail as its column holds it."""
    return json.dumps(detail, ensure_ascii=False)


def request_id() -> str:
    """Return the id of the request that is being answered, or empty."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))[:64]
