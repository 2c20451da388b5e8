"""One person's story as support reads it: what happened when, and the next safe action. Numbers are masked.

It must not know HTTP, nor change anything.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from apps.accounts import phones
from apps.accounts.errors import InvalidRequest, NotFound
from apps.accounts.phones import mask
from apps.accounts.services import attempts, statements
from apps.accounts.services.wiring import Services
from apps.ops import queries_explain, wrong_codes
from apps.ops.next_action import next_action
from apps.ops.queries_explain import CodeRow, MessageRow, Story

LOOK_BACK: Final = timedelta(hours=24)
_SUPPORT_CODE: Final = re.compile(r"([2-9A-HJ-NP-Z]{4})-?([2-9A-HJ-NP-Z]{4})", re.ASCII)
_CHALLENGE: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_UNSAID: Final = frozenset({"login.succeeded", "readout.made"})  # sessions and codes tell of these


@dataclass(frozen=True, slots=True)
class Entry:
    at: datetime
    event: str
    outcome: str
    detail: str

    def as_json(self) -> dict[str, str]:
        """Return the members of contract section 6."""
        return {
            "at": self.at.isoformat(timespec="milliseconds"),
            "event": self.event,
            "outcome": self.outcome,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """`id` is the number's opaque id."""

    id: str
    phone_number: str
    timeline: tuple[Entry, ...]
    next_action: str

    def as_json(self) -> dict[str, Any]:
        """Return the answer of contract section 6."""
        return {
            "id": self.id,
            "phone_number": self.phone_number,
            "timeline": [entry.as_json() for entry in self.timeline],
            "next_action": self.next_action,
        }


def explain(q: str, *, services: Services, by_phone: bool) -> Explanation:
    """Tell the story that `q` names: a support code or a challenge id, and with `by_phone` also a number.

    Raises:
        InvalidRequest: it is none of these.
        NotFound: no challenge has this code or id.
    """
    since = statements.now() + services.clock.offset - LOOK_BACK
    named = _named(q)
    if named:
        known = queries_explain.phone_of(named)
        if known is None:
            raise NotFound
        phone, asked_at = known
        since = min(since, asked_at - timedelta(hours=1))
    elif by_phone and q.startswith("+"):
        phone = phones.plausible(q).e164
    else:
        raise InvalidRequest(fields={"q": ["not_valid"]})
    key = services.number_ids.of(phone)
    story = queries_explain.story(phone, phone_key=key, since=since, offset=services.clock.offset)
    timeline = sorted(_entries(story, services), key=lambda entry: entry.at)
    return Explanation(
        id=key[:16],
        phone_number=mask(phone),
        timeline=tuple(timeline),
        next_action=next_action(story, config=services.config),
    )


def _named(q: str) -> str:
    folded = q.strip().upper()
    code = _SUPPORT_CODE.fullmatch(folded)
    if code:
        return f"{code[1]}-{code[2]}"
    return q.strip() if _CHALLENGE.fullmatch(q.strip()) else ""


def _entries(story: Story, services: Services) -> Iterator[Entry]:
    yield from _challenge_entries(story)
    for code in story.codes:
        yield from _code_entries(code, story.now)
    for message in story.messages:
        yield from _message_entries(message)
    yield from _limit_entries(story, services)
    yield from _session_entries(story)
    yield from _hold_entries(story)


def _challenge_entries(story: Story) -> Iterator[Entry]:
    for row in story.challenges:
        known = ", a device that logged in before" if row.by_device_token else ""
        yield Entry(
            row.created_at, "request", "admitted",
            f"{row.purpose} by {row.channel}, support code {row.support_code}, country {row.country or '?'}, "
            f"language {row.language}{known}",
        )  # fmt: skip
        if row.closed_at:
            yield Entry(row.closed_at, "challenge", row.status, f"{row.support_code}, {row.attempts} tries")


