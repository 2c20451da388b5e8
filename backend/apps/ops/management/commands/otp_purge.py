"""Forget what is old."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any, Final

from apps.accounts.services.purging import BATCH, DAYS
from apps.accounts.services.wiring import services
from apps.ops.forgetting import forget
from apps.ops.management.operating import OperatorCommand

_MOST_DAYS: Final = 3650
_MOST_AT_ONCE: Final = 100_000


class Command(OperatorCommand):
    help = (
        "Delete challenges, deliveries and what belongs to them after --days, and whatever else counts for nothing any "
        "more, in small batches. Sums and the audit trail stay. Safe at any time, twice at once, and when killed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=_whole(_MOST_DAYS), default=DAYS, help=f"default: {DAYS}")
        parser.add_argument(
            "--batch", type=_whole(_MOST_AT_ONCE), default=BATCH, help=f"rows of one transaction; default: {BATCH}"
        )
        parser.add_argument("--max-seconds", type=float, default=float("inf"), help="stop after so long")

    def handle(self, *_: Any, **options: Any) -> None:
        counts = forget(services(), days=options["days"], batch=options["batch"], max_seconds=options["max_seconds"])
        gone = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        self.stdout.write(f"Deleted: {gone or 'nothing'}.")


def _whole(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        # The length first: nobody's ten thousand digits are worth a conversion.
        if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= most:
            raise ArgumentTypeError(f"must be a whole number from 1 to {most}")
        return int(text)

    return read
