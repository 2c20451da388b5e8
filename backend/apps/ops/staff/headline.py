"""One sentence and a few lines: is login working, for whom not, since when, why, and what is done about it. Pure.

It must not know a database or a page. `{EG}` stands for a country's name and `{@2026-01-31T12:00:00+00:00}` for a time:
whoever shows a line puts in the words of the reader's own place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from apps.accounts.services.limits import StoreState
from apps.ops.board import GatewayState
from apps.ops.queries_events import Event
from apps.ops.staff.words import clause, listed, percent, title
from apps.ops.traffic import Sums, percentile

# Fewer people than this say nothing of a country; of everybody together a few more are wanted.
FEWEST_IN_A_COUNTRY: Final = 5
FEWEST: Final = 8
# Below this share of what is usual, login fares badly; below the other, it does not work.
BADLY: Final = 0.6
NOT_AT_ALL: Final = 0.15
# Taken for usual where nothing is known of the past.
PRESUMED: Final = 0.7
_WELL: Final = frozenset({"up", "forced"})


class Level(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Fall:
    """How a country, or with an empty name everybody, fares now beside what is usual, and since when."""

    country: str
    opened: int
    converted: int
    usual: float
    since: datetime | None = None
    gateways: tuple[str, ...] = ()  # who carried those codes, most first

    @property
    def conversion(self) -> float:
        """Return the share that got in."""
        return self.converted / self.opened if self.opened else 1.0

    @property
    def is_bad(self) -> bool:
        """Say whether far fewer get in than usual."""
        return self.conversion < self.usual * BADLY

    @property
    def is_total(self) -> bool:
        """Say whether hardly anybody gets in."""
        return self.conversion < self.usual * NOT_AT_ALL


@dataclass(frozen=True, slots=True)
class Held:
    """A country, prefix or budget that the pumping guard holds back."""

    kind: str
    subject: str
    state: str
    reason: str
    mode: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known. `everybody` and `countries` are people whose time to log in has passed: 2 to 17 minutes ago."""

    now: datetime
    store: StoreState
    gateways: Sequence[GatewayState]
    everybody: Fall
    countries: Sequence[Fall]
    hour: Sums
    refused: Mapping[str, int] = field(default_factory=dict)  # by code, in the hour
    failures: Sequence[tuple[str, str, int]] = ()  # gateway, kind of error, how many in the hour
    refusing: Mapping[str, tuple[int, datetime]] = field(default_factory=dict)  # gateway, noes in a row, since when
    events: Sequence[Event] = ()
    chosen: tuple[str, str, str, datetime | None] | None = None  # gateway, who, note, until
    held: Sequence[Held] = ()


@dataclass(frozen=True, slots=True)
class Headline:
    """`because` and `doing` are whole sentences; `since` is when the worst of it began."""

    level: Level
    sentence: str
    since: datetime | None = None
    note: str = ""
    because: tuple[str, ...] = ()
    doing: tuple[str, ...] = ()


def headline(now: Situation) -> Headline:
    """Say how it is."""
    level, sentence, since = _verdict(now)
    return Headline(level, sentence, since, _note(now), because=tuple(_because(now)), doing=tuple(_doing(now)))


def _verdict(now: Situation) -> tuple[Level, str, datetime | None]:
    if now.store is StoreState.UNAVAILABLE:
        return Level.DOWN, "Login is not working: Redis is gone, and without it no code may be sent.", None
    # What most people ask for is a text: without one, login works for few, whatever WhatsApp does.
    texting = [one for one in now.gateways if "sms" in one.channels] or now.gateways
    if texting and not any(one.usable for one in texting):
        names = listed([title(one.name) for one in texting])
        who = f"none of {names} can" if len(texting) > 1 else f"{names} cannot"
        what = "codes by SMS" if any(one.usable for one in now.gateways) else "codes"
        return Level.DOWN, f"Login is not working: {who} send {what}.", _since(now, _unwell(now))
    texting = [one for one in texting if one.usable]
    if texting and all(_refuses(now, one) for one in texting):
        verb = "says" if len(texting) == 1 else "say"
        names = listed([title(one.name) for one in texting])
        return Level.DOWN, f"Login is not working: {names} {verb} no to every code.", _since(now, _unwell(now))
    if now.everybody.opened >= FEWEST and now.everybody.is_total:
        return Level.DOWN, f"Login is not working: {_counted(now.everybody)} got in.", now.everybody.since
    fallen = [one for one in now.countries if one.opened >= FEWEST_IN_A_COUNTRY and one.is_bad]
    if fallen:
        worst = min(fallen, key=lambda one: (one.conversion / one.usual, -one.opened))
        return Level.DEGRADED, _for_whom(fallen, len(now.countries)), worst.since
    if now.everybody.opened >= FEWEST and now.everybody.is_bad:
        return Level.DEGRADED, f"Login is working badly: {_counted(now.everybody)} got in.", now.everybody.since
    return _calm(now)


