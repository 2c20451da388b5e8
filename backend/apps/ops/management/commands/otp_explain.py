"""Tell one person's story, or what a gateway's support needs to know of an incident."""

import csv
import json
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import CommandError

from apps.accounts.config.compound import GATEWAYS
from apps.accounts.errors import AccountsError
from apps.accounts.services.wiring import services
from apps.ops import affected, queries_affected
from apps.ops.explain import explain
from apps.ops.management.operating import OperatorCommand

_COLUMNS: Final = (
    "our_id", "vendor_id", "at", "channel", "state", "error_class", "error_code", "latency_ms", "receipt_at",
)  # fmt: skip
_TIMES: Final = "--since and --until are times such as 15m, 2h or 2026-01-31T03:00Z, in order and within 31 days"
# By the field that was wrong, or the error's code.
_HELP: Final = {
    "q": "a support code (K7QM-2F9D), a challenge id or a number with + and its country (+966501234567) is wanted",
    "since": _TIMES,
    "until": _TIMES,
    "not_found": "nothing is known by this",
}


class Command(OperatorCommand):
    help = (
        "Show a person's story by support code, challenge id or phone number; or, with --vendor, the tries at a "
        "gateway between two times: ids, times and error classes for the vendor's support, and no numbers but what "
        "Meta's own ids spell in base64."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("q", nargs="?", help="a support code (K7QM-2F9D), a challenge id or a phone number")
        parser.add_argument("--vendor", help="a gateway, such as twilio")
        parser.add_argument("--since", default="", help="ISO 8601, or 90m for so long ago; with --vendor")
        parser.add_argument("--until", default="", help="default: now")
        parser.add_argument("--json", action="store_true")

    def handle(self, *_: Any, **options: Any) -> None:
        if bool(options["q"]) == bool(options["vendor"]):
            raise CommandError("Say either whose story (a support code, challenge id or number), or --vendor NAME.")
        try:
            if options["vendor"]:
                self._vendor(options)
            else:
                self._person(options["q"], as_json=options["json"])
        except AccountsError as error:
            told = _HELP.get(next(iter(error.fields or {}), error.code), error.code)
            raise CommandError(f"Nothing can be told: {told}.") from error

    def _person(self, q: str, *, as_json: bool) -> None:
        found = explain(q, services=services(), by_phone=True)
        if as_json:
            self.stdout.write(json.dumps(found.as_json(), ensure_ascii=False, indent=2))
            return
        self.stdout.write(f"{found.phone_number}  (id {found.id})\n")
        for entry in found.timeline:
            at = entry.at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            self.stdout.write(f"{at}  {entry.event:<11} {entry.outcome:<15} {entry.detail}")
        self.stdout.write(f"\nNext: {found.next_action}")

    def _vendor(self, options: dict[str, Any]) -> None:
        if options["vendor"] not in GATEWAYS:
            known = ", ".join(GATEWAYS)
            raise CommandError(f"There is no such gateway: --vendor must be one of {known}.", returncode=2)
        made = services()
        span = affected.window(options["since"], options["until"], services=made)
        found = queries_affected.vendor_tries(options["vendor"], span.since, span.until)
        if options["json"]:
            rows = [dict(zip(_COLUMNS, row, strict=True)) for row in found]
            self.stdout.write(json.dumps(rows, indent=2))
            return
        writer = csv.writer(self.stdout, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(found)
