"""Show what the pumping guard holds back, and lift what it holds back wrongly. It must not know a rule."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError

from apps.accounts.errors import AccountsError
from apps.accounts.services.guard_desk import Actor
from apps.accounts.services.guard_rows import shown
from apps.accounts.services.guard_rules import Standing
from apps.accounts.services.wiring import services


class Command(BaseCommand):
    help = "list: what the guard holds back now; lift: open one subject again, with a reason for the audit trail."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", help="everything that is slowed, paused or on probation")
        listed.add_argument("--json", action="store_true", help="one object a line")
        lift = verbs.add_parser("lift", help="open a country, a prefix or a client's network again")
        lift.add_argument("kind", choices=["country", "prefix", "ip"])
        lift.add_argument("subject", help="SA, +96650123, 203.0.113.9")
        lift.add_argument("--note", required=True, help="why: ten characters or more")
        lift.add_argument("--actor", default="operator", help="who does this")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            getattr(self, "_" + options["verb"])(options)
        except AccountsError as fault:
            raise CommandError(f"{fault.code} {dict(fault.fields or {})}".strip(), returncode=1) from None
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"The database does not answer: {type(error).__name__}", returncode=2) from error

    def _list(self, options: dict[str, Any]) -> None:
        rooms = services()
        for one in rooms.guard_desk.held():
            self.stdout.write(json.dumps(as_json(one)) if options["json"] else as_text(one))
        if not options["json"]:
            self.stdout.write(f"The guard is in mode {rooms.guard.mode}.")

    def _lift(self, options: dict[str, Any]) -> None:
        actor = Actor(options["actor"])
        rooms = services()
        rooms.guard_desk.lift(options["kind"], options["subject"], actor=actor, note=options["note"])
        self.stdout.write(f"{options['kind']} {options['subject']} is open again.")


def as_json(one: Standing) -> dict[str, Any]:
    """Return a standing for programs."""
    return {
        "kind": one.kind.value,
        "subject": one.subject,
        "state": one.state.value,
        "reason": one.reason,
        "cap": one.cap,
        "until": _time(one.until),
        "strikes": one.strikes,
        "changed_at": _time(one.changed),
    }


def as_text(one: Standing) -> str:
    """Return a standing on one line; a client's address is for programs that ask for it."""
    until = f" until {_time(one.until)}" if one.until else ""
    return f"{one.kind.value:8} {shown(one):18} {one.state.value:10} {one.reason:16}{until}"


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