def _note(now: Situation) -> str:
    hour = now.hour
    if not hour.opened:
        return ""
    median = percentile(hour.waits, 0.5)
    quickly = f", half of them within {median / 10:.0f} s" if median is not None and median >= 10 else ""
    return f"In the last hour {hour.converted} of {hour.opened} codes that were asked for let somebody in{quickly}."


def _calm(now: Situation) -> tuple[Level, str, datetime | None]:
    unwell = _unwell(now)
    if unwell:
        gone = [one for one in unwell if not _limps(one)]
        how = "without" if gone else "but late, or not on every channel, by"
        names = listed([title(one.name) for one in gone or unwell])
        return Level.DEGRADED, f"Login is working, {how} {names}.", _since(now, unwell)
    if now.store is StoreState.MEMORY_FALLBACK:
        return Level.DEGRADED, "Login is working, but Redis is gone.", None
    stopped = [one for one in now.held if one.mode == "enforce" and one.state == "paused"]
    if stopped:
        paused = f"{listed([_subject(one) for one in stopped])} {'are' if len(stopped) > 1 else 'is'} paused"
        return Level.DEGRADED, f"Login is working, but {paused}.", None
    if not now.hour.opened:
        return Level.OK, "Login is up. Nobody has asked for a code in the last hour.", None
    return Level.OK, "Login is working.", None


def _for_whom(fallen: Sequence[Fall], countries: int) -> str:
    gone = [one for one in fallen if one.is_total]
    worse = gone or list(fallen)
    names = listed([f"{{{one.country}}}" for one in worse])
    counted = f" ({_counted(worse[0])} got in)" if len(worse) == 1 else ""
    if countries == len(fallen):
        return f"Login {'is not working' if gone else 'is working badly'} in {names}{counted}."
    return f"Login is working, but {'not' if gone else 'badly'} in {names}{counted}."


def _because(now: Situation) -> list[str]:
    lines = []
    for one in _unwell(now):
        at = _since(now, [one])
        if _refuses(now, one):
            lines.append(
                f"{title(one.name)} is up and says no to every code{clause(at)}: {now.refusing[one.name][0]} tries."
            )
            continue
        how = _LIMPS if _limps(one) else _STATES[one.state]
        lines.append(f"{title(one.name)} {how}{clause(at)}{_reason(now, one.name)}.")
    for fall in [one for one in now.countries if one.opened >= FEWEST_IN_A_COUNTRY and one.is_bad][:4]:
        by = f"; their codes went by {listed([title(name) for name in fall.gateways])}" if fall.gateways else ""
        lines.append(
            f"{{{fall.country}}}: {_counted(fall)} got in, {percent(fall.usual)} is usual{clause(fall.since)}{by}."
        )
    if now.store in {StoreState.MEMORY_FALLBACK, StoreState.UNAVAILABLE}:
        lines.append("Redis does not answer.")
    lines += [
        f"{_subject(one)}: {_GUARD_REASONS.get(one.reason, one.reason.replace('_', ' '))}." for one in now.held[:4]
    ]
    refused = sum(now.refused.values())
    if refused > max(20, now.hour.requested):
        most = max(now.refused, key=lambda code: now.refused[code])
        lines.append(f"More calls were refused ({refused}) than admitted ({now.hour.requested}), most by {most}.")
    deployed = next((one for one in now.events if one.kind == "release" and one.detail.get("from")), None)
    if lines and deployed is not None:
        lines.append(f"Version {deployed.subject} was deployed{clause(deployed.at, word='at')}.")
    return lines


