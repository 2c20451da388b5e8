"""An operator's hand on the guard: see what stands, and lift what stands wrongly. It must not know HTTP or a rule."""

from dataclasses import dataclass, replace
from typing import Any

from apps.accounts.clock import Clock
from apps.accounts.errors import InvalidRequest, NotFound
from apps.accounts.services import audit, guard_rows, statements
from apps.accounts.services.guard import Guard
from apps.accounts.services.guard_policy import Kind, State
from apps.accounts.services.guard_rows import Change
from apps.accounts.services.guard_rules import Ruling, Standing

SHORTEST_NOTE = 10


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, for the audit trail."""

    name: str


class GuardDesk:
    """Lists and lifts. One per process; thread-safe."""

    def __init__(self, *, guard: Guard, clock: Clock) -> None:
        self._guard = guard
        self._clock = clock

    def held(self) -> list[Standing]:
        """Return everything that is not open, the latest change first."""
        found = [one for one in guard_rows.held().values() if one.state is not State.OPEN]
        return sorted(found, key=lambda one: -one.changed)

    def lift(self, kind: str, subject: str, *, actor: Actor, note: str) -> Standing:
        """Open a subject again; what was sent before is no evidence against it any more.

        Raises:
            InvalidRequest: no such kind, a budget (raise it instead), or a note of fewer than ten characters.
            NotFound: nothing is held against it.
        """
        if kind not in (Kind.COUNTRY, Kind.PREFIX, Kind.IP):
            raise InvalidRequest(fields={"kind": ["unknown"]})
        if len(note.strip()) < SHORTEST_NOTE:
            raise InvalidRequest(fields={"note": ["too_short"]})
        with statements.durable():
            revision = guard_rows.take_turn()
            before = guard_rows.held().get((Kind(kind), subject))
            if before is None or before.state is State.OPEN:
                raise NotFound()
            now = statements.now() + self._clock.offset
            change = Change(before, Ruling(_opened(before, at=now.timestamp()), {"by": actor.name}))
            guard_rows.write([change], revision=revision, mode=self._guard.mode, now=now)
            detail: dict[str, Any] = {"kind": kind, "was": before.state.value, "because": before.reason}
            shown = subject if kind != Kind.IP else guard_rows.shown(before)
            audit.record("guard.lifted", actor=actor.name, subject=shown, note=note, detail=detail, now=now)
        guard_rows.tell([change], mode=self._guard.mode)
        self._guard.forget()
        return change.ruling.standing


def _opened(before: Standing, *, at: float) -> Standing:
    return replace(before, state=State.OPEN, cap=None, since=at, until=None, strikes=0, reason="lifted", changed=at)
