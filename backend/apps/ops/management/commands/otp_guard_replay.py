"""Play the recorded past under a proposed policy of the pumping guard. It changes nothing and knows no rule."""

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError

from apps.accounts.prices import as_money
from apps.accounts.services import guard_recorded, guard_replay, statements
from apps.accounts.services.guard_policy import BadGuardPolicy, proposed
from apps.accounts.services.guard_replay import Replayed
from apps.accounts.services.wiring import services

SHOWN: Final = 25


class Command(BaseCommand):
    help = (
        "Who would have been stopped in the last N days by this policy, how many of them verified later (false "
        "alarms), and what that would have saved."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=7, help="how far back (1 to 90; default 7)")
        parser.add_argument("--policy", default="", help="name=value,… in place of the guard's own numbers")
        parser.add_argument("--json", action="store_true")

    def handle(self, *_: Any, **options: Any) -> None:
        days = options["days"]
        if not 1 <= days <= 90:
            raise CommandError("--days must be from 1 to 90", returncode=2)
        try:
            policy = proposed(options["policy"])
        except BadGuardPolicy as fault:
            raise CommandError(f"--policy: {fault}", returncode=2) from None
        rooms = services()
        try:
            now = statements.now() + rooms.clock.offset
            since = now - timedelta(days=days)
            sent = guard_recorded.recorded(since, now, rooms.config.prices)
            hours = guard_recorded.hours_before(since, policy)
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"The database does not answer: {type(error).__name__}", returncode=2) from error
        found = guard_replay.replay(sent, hours, policy, rooms.guard.budgets)
        if options["json"]:
            self.stdout.write(json.dumps({"days": days, "policy": options["policy"], **found.as_json()}))
        else:
            self.stdout.write(as_table(found, days=days))


def as_table(found: Replayed, *, days: int) -> str:
    """Return what a person reads."""
    codes = len(found.stopped_codes)
    lines = [
        (
            f"{days} days: {found.sends} messages, {found.codes} codes, {found.verified} verified, "
            f"{as_money(found.spent):.2f} spent."
        ),
        (
            f"This policy would have stopped {found.stopped} messages ({codes} codes) and saved "
            f"{as_money(found.saved):.2f}; {found.false_alarms} of those codes were verified (false alarms)."
        ),
    ]
    subjects = found.as_json()["subjects"]
    if subjects:
        lines += ["", f"{'what':8} {'subject':18} {'why':16} {'since':26} {'messages':>8} {'false':>6} {'saved':>10}"]
    for one in subjects[:SHOWN]:
        lines.append(
            f"{one['kind']:8} {one['subject']:18} {one['reason']:16} {one['first_at']:26} "
            f"{one['stopped_messages']:8} {one['false_alarms']:6} {one['saved']:10.2f}"
        )
    if len(subjects) > SHOWN:
        lines.append(f"… and {len(subjects) - SHOWN} more (--json lists all)")
    return "\n".join(lines)
