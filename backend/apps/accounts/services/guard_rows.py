"""The guard's standings and decisions as rows, and the lease of who judges. It must not know why anything is decided.

One row a subject, one more a change of its state: an attack of a million requests leaves as many rows as it has
subjects.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from apps.accounts import telemetry
from apps.accounts.services import changes, statements
from apps.accounts.services.guard_policy import Kind, Rank, State
from apps.accounts.services.guard_rules import Ruling, Standing, Subject

CHANGES: Final = "guard"
LEASE_SECONDS: Final = 8.0
COLUMNS: Final = "kind, subject, state, rank, cap, since, until, strikes, reason, changed_at"


@dataclass(frozen=True, slots=True)
class Change:
    """What a judgement changed: the standing before it, if any, and the ruling."""

    before: Standing | None
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision as operators see it."""

    id: int
    at: datetime
    kind: str
    subject: str
    before: str
    after: str
    mode: str
    reason: str
    evidence: Mapping[str, Any]
    until: datetime | None
    stopped: int

    def as_json(self) -> dict[str, Any]:
        """Return it as the dashboard shows it."""
        return {
            "at": self.at.isoformat(),
            "kind": self.kind,
            "subject": self.subject,
            "from": self.before,
            "to": self.after,
            "mode": self.mode,
            "reason": self.reason,
            "evidence": dict(self.evidence),
            "until": self.until.isoformat() if self.until else None,
            "stopped": self.stopped,
        }


def hold_lease(holder: str, *, now: datetime, patience_seconds: float = 0.0) -> bool:
    """Take or keep the lease for `holder`; one that another held is taken `patience_seconds` after it ran out."""
    found = statements.row(
        "INSERT INTO accounts_guardlease (name, holder, until) VALUES ('judge', %s, %s) ON CONFLICT (name) "
        "DO UPDATE SET holder = excluded.holder, until = excluded.until "
        "WHERE accounts_guardlease.holder = excluded.holder OR accounts_guardlease.until < %s RETURNING holder",
        (holder, now + timedelta(seconds=LEASE_SECONDS), now - timedelta(seconds=patience_seconds)),
    )
    return found is not None


def held() -> dict[Subject, Standing]:
    """Return every standing."""
    rows = statements.rows(f"SELECT {COLUMNS} FROM accounts_guardstanding")
    return {(one.kind, one.subject): one for one in map(standing_of, rows)}


def standing_of(row: Sequence[Any]) -> Standing:
    """Return the standing of a row of `COLUMNS`."""
    kind, subject, state, rank, cap, since, until, strikes, reason, changed = row
    return Standing(
        kind=Kind(kind),
        subject=subject,
        state=State(state),
        rank=Rank(rank),
        cap=cap,
        since=statements.as_time(since).timestamp(),
        until=statements.as_time(until).timestamp() if until is not None else None,
        strikes=strikes,
        reason=reason,
        changed=statements.as_time(changed).timestamp(),
    )


def save(made: Sequence[Change], *, mode: str, now: datetime) -> list[Change]:
    """Write standings, with a decision for each that changed its state, and tell the processes; return what was new.

    What is not as it was when it was judged is left alone: an operator lifted it meanwhile, or another process judged.
    """
    if not made:
        return []
    with statements.durable():
        revision = take_turn()
        present = held()
        fresh = [change for change in made if present.get(_subject_of(change)) == change.before]
        write(fresh, revision=revision, mode=mode, now=now)
    tell(fresh, mode=mode)
    return fresh


def take_turn() -> int:
    """Wait until no other transaction changes standings; return the number of the change that the caller's makes."""
    return changes.bump(CHANGES)


def write(made: Sequence[Change], *, revision: int, mode: str, now: datetime) -> None:
    """Write standings and decisions in the caller's transaction, which has the turn."""
    for change in made:
        _write(change.ruling.standing, revision=revision)
        if is_decision(change):
            _decide(change, mode=mode, now=now)


def tell(made: Sequence[Change], *, mode: str) -> None:
    """Log what was decided, once it is committed."""
    for change in made:
        if is_decision(change):
            _tell(change, mode=mode)


def _subject_of(change: Change) -> Subject:
    return change.ruling.standing.kind, change.ruling.standing.subject


