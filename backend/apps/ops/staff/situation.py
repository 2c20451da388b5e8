"""Everything that the headline is made from, read from the last hour and compared with the day before it.

It must not know the words in which it is told.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from apps.accounts.providers.base import Rejected
from apps.accounts.services import attempts, statements
from apps.ops import queries_traffic, slots, traffic, windows
from apps.ops.board import Board
from apps.ops.dashboard import Dashboard, Facts
from apps.ops.present import BLOCKS, LIMITS
from apps.ops.staff.headline import PRESUMED, Fall, Held, Situation
from apps.ops.traffic import Stretch, Sums

HOUR: Final = windows.parse("1h")
# Whoever asked less than two minutes ago may still be typing; what is older than 17 is over.
_TYPING: Final = timedelta(minutes=2)
_NOW: Final = timedelta(minutes=17)
_USUAL: Final = timedelta(hours=24)
# So many codes make a share that one may call usual.
_ENOUGH: Final = 30
# So many noes without a yes between them are not the fault of single numbers.
_NOES: Final = 8
# Fewer people than this in a stretch say nothing of when it began.
_FEWEST_AT_A_TIME: Final = 4


def read(look: Dashboard, board: Board) -> Situation:
    """Return the situation.

    Raises:
        DatabaseError, InterfaceError: the database is gone.
    """
    facts, standing = look.look(HOUR), board.standing()
    mode = "enforce" if look.services.config["OTP_GUARD_MODE"] == "enforce" else "observe"
    usual = _usual(facts)
    refused: Counter[str] = Counter()
    for _, label, count in facts.refusals:
        code = label.partition("/")[0]
        if code in LIMITS | BLOCKS:
            refused[code] += count
    choice = facts.choice
    return Situation(
        now=facts.at,
        store=standing.store,
        gateways=standing.gateways,
        everybody=_fall("", facts, usual),
        countries=[_fall(country, facts, usual) for country in _countries(facts)],
        hour=traffic.total(facts.stretches),
        refused=refused,
        failures=[(name, kind, count) for name, _, kind, _, count in failures(facts.since, facts.at)],
        refusing=refusing(facts.since, facts.at),
        events=facts.events,
        chosen=(choice.provider, choice.by, choice.note, choice.expires_at) if choice else None,
        held=held(facts.at, mode=mode),
    )


def failures(since: datetime, until: datetime) -> list[tuple[str, str, str, str, int]]:
    """Return (gateway, channel, kind of error, vendor's code, how many) of tries that failed, most first."""
    found = statements.rows(
        "SELECT provider, channel, error_kind, error_code, count(*) FROM accounts_message WHERE created_at >= %s "
        "AND created_at < %s AND state IN ('failed', 'unknown') AND error_kind NOT IN ('', %s) GROUP BY 1, 2, 3, 4 "
        "ORDER BY 5 DESC, 1, 2, 3, 4 LIMIT 20",
        (since, until, attempts.NEVER_CALLED),
    )
    return [(str(name), str(channel), str(kind), str(code), int(count)) for name, channel, kind, code, count in found]


def refusing(since: datetime, until: datetime) -> dict[str, tuple[int, datetime]]:
    """Return, by gateway, how many tries it said no to since it last took a message, and since when.

    A no cools nobody (the next number may be welcome), so a wrong template or sender shows in no state of a gateway.
    """
    found = statements.rows(
        f"WITH taken AS (SELECT provider, max(created_at) AS at FROM accounts_message WHERE created_at >= %s "
        f"AND created_at < %s AND {queries_traffic.TAKEN} GROUP BY provider) "
        "SELECT m.provider, count(*), min(m.created_at) FROM accounts_message m "
        "LEFT JOIN taken ON taken.provider = m.provider WHERE m.created_at >= %s AND m.created_at < %s "
        "AND m.state = 'failed' AND m.error_kind = %s AND (taken.at IS NULL OR m.created_at > taken.at) "
        "GROUP BY m.provider HAVING count(*) >= %s",
        (since, until, since, until, Rejected.kind, _NOES),
    )
    return {str(name): (int(count), statements.as_time(at)) for name, count, at in found}


def held(now: datetime, *, mode: str) -> list[Held]:
    """Return what the pumping guard holds back now, what concerns most people first; no client's address."""
    found = statements.rows(
        "SELECT kind, subject, state, reason, until FROM accounts_guardstanding WHERE state <> 'open' "
        # A budget that is merely counted message by message holds nobody back.
        "AND kind IN ('budget', 'country', 'prefix') AND NOT (kind = 'budget' AND state = 'slow') "
        "AND (until IS NULL OR until > %s) ORDER BY kind, changed_at DESC "
        "LIMIT 50",
        (now,),
    )
    return [
        Held(kind, subject, state, reason, mode, statements.as_time_or_none(until))
        for kind, subject, state, reason, until in found
    ]


def _countries(facts: Facts) -> list[str]:
    found = traffic.by_country(facts.stretches)
    return sorted((country for country in found if found[country].opened), key=lambda one: -found[one].opened)


def _fall(country: str, facts: Facts, usual: dict[str, float]) -> Fall:
    """Compare the people whose time to log in has just passed with what is usual where they are."""
    mine = [one for one in facts.stretches if not country or one.route[2] == country]
    begin, end = (facts.at - _NOW).timestamp(), (facts.at - _TYPING).timestamp()
    recent = [one for one in mine if begin <= one.at < end]
    sums = traffic.total(recent)
    share = usual.get(country, usual.get("", PRESUMED))
    fall = Fall(country, sums.opened, sums.converted, share)
    if not fall.is_bad:
        return fall
    since = _began(mine, end=end, bad_below=share * 0.6)
    return Fall(country, sums.opened, sums.converted, share, since=since, gateways=_carriers(recent))


def _began(mine: Sequence[Stretch], *, end: float, bad_below: float) -> datetime | None:
    """Go back through the hour, a handful of people at a time, until they got in."""
    begin, group = None, Sums()
    for at, sums in sorted(traffic.by_time(mine, step=60).items(), reverse=True):
        if at >= end:
            continue
        group.add(sums)
        if group.opened < _FEWEST_AT_A_TIME:
            continue
        if group.converted >= group.opened * bad_below:
            break
        begin, group = at, Sums()
    return datetime.fromtimestamp(begin, UTC) if begin is not None else None


def _carriers(recent: Iterable[Stretch]) -> tuple[str, ...]:
    count: Counter[str] = Counter()
    for one in recent:
        if one.route[0]:
            count[one.route[0]] += one.sums.sent + one.sums.unknown
    return tuple(name for name, carried in count.most_common() if carried)


def _usual(facts: Facts) -> dict[str, float]:
    """Return the share that usually gets in, by country and, without a name, of all: yesterday's, else this hour's."""
    begin = facts.at - _USUAL
    past = slots.read(slots.floor(begin), facts.at - timedelta(hours=1))
    if traffic.total(past).opened < _ENOUGH:
        before = (facts.at - _NOW).timestamp()
        past = [*past, *(one for one in facts.stretches if one.at < before)]
    found: dict[str, float] = {}
    for country, sums in {"": traffic.total(past), **traffic.by_country(past)}.items():
        if sums.opened >= _ENOUGH and sums.conversion is not None:
            found[country] = sums.conversion
    return found
