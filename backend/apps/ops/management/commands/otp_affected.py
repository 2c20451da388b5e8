"""List whose login failed between two times."""

import csv
import json
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import CommandError

from apps.accounts.errors import AccountsError
from apps.accounts.services.wiring import services
from apps.ops import affected
from apps.ops.management.operating import OperatorCommand


class Command(OperatorCommand):
    help = "List who asked for a code and did not get in between two times; numbers are masked."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", required=True, help="ISO 8601, or 90m for so long ago")
        parser.add_argument("--until", default="", help="default: now")
        shape = parser.add_mutually_exclusive_group()
        shape.add_argument("--csv", action="store_true")
        shape.add_argument("--json", action="store_true")

    def handle(self, *_: Any, **options: Any) -> None:
        made = services()
        try:
            span = affected.window(options["since"], options["until"], services=made)
        except AccountsError as error:
            raise CommandError(f"These are no two times in order: {', '.join(error.fields or {})}.") from error
        people = [person.as_json() for person in affected.people(span, services=made)]
        if options["json"]:
            self.stdout.write(json.dumps({"people": people, "total": len(people)}, indent=2))
        elif options["csv"]:
            writer = csv.DictWriter(
                self.stdout, ["id", "phone_number", "first_request_at", "outcome"], lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(people)
        else:
            for person in people:
                self.stdout.write("  ".join(person.values()))
            sums = Counter(person["outcome"] for person in people)
            parts = ", ".join(f"{count} {outcome}" for outcome, count in sums.most_common())
            self.stdout.write(f"{len(people)} people{': ' + parts if parts else ''}")