def _code_entries(row: CodeRow, now: datetime) -> Iterator[Entry]:
    if row.kind == "readout":
        yield Entry(row.created_at, "readout", "made", f"by {row.operator}: {row.note}")
    if row.used_at:
        yield Entry(row.used_at, "code", "proven", f"{row.purpose}, made {_ago(row.created_at, row.used_at)} before")
    elif row.state == "open" and row.expires_at <= now:
        yield Entry(row.expires_at, "code", "expired", f"{row.purpose}, never proven")


def _message_entries(row: MessageRow) -> Iterator[Entry]:
    parts = [f"{row.provider} {row.channel}"]
    if row.latency_ms is not None:
        parts.append(f"{row.latency_ms} ms")
    if row.error_kind:
        parts.append(row.error_kind + (f" ({row.error_code})" if row.error_code else ""))
    if row.cause != "request":
        parts.append(row.cause)
    outcome = row.state
    if row.receipt_at is not None:
        # What the gateway said at once was overwritten by what its receipt said later.
        outcome = "accepted"
        yield Entry(row.receipt_at, "receipt", row.state, ", ".join(parts))
    if row.error_kind == attempts.NEVER_CALLED:
        outcome = "not called"
    yield Entry(row.created_at, "gateway", outcome, ", ".join(parts))


def _limit_entries(story: Story, services: Services) -> Iterator[Entry]:
    config = services.config
    window = timedelta(seconds=config.send_window_seconds)
    sends = [at for at in story.sends if at > story.now - window]
    if sends:
        state = "full" if config.send_limit and len(sends) >= config.send_limit else "open"
        minutes, limit = config.send_window_seconds // 60, config.send_limit or "any number of"
        yield Entry(sends[-1], "limit", state, f"{len(sends)} of {limit} sends in {minutes} minutes")
    for failure in wrong_codes.failures(story):
        counted = f": {failure.counted} of {config.max_failures_per_day} in 24 hours" if failure.counted else ""
        yield Entry(failure.at, "wrong_code", "counted", f"lane {failure.lane}{counted}")
    for bare in wrong_codes.bare(story, config):
        detail = f"{bare.tries} of {bare.limit} tries of the code by phone alone"
        yield Entry(bare.at, "limit", "full" if bare.is_spent else "open", detail)
    for row in story.refusals:
        what = wrong_codes.refusal(row.scope, config) if row.code in wrong_codes.REFUSALS else row.scope
        times = "once" if row.count == 1 else f"{row.count} times within the hour"
        yield Entry(row.last_at, "refused", row.code, f"{what or 'this number'}, {times}")


def _session_entries(story: Story) -> Iterator[Entry]:
    for row in story.sessions:
        where = f" on {row.device_name}" if row.device_name else ""
        yield Entry(row.created_at, "session", "opened", f"{row.id[:8]} by {row.amr}{where}")
        if row.last_used_at > row.created_at:
            yield Entry(row.last_used_at, "session", "used", row.id[:8])
        if row.revoked_at:
            yield Entry(row.revoked_at, "session", "ended", f"{row.id[:8]}: {row.revoked_reason}")


def _hold_entries(story: Story) -> Iterator[Entry]:
    for row in story.blocks:
        shown = mask(row.value) if row.type == "phone" else row.type if row.type == "device" else row.value
        yield Entry(
            row.created_at, "block", "added", f"{row.type} {shown} by {row.created_by}: {row.note or 'no note'}"
        )
        if row.lifted_at:
            yield Entry(row.lifted_at, "block", "lifted", f"{row.type} {shown}")
        elif row.expires_at and row.expires_at <= story.now:
            yield Entry(row.expires_at, "block", "expired", f"{row.type} {shown}")
    for event in story.audit:
        if event.event not in _UNSAID:
            why = f": {event.note}" if event.note else ""
            yield Entry(event.at, "audit", event.event, f"by {event.actor}{why}")


def _ago(then: datetime, now: datetime) -> str:
    seconds = max(0, round((now - then).total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
