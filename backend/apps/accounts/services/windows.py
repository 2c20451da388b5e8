"""The arithmetic of trailing windows over stamps that live in a locked row. Pure: no database, no clock of its own."""

from dataclasses import dataclass

DAY_MS = 86_400_000
REFUNDS_PER_HOUR = 3
HOUR_MS = 3_600_000
# The waits before the sixth, seventh, … try of a lane, in seconds.
FREE_FAILURES = 5
LONGEST_WAIT_SECONDS = 60
SHUT_AFTER = 100
# What is left where no limit is set: an app that reads 0 offers no resend.
LEFT_WITHOUT_LIMIT = 99


@dataclass(frozen=True, slots=True)
class SendRule:
    """A phone's own limit: `limit` sends per `window_ms`, `cooldown_ms` between two. 0 switches off."""

    limit: int
    window_ms: int
    cooldown_ms: int


@dataclass(frozen=True, slots=True)
class SendVerdict:
    """`wait_ms` is how long until a send would be admitted if nothing else was sent; `reason` is empty for now."""

    reason: str  # "", "cooldown", "phone"
    wait_ms: int
    kept: tuple[int, ...]  # the stamps that still count
    left: int  # sends left in the window; LEFT_WITHOUT_LIMIT where the limit is off


def unasked(now_ms: int) -> int:
    """Return the stamp of a message that a receipt caused: it counts in the window and starts no cooldown.

    It is the time with a minus sign (contract section 7).
    """
    return -now_ms


def judge_send(stamps: list[int], *, now_ms: int, rule: SendRule, cooldown: bool = True) -> SendVerdict:
    """Say whether a send may go out now; without `cooldown`, one that waits for none.

    A stamp counts while it is younger than its window; a negative one is of a message that nobody asked for.
    """
    horizon = max(rule.window_ms, rule.cooldown_ms)
    kept = tuple(sorted((stamp for stamp in stamps if abs(stamp) > now_ms - horizon), key=abs))
    in_window = [abs(stamp) for stamp in kept if abs(stamp) > now_ms - rule.window_ms]
    left = max(0, rule.limit - len(in_window)) if rule.limit else LEFT_WITHOUT_LIMIT
    asked = max(kept, default=0)
    cooldown_wait = asked + rule.cooldown_ms - now_ms if cooldown and asked > 0 and rule.cooldown_ms else 0
    window_wait = 0
    if rule.limit and len(in_window) >= rule.limit:
        window_wait = in_window[-rule.limit] + rule.window_ms - now_ms
    wait = max(0, cooldown_wait, window_wait)
    if wait == 0:
        return SendVerdict(reason="", wait_ms=0, kept=kept, left=left)
    reason = "phone" if window_wait >= cooldown_wait else "cooldown"
    return SendVerdict(reason=reason, wait_ms=wait, kept=kept, left=left)


@dataclass(frozen=True, slots=True)
class TryVerdict:
    """`reason` is empty when the try may be compared; else `shut`, `day` or `early`, with how long that lasts."""

    reason: str
    wait_ms: int
    kept: tuple[int, ...]


def judge_try(stamps: list[int], *, since_login: int, now_ms: int, limit: int, excused: bool) -> TryVerdict:
    """Say whether a lane may take another try.

    `excused` tries (a challenge's first two) pass the day's limit and the waits, never a shut lane.
    From the fifth failure on, tries wait 1, 2, 4, … 60 seconds after the one before (NIST SP 800-63B-4, 3.2.2).
    """
    kept = tuple(sorted(stamp for stamp in stamps if stamp > now_ms - DAY_MS))
    if since_login >= SHUT_AFTER:
        return TryVerdict(reason="shut", wait_ms=DAY_MS, kept=kept)
    if excused:
        return TryVerdict(reason="", wait_ms=0, kept=kept)
    if len(kept) >= limit:
        return TryVerdict(reason="day", wait_ms=max(1, kept[-limit] + DAY_MS - now_ms), kept=kept)
    if len(kept) >= FREE_FAILURES:
        pause = min(LONGEST_WAIT_SECONDS, 2 ** min(10, len(kept) - FREE_FAILURES)) * 1000
        wait = kept[-1] + pause - now_ms
        if wait > 0:
            return TryVerdict(reason="early", wait_ms=wait, kept=kept)
    return TryVerdict(reason="", wait_ms=0, kept=kept)


def whole_seconds(ms: int) -> int:
    """Return milliseconds as the whole seconds after which they have surely passed, at least 1."""
    return max(1, -(-ms // 1000))