def _doing(now: Situation) -> list[str]:
    lines = []
    if now.chosen is not None:
        name, who, note, until = now.chosen
        why = f" (“{note}”)" if note else ""
        end = f" until {{@{until.isoformat()}}}" if until else " until somebody lifts it"
        lines.append(f"{who} put {title(name)} first{why}{end}.")
    refusing = [title(one.name) for one in now.gateways if _refuses(now, one)]
    well = [title(one.name) for one in now.gateways if one.state in _WELL and not _refuses(now, one)]
    limping = [title(one.name) for one in now.gateways if _limps(one)]
    gone = [title(one.name) for one in now.gateways if not one.usable]
    demoted = [title(one.name) for one in now.gateways if one.state == "demoted"]
    if well and (gone or limping):
        probed = (
            "gets probes and comes back by itself"
            if len(gone + limping) == 1
            else "get probes and come back by themselves"
        )
        lines.append(f"Codes go by {listed(well)}. {listed([*gone, *limping])} {probed}.")
    elif limping:
        lines.append(f"Codes go by {listed(limping)} all the same; what fails there is tried again by itself.")
    if gone and not well:
        lines.append(f"{listed(gone)} gets a probe every two seconds; the first that succeeds ends it.")
    if refusing:
        way = f"Codes go by {listed(well)} all the same" if well else "Nothing yet"
        lines.append(f"{way}; the answers of {listed(refusing)} are below, under the tries that failed.")
    if demoted:
        lines.append(f"The watch has moved traffic away from {listed(demoted)}; one code of twenty keeps trying it.")
    if now.store is StoreState.MEMORY_FALLBACK:
        lines.append("Limits are judged in the memory of each process until Redis is back; no limit is off.")
    for one in now.held[:4]:
        verb = _GUARD_ACTS[one.state]
        lines.append(
            f"The guard {verb if one.mode == 'enforce' else 'would have acted, and only observes:'} {_subject(one)}"
            f"{f' until {{@{one.until.isoformat()}}}' if one.until else ''}."
        )
    fallen = [one for one in now.countries if one.opened >= FEWEST_IN_A_COUNTRY and one.is_bad]
    if fallen and not lines:
        lines.append("Nothing yet: no gateway was found at fault. Switch the gateway below if you know better.")
    return lines


_STATES: Final[Mapping[str, str]] = {
    "cooling": "does not take codes and is cooling",
    "demoted": "takes codes that do not arrive",
    "misconfigured": "is misconfigured",
}
_LIMPS: Final = "takes codes late, or not on every channel"
_GUARD_ACTS: Final[Mapping[str, str]] = {"slow": "slows", "paused": "has paused", "probation": "lets few through to"}
_GUARD_REASONS: Final[Mapping[str, str]] = {"budget_gone": "the day's money is spent"}


def _limps(gateway: GatewayState) -> bool:
    return gateway.usable and gateway.state in {"cooling", "misconfigured"}


def _unwell(now: Situation) -> list[GatewayState]:
    return [one for one in now.gateways if one.state in _STATES or _refuses(now, one)]


def _refuses(now: Situation, gateway: GatewayState) -> bool:
    return gateway.name in now.refusing and gateway.state in _WELL


def _since(now: Situation, gateways: Sequence[GatewayState]) -> datetime | None:
    """Return when the first of these gateways got into the state it is in."""
    found = []
    for gateway in gateways:
        of_it = [one for one in now.events if one.kind == "gateway" and one.subject == gateway.name]
        found += [one.at for one in of_it[:1] if one.what == gateway.state and gateway.state in _STATES]
        found += [now.refusing[gateway.name][1]] if _refuses(now, gateway) else []
    return min(found, default=None)


def _reason(now: Situation, gateway: str) -> str:
    of_it = next((one for one in now.events if one.kind == "gateway" and one.subject == gateway), None)
    told = str(of_it.detail.get("reason", "")).replace("_", " ") if of_it else ""
    kinds = [(count, kind) for name, kind, count in now.failures if name == gateway]
    most = max(kinds, default=None)
    kind = most[1].replace("_", " ") if most else ""
    counted = f"{most[0]} tries" + (f" ended as “{kind}”" if kind != told else "") if most else ""
    return "".join(f": {words}" for words in [", ".join(filter(None, (told, counted)))] if words)


def _subject(held: Held) -> str:
    if held.kind == "country":
        return f"{{{held.subject}}}"
    if held.kind == "budget":
        return "the budget" if held.subject == "*" else f"the budget of {{{held.subject}}}"
    return f"{held.kind} {held.subject}"


def _counted(fall: Fall) -> str:
    people = f"{fall.opened} people" if fall.opened != 1 else "1 person"
    return f"{fall.converted or 'none'} of {people}"
