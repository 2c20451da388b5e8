"""The next safe action for one person, as one sentence. It must not act, nor know where the story was read from."""

from datetime import datetime, timedelta
from typing import Final

from apps.accounts.config import Config
from apps.accounts.services.attempts import NEVER_CALLED
from apps.accounts.services.windows import SHUT_AFTER, SendRule, judge_send
from apps.ops import wrong_codes
from apps.ops.queries_explain import MessageRow, Story

READ_OUT: Final = "make a read-out code (POST /admin/otp/sessions) after checking who is calling"
_DELIVERY_SECONDS: Final = 60


def next_action(story: Story, *, config: Config) -> str:
    """Return what to do now, by the first rule that fits: what holds a person off comes before what went wrong."""
    for rule in (_blocked, _disabled, _logged_in, _lanes, _refused, _spent, _delivery, _unasked):
        found = rule(story, config)
        if found:
            return found
    return (
        "Nothing is known of this number in the last 24 hours: check it with the person, digit by digit, "
        "and let them ask for a code."
    )


def _blocked(story: Story, _: Config) -> str:
    for row in story.blocks:
        if row.lifted_at is None and (row.expires_at is None or row.expires_at > story.now):
            return (
                f"A block of this {row.type} by {row.created_by} is in force ({row.note or 'no note'}): if the person "
                "is genuine, lift it (DELETE /admin/otp/blacklist) and let them ask for a new code."
            )
    return ""


def _disabled(story: Story, _: Config) -> str:
    if story.account is not None and not story.account.is_active:
        return "The account is disabled: no code will open it. Find out who disabled it and why before anything else."
    return ""


def _logged_in(story: Story, _: Config) -> str:
    opened = max((row.created_at for row in story.sessions if row.revoked_at is None), default=None)
    asked = max((row.created_at for row in story.challenges if row.purpose == "login"), default=None)
    if opened is not None and (asked is None or opened >= asked):
        return f"Nothing: the person logged in at {_clock(opened)} and that session lives."
    return ""


def _lanes(story: Story, config: Config) -> str:
    for lane in story.lanes:
        if lane.lane == "device":
            continue
        if lane.since_login >= SHUT_AFTER:
            return f"Too many wrong codes shut the {lane.lane} lane until the next login: {READ_OUT}."
        recent = wrong_codes.recent(lane, story.now)
        if len(recent) >= config.max_failures_per_day:
            free = recent[-config.max_failures_per_day] + timedelta(hours=24)
            return f"Too many wrong codes in the {lane.lane} lane: it opens at {_clock(free)}; until then {READ_OUT}."
    return ""


def _refused(story: Story, config: Config) -> str:
    sends = [row for row in story.refusals if row.code not in wrong_codes.REFUSALS]
    newest = max(sends, key=lambda row: row.last_at, default=None)
    asked = max((row.created_at for row in story.challenges), default=None)
    if newest is None or (asked is not None and asked > newest.last_at):
        return ""
    if newest.code == "country_not_allowed":
        return "Codes are not sent to this country (OTP_ALLOWED_COUNTRIES, or the pumping guard): see the dashboard."
    if newest.code == "delivery_failed":
        when = _clock(newest.last_at)
        return f"No gateway could be used at {when}: see /otp/status; if one is up, ask again, else {READ_OUT}."
    if newest.code == "rate_limited" and newest.scope in ("ip", "device", "global"):
        return (
            f"The limit of {'the whole service' if newest.scope == 'global' else 'this ' + newest.scope} refused it at "
            f"{_clock(newest.last_at)}: wait, or ask from another network; else {READ_OUT}."
        )
    return ""


def _spent(story: Story, config: Config) -> str:
    until = wrong_codes.spent_until(story, config)
    message = _newest(story)
    if until is None or message is None or message.state == "failed":
        return ""
    return (
        f"Wrong codes by phone alone used up the open code's tries in that lane ({config.max_attempts} of "
        f"{config.max_attempts}) until {_clock(until)}: the app that asked can still use the code, as its "
        f"challenge has tries of its own; else {READ_OUT}."
    )


def _unasked(story: Story, config: Config) -> str:
    wrong = sum(len(wrong_codes.recent(lane, story.now)) for lane in story.lanes)
    if wrong:
        codes = "1 wrong code was" if wrong == 1 else f"{wrong} wrong codes were"
        return (
            f"{codes} typed for this number, and no code was sent to it in the last 24 hours: check it with "
            f"the person, digit by digit, and let them ask for a code; else {READ_OUT}."
        )
    newest = max(story.refusals, key=lambda row: row.last_at, default=None)
    if newest is None:
        return ""
    why = newest.code.replace("_", " ")
    return f"No code was sent, the last call was refused ({why}) at {_clock(newest.last_at)}: {_again(story, config)}"


def _delivery(story: Story, config: Config) -> str:
    newest = max(story.challenges, key=lambda row: row.created_at, default=None)
    if newest is None:
        return ""
    code = next((row for row in story.codes if row.id == newest.code_id), None)
    alive = code is not None and code.state == "open" and code.expires_at > story.now
    if newest.status == "undeliverable":
        return f"The gateway says that this number can never receive a code: check the number, else {READ_OUT}."
    again = _again(story, config)
    message = _newest(story)
    if not alive or newest.status in ("locked", "canceled", "failed"):
        return f"No code is open: {again}"
    return _on_its_way(message, story.now, again)


def _newest(story: Story) -> MessageRow | None:
    """Return the last message that a gateway was called with."""
    called = [row for row in story.messages if row.error_kind != NEVER_CALLED]
    return max(called, key=lambda row: row.created_at, default=None)


def _on_its_way(message: MessageRow | None, now: datetime, again: str) -> str:
    if message is None:
        return f"Nothing was handed to a gateway: {again}"
    if message.state == "delivered":
        return "The newest code was delivered to the handset: let the person look for it and type it before it expires."
    if message.state == "failed":
        return f"The last gateway refused the message ({message.error_kind or message.error_code or 'failed'}): {again}"
    if (now - message.created_at).total_seconds() < _DELIVERY_SECONDS:
        return "The message is on its way: wait a minute."
    return f"No receipt says that the message arrived: {again}"


def _again(story: Story, config: Config) -> str:
    rule = SendRule(
        limit=config.send_limit, window_ms=config.send_window_seconds * 1000, cooldown_ms=config.cooldown_seconds * 1000
    )
    stamps = [int(at.timestamp() * 1000) for at in story.sends]
    verdict = judge_send(stamps, now_ms=int(story.now.timestamp() * 1000), rule=rule)
    if not verdict.wait_ms:
        return f"let the person ask for a code again, by another channel if there is one; else {READ_OUT}."
    free = story.now + timedelta(milliseconds=verdict.wait_ms)
    why = "the number's sends are used up" if verdict.reason == "phone" else "a code was sent a moment ago"
    return f"{why}, the next can be asked for at {_clock(free)}; until then {READ_OUT}."


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%S UTC")
