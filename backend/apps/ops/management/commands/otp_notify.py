"""Tell people whose login failed in an incident that it is over."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import CommandError

from apps.accounts.errors import AccountsError
from apps.accounts.services.wiring import services
from apps.ops import affected
from apps.ops.management.operating import OperatorCommand
from apps.ops.notifying import Notifier, Tally, write_down

_BAR: Final = 40


class Command(OperatorCommand):
    help = (
        "Tell whoever asked for a code and did not get in between two times that logging in works again. "
        "Without --send nothing is sent. Nobody is told twice in a week; a run that was stopped is begun again by the "
        "same command."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", required=True, help="ISO 8601, or 90m for so long ago")
        parser.add_argument("--until", default="", help="default: now")
        parser.add_argument("--send", action="store_true", help="do it; without this it is a dry run")
        parser.add_argument("--per-minute", type=int, default=0, help="default: a quarter of OTP_GLOBAL_MAX_PER_MINUTE")
        parser.add_argument(
            "--by", default="", help="who does it, for the audit trail; default: the user of this shell"
        )
        parser.add_argument("--note", default="", help="why, for the audit trail")

    def handle(self, *_: Any, **options: Any) -> None:
        made = services()
        try:
            span = affected.window(options["since"], options["until"], services=made)
        except AccountsError as error:
            raise CommandError(f"These are no two times in order: {', '.join(error.fields or {})}.") from error
        people = affected.people(span, services=made)
        by = options["by"] or _user()
        notifier = Notifier(made, by=by, per_minute=max(0, options["per_minute"]))
        send = bool(options["send"])
        if send and people:
            minutes = len(people) / notifier.per_minute
            self.stdout.write(f"{len(people)} people at {notifier.per_minute} a minute: {minutes:.0f} minutes at most.")
            write_down(by=by, note=options["note"], people=len(people))
        bar = _Bar(len(people), shown=send and sys.stderr.isatty())
        tally = notifier.tell(people, send=send, step=bar.step)
        bar.end()
        self.stdout.write(f"{tally.told} people {'are told' if send else 'would be told'}.")
        for reason, count in tally.left_out.most_common():
            self.stdout.write(f"{count} left out: {reason}")
        if not send:
            self.stdout.write("Nothing was sent: add --send to tell them.")


class _Bar:
    """A progress bar on standard error."""

    def __init__(self, total: int, *, shown: bool) -> None:
        self._total, self._shown = max(1, total), shown

    def step(self, tally: Tally) -> None:
        if not self._shown:
            return
        done = tally.told + sum(tally.left_out.values())
        filled = done * _BAR // self._total
        print(f"\r[{'#' * filled}{'.' * (_BAR - filled)}] {done}/{self._total}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._shown:
            print(file=sys.stderr)


def _user() -> str:
    try:
        return f"shell:{getpass.getuser()}"
    except (KeyError, OSError):
        return "shell"
