"""What staff can do from the page: block, lift, put a gateway first, lift that. Each needs a note and a name.

It must not know HTTP; every change goes through the services of accounts, which write it into the audit trail.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from apps.accounts import phones
from apps.accounts.errors import InvalidRequest, NotFound
from apps.accounts.services.block_values import target
from apps.accounts.services.blocks import Actor
from apps.accounts.services.wiring import services

Form = Mapping[str, str]
# A note of fewer characters explains nothing to whoever reads the trail.
SHORTEST_NOTE: Final = 3
LONGEST_NOTE: Final = 255
_LONGEST_SECONDS: Final = 31_536_000


@dataclass(frozen=True, slots=True)
class Hand:
    """Whose hand it is: a member of staff, and the address that a block may not cover by accident."""

    name: str
    ip: str


def act(form: Form, who: Hand) -> str:
    """Do what `form["act"]` names and return one sentence that says what was done.

    Raises:
        InvalidRequest: no such act, no note, or a value that cannot be one.
        ForceRequired: a block would cover everybody or the caller, and `force` is not set.
        NotFound: what was to be lifted is not in force.
    """
    found = _ACTS.get(form.get("act", ""))
    if found is None:
        raise InvalidRequest(fields={"act": ["choice"]})
    note = phones.mask_within(form.get("note", "").strip())
    if not SHORTEST_NOTE <= len(note) <= LONGEST_NOTE:
        raise InvalidRequest(fields={"note": ["note_length"]})
    return found(form, who, note)


def _block(form: Form, who: Hand, note: str) -> str:
    what = target(form.get("type", ""), form.get("value", "").strip())
    added = services().blocks.add(
        what, actor=_actor(who), note=note, expires_in=_seconds(form), force=form.get("force") == "yes"
    )
    dead = f" {added.killed} open codes of it died." if added.killed else ""
    return f"{added.block.value} {'is blocked' if added.new else 'was blocked already; note and end are new'}.{dead}"


def _lift(form: Form, who: Hand, note: str) -> str:
    blocks = services().blocks
    lifted = blocks.lift(blocks.target_of(form.get("ref", "")), actor=_actor(who), note=note)
    return f"{lifted.value} is not blocked any more."


def _choose(form: Form, who: Hand, note: str) -> str:
    choice = services().gateway_choices.set(form.get("provider", ""), note=note, by=who.name, expires_in=_seconds(form))
    return f"{choice.provider.capitalize()} goes first, in every process within a second."


def _unchoose(form: Form, who: Hand, note: str) -> str:
    if not services().gateway_choices.lift(by=who.name, note=note):
        raise NotFound
    return "The route is as configured again."


_ACTS: Final[Mapping[str, Callable[[Form, Hand, str], str]]] = {
    "block": _block,
    "lift": _lift,
    "choose": _choose,
    "unchoose": _unchoose,
}


def _actor(who: Hand) -> Actor:
    return Actor(name=who.name, ip=who.ip)


def _seconds(form: Form) -> int | None:
    """Return how long it is to last; without a word until it is lifted."""
    given = form.get("expires_in", "")
    if not given:
        return None
    if not re.fullmatch(r"[0-9]{1,8}", given, re.ASCII) or not 0 < int(given) <= _LONGEST_SECONDS:
        raise InvalidRequest(fields={"expires_in": ["lasting_seconds"]})
    return int(given)