def is_decision(change: Change) -> bool:
    """Say whether the state changed, and not only a cap."""
    before = change.before.state if change.before else State.OPEN
    return before is not change.ruling.standing.state


def _write(one: Standing, *, revision: int) -> None:
    statements.run(
        "INSERT INTO accounts_guardstanding (kind, subject, state, rank, cap, since, until, strikes, reason, "
        "changed_at, revision) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (kind, subject) "
        "DO UPDATE SET state = excluded.state, rank = excluded.rank, cap = excluded.cap, since = excluded.since, "
        "until = excluded.until, strikes = excluded.strikes, reason = excluded.reason, "
        "changed_at = excluded.changed_at, revision = excluded.revision",
        (
            one.kind.value, one.subject, one.state.value, int(one.rank), one.cap, time_of(one.since),
            None if one.until is None else time_of(one.until), one.strikes, one.reason, time_of(one.changed), revision,
        ),
    )  # fmt: skip


def _decide(change: Change, *, mode: str, now: datetime) -> None:
    one = change.ruling.standing
    until = None if one.until is None else time_of(one.until)
    _insert(
        now, one.kind.value, one.subject, before=change.before.state.value if change.before else State.OPEN.value,
        after=one.state.value, mode=mode, reason=one.reason, evidence=change.ruling.evidence, until=until,
    )  # fmt: skip


def _insert(
    at: datetime, kind: str, subject: str, *, before: str, after: str, mode: str, reason: str,
    evidence: Mapping[str, Any], until: datetime | None, stopped: int = 0,
) -> None:  # fmt: skip
    statements.run(
        "INSERT INTO accounts_guarddecision (at, kind, subject, before, after, mode, reason, evidence, until, stopped, "
        "stopped_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (at, kind, subject, before, after, mode, reason, json.dumps(dict(evidence)), until, stopped,
         at if stopped else None),
    )  # fmt: skip


def count_stopped(counts: Mapping[tuple[str, str], int], *, mode: str, now: datetime) -> None:
    """Add stopped sends to the newest decision on each subject; a cap that stopped before any gets its own."""
    with statements.durable():
        for (kind, subject), count in sorted(counts.items()):
            touched = statements.run(
                "UPDATE accounts_guarddecision SET stopped = stopped + %s, stopped_at = %s WHERE id = (SELECT MAX(id) "
                "FROM accounts_guarddecision WHERE kind = %s AND subject = %s AND after <> 'open' AND at > %s)",
                (count, now, kind, subject, now - timedelta(days=2)),
            )
            if not touched:
                _insert(
                    now, kind, subject, before="open", after="slow", mode=mode, reason="cap", evidence={}, until=None,
                    stopped=count,
                )  # fmt: skip


def decisions(since: datetime, *, limit: int = 200) -> list[Decision]:
    """Return the decisions made, or in force against somebody, after `since`, newest first and at most `limit`."""
    rows = statements.rows(
        "SELECT id, at, kind, subject, before, after, mode, reason, evidence, until, stopped "
        "FROM accounts_guarddecision WHERE at > %s OR stopped_at > %s ORDER BY id DESC LIMIT %s",
        (since, since, limit),
    )
    return [
        Decision(
            id=row[0], at=statements.as_time(row[1]), kind=row[2], subject=row[3], before=row[4], after=row[5],
            mode=row[6], reason=row[7], evidence=json.loads(row[8]), until=statements.as_time_or_none(row[9]),
            stopped=row[10],
        )
        for row in rows
    ]  # fmt: skip


def _tell(change: Change, *, mode: str) -> None:
    one = change.ruling.standing
    facts = {"kind": one.kind.value, "subject": shown(one), "state": one.state.value, "mode": mode}
    if one.state is State.PAUSED:
        telemetry.alarm("pumping_guard", reason=one.reason, **facts)
    else:
        telemetry.happened("guard_decided", reason=one.reason, **facts)


def shown(one: Standing) -> str:
    """Return the subject as a log line may hold it: no address of a client."""
    return "a client" if one.kind is Kind.IP else one.subject


def time_of(seconds: float) -> datetime:
    """Return epoch seconds as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)
