"""An operator's hand on the route: one gateway goes first and those before it are set aside, until that ends.

It must not know HTTP, nor how a route is planned.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.accounts.clock import Clock
from apps.accounts.errors import InvalidRequest
from apps.accounts.services import audit, changes, gateway_events, statements


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice in force. `expires_at` is None where only an operator ends it."""

    provider: str
    note: str
    by: str
    created_at: datetime
    expires_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Return the members of contract section 6."""
        return {
            "provider": self.provider,
            "note": self.note,
            "created_by": self.by,
            "created_at": self.created_at.isoformat(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }


class GatewayChoices:
    """Sets, lifts and reads the choice. One per process; thread-safe."""

    def __init__(self, *, known: Collection[str], clock: Clock, changed: Callable[[], None] = lambda: None) -> None:
        """Take the configured gateways; `changed` is called when this process has made a change."""
        self._known = frozenset(known)
        self._clock = clock
        self._changed = changed

    def set(self, provider: str, *, note: str, by: str, expires_in: int | None = None) -> Choice:
        """Put `provider` first for `expires_in` seconds, or until it is lifted, in place of any other choice.

        Raises:
            InvalidRequest: no such gateway is configured.
        """
        if provider not in self._known:
            raise InvalidRequest(fields={"provider": ["unknown"]})
        choice = statements.retried(lambda: self._set(provider, note, by, expires_in))
        self._changed()
        return choice

    def _set(self, provider: str, note: str, by: str, expires_in: int | None) -> Choice:
        with statements.durable():
            _take_turn()
            before = self._read()
            now = statements.now() + self._clock.offset
            until = now + timedelta(seconds=expires_in) if expires_in else None
            statements.run("DELETE FROM accounts_gatewaychoice")
            statements.run(
                "INSERT INTO accounts_gatewaychoice (provider, note, created_by, created_at, expires_at) "
                "VALUES (%s, %s, %s, %s, %s)",
                (provider, note[:255], by[:64], now, until),
            )
            detail = {"provider": provider, "expires_in": expires_in, "instead_of": before.provider if before else ""}
            audit.record("gateway.chosen", actor=by, subject=provider, note=note, detail=detail, now=now)
            if before is not None and before.provider != provider:
                self._tell(before.provider, before="forced", after="up", reason="another gateway was chosen")
            if before is None or before.provider != provider:
                self._tell(provider, before="up", after="forced", reason=f"chosen by {by}")
        return Choice(provider=provider, note=note[:255], by=by[:64], created_at=now, expires_at=until)

    def lift(self, *, by: str, note: str = "") -> bool:
        """Lift the choice; say whether one was in force."""
        lifted = statements.retried(lambda: self._lift(by, note))
        self._changed()
        return lifted is not None

    def _lift(self, by: str, note: str) -> Choice | None:
        with statements.durable():
            _take_turn()
            held = self._read()
            statements.run("DELETE FROM accounts_gatewaychoice")
            if held is not None:
                now = statements.now() + self._clock.offset
                detail = {"provider": held.provider}
                audit.record("gateway.lifted", actor=by, subject=held.provider, note=note, detail=detail, now=now)
                self._tell(held.provider, before="forced", after="up", reason=f"lifted by {by}")
        return held

    def current(self) -> Choice | None:
        """Return the choice in force by the database's clock, or None."""
        return self._read()

    def _read(self) -> Choice | None:
        found = statements.row(
            "SELECT provider, note, created_by, created_at, expires_at FROM accounts_gatewaychoice "
            "ORDER BY id DESC LIMIT 1"
        )
        if found is None:
            return None
        until = statements.as_time_or_none(found[4])
        if until is not None and until <= statements.now() + self._clock.offset:
            return None
        return Choice(found[0], found[1], found[2], statements.as_time(found[3]), until)

    def _tell(self, provider: str, *, before: str, after: str, reason: str) -> None:
        gateway_events.record(provider, before=before, after=after, reason=reason, clock=self._clock)


def _take_turn() -> None:
    """Wait until no other transaction changes the choice: neither would see the row that the other one puts in."""
    changes.bump(changes.CHOICE)
