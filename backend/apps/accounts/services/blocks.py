"""Changes to the block list: each with its audit record, and with the end of the codes it concerns, in one transaction.

Every process takes note within a second (services/blocklist.py). It must not know HTTP.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.errors import ForceRequired, NotFound
from apps.accounts.services import audit, changes, statements
from apps.accounts.services.block_values import BlockType, Target, covers_caller, covers_everybody
from apps.accounts.services.blocklist import BlockList

LISTED_AT_MOST: Final = 1000
_REF: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes the list, and from where: nobody shuts themselves out by accident."""

    name: str
    ip: str = ""
    device_id: str = ""


@dataclass(frozen=True, slots=True)
class BlockView:
    """An entry as an operator may see it: numbers are masked, `id` is opaque."""

    id: str
    type: str
    value: str
    note: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Return the members of contract section 6."""
        return {
            "id": self.id,
            "type": self.type,
            "value": self.value,
            "note": self.note,
            "created_by": self.created_by,
            "created_at": self.created_at.isoformat(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }


@dataclass(frozen=True, slots=True)
class Added:
    """`new` is False where the entry was in force already; `killed` counts the open codes that died."""

    block: BlockView
    new: bool
    killed: int


class Blocks:
    """Adds, lifts and lists. One per process; thread-safe."""

    def __init__(self, *, config: Config, clock: Clock, blocklist: BlockList) -> None:
        self._config = config
        self._clock = clock
        self._blocklist = blocklist

    def add(
        self, what: Target, *, actor: Actor, note: str = "", expires_in: int | None = None, force: bool = False
    ) -> Added:
        """Put `what` on the list for `expires_in` seconds, or for good; an entry in force gets the new note and end.

        Raises:
            ForceRequired: it would hold off everybody or the actor, and `force` is False.
        """
        everybody = covers_everybody(what, allowed_countries=self._config.allowed_countries)
        caller = covers_caller(what, ip=actor.ip, device_id=actor.device_id)
        if (everybody or caller) and not force:
            raise ForceRequired
        added = statements.retried(lambda: self._add(what, actor, note, expires_in, forced=everybody or caller))
        self._blocklist.forget()
        return added

    def _add(self, what: Target, actor: Actor, note: str, expires_in: int | None, *, forced: bool) -> Added:
        with statements.durable():
            revision = changes.bump(changes.BLOCKS)
            now = statements.now() + self._clock.offset
            held = _in_force(what, now)
            until = now + timedelta(seconds=expires_in) if expires_in else None
            if held is None:
                block = _insert(what, actor, note, until, revision=revision, now=now)
            else:
                block = _renew(held, note, until, revision=revision)
            killed = _kill_open_codes(what, now)
            detail = {
                "id": block.id,
                "type": what.type.value,
                "expires_in": expires_in,
                "killed": killed,
                "forced": forced,
            }
            subject = str(what)[:64]
            if held is None:
                audit.record("block.added", actor=actor.name, subject=subject, note=note, detail=detail, now=now)
            else:
                audit.record("block.changed", actor=actor.name, subject=subject, note=note, detail=detail, now=now)
        return Added(block=block, new=held is None, killed=killed)

    def lift(self, what: Target, *, actor: Actor, note: str = "") -> BlockView:
        """Take `what` off the list.

        Raises:
            NotFound: it is not in force.
        """
        lifted = statements.retried(lambda: self._lift(what, actor, note))
        self._blocklist.forget()
        return lifted

    def target_of(self, ref: str) -> Target:
        """Return whom the entry with the opaque id `ref` holds off: whoever read the list never saw its number.

        Raises:
            NotFound: no such entry, or it was lifted.
        """
        found = None
        if _REF.fullmatch(ref):
            found = statements.row(
                "SELECT type, value FROM accounts_block WHERE ref = %s AND lifted_at IS NULL", (ref,)
            )
        if found is None:
            raise NotFound
        return Target(BlockType(found[0]), str(found[1]))

    def _lift(self, what: Target, actor: Actor, note: str) -> BlockView:
        with statements.durable():
            revision = changes.bump(changes.BLOCKS)
            now = statements.now() + self._clock.offset
            held = _in_force(what, now)
            if held is None:
                raise NotFound
            statements.run(
                "UPDATE accounts_block SET lifted_at = %s, revision = %s WHERE type = %s AND value = %s",
                (now, revision, what.type.value, what.value),
            )
            detail = {"id": held.id, "type": what.type.value}
            audit.record("block.lifted", actor=actor.name, subject=str(what)[:64], note=note, detail=detail, now=now)
        return held

    def list(self, *, limit: int = LISTED_AT_MOST) -> tuple[list[BlockView], int]:
        """Return the entries in force, newest first and at most `limit`, and how many there are."""
        now = statements.now() + self._clock.offset
        where = "lifted_at IS NULL AND (expires_at IS NULL OR expires_at > %s)"
        total = statements.row(f"SELECT count(*) FROM accounts_block WHERE {where}", (now,))
        found = statements.rows(
            f"SELECT {_COLUMNS} FROM accounts_block WHERE {where} ORDER BY created_at DESC, id DESC LIMIT %s",
            (now, limit),
        )
        assert total is not None
        return [_view(item) for item in found], int(total[0])


_COLUMNS: Final = "ref, type, value, note, created_by, created_at, expires_at"


def _in_force(what: Target, now: datetime) -> BlockView | None:
    found = statements.row(
        f"SELECT {_COLUMNS} FROM accounts_block WHERE type = %s AND value = %s AND lifted_at IS NULL "
        "AND (expires_at IS NULL OR expires_at > %s)",
        (what.type.value, what.value, now),
    )
    return _view(found) if found else None


def _insert(
    what: Target, actor: Actor, note: str, until: datetime | None, *, revision: int, now: datetime
) -> BlockView:
    found = statements.row(
        "INSERT INTO accounts_block (ref, type, value, note, created_by, created_at, expires_at, revision) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (type, value) DO UPDATE SET ref = excluded.ref, "
        "note = excluded.note, created_by = excluded.created_by, created_at = excluded.created_at, "
        f"expires_at = excluded.expires_at, lifted_at = NULL, revision = excluded.revision RETURNING {_COLUMNS}",
        (uuid.uuid4().hex, what.type.value, what.value, note, actor.name[:64], now, until, revision),
    )
    assert found is not None
    return _view(found)


def _renew(held: BlockView, note: str, until: datetime | None, *, revision: int) -> BlockView:
    found = statements.row(
        f"UPDATE accounts_block SET note = %s, expires_at = %s, revision = %s WHERE ref = %s RETURNING {_COLUMNS}",
        (note, until, revision, held.id),
    )
    assert found is not None
    return _view(found)


def _kill_open_codes(what: Target, now: datetime) -> int:
    """End every open code of the number or prefix, and every challenge on one; whoever has the code cannot use it."""
    if what.type is BlockType.PHONE:
        where, value = "phone = %s", what.value
    elif what.type is BlockType.PREFIX:
        where, value = "phone LIKE %s", what.value + "%"
    else:
        return 0
    # Locked in the order in which everybody locks codes.
    killed = statements.run(
        "UPDATE accounts_code SET state = 'dead' WHERE id IN (SELECT id FROM accounts_code WHERE state = 'open' "
        f"AND {where} ORDER BY expires_at DESC{statements.for_update()})",
        (value,),
    )
    statements.run(
        f"UPDATE accounts_challenge SET status = 'canceled', closed_at = %s WHERE status = 'pending' AND {where}",
        (now, value),
    )
    return killed


def _view(columns: tuple[Any, ...]) -> BlockView:
    ref, kind, value, note, created_by, created_at, expires_at = columns
    return BlockView(
        id=ref,
        type=kind,
        value=str(Target(BlockType(kind), value)),
        note=note,
        created_by=created_by,
        created_at=statements.as_time(created_at),
        expires_at=statements.as_time_or_none(expires_at),
    )
