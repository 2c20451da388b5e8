"""Audit the effective configuration and say what it means: it prints, sets the exit status, and knows no rule."""

import json
import sys
from argparse import ArgumentParser
from collections import Counter
from typing import Any, Final

from django.core.management.base import BaseCommand

from apps.accounts.services.wiring import services
from apps.ops.doctor.examination import Examination, examine
from apps.ops.doctor.findings import Finding, Level

FINE, FINDINGS, COULD_NOT_RUN = 0, 1, 2
_SIGNS: Final = {Level.ERROR: "ERROR", Level.WARNING: "WARNING", Level.NOTE: "note"}


class Command(BaseCommand):
    help = (
        "Say what the effective configuration means: the chance to guess a code, what a forged header changes, weak "
        "secrets, missing fallbacks, clocks. Exit 0: notes only, 1: errors or warnings, 2: a store did not answer."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument(
            "--fail-on",
            choices=[Level.WARNING.value, Level.ERROR.value],
            default=Level.WARNING.value,
            help="the mildest finding that makes the exit status 1 (default: warning)",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        found = examine(services())
        counts = Counter(finding.level for finding in found.findings)
        status = _status(found, counts, fail_on=Level(options["fail_on"]))
        if options["json"]:
            body = {
                "status": status,
                "complete": found.complete,
                "counts": {level.value: counts[level] for level in Level},
                "findings": [finding.as_json() for finding in found.findings],
            }
            self.stdout.write(json.dumps(body, indent=2))
        else:
            for finding in found.findings:
                self.stdout.write(as_text(finding))
            told = ", ".join(f"{counts[level]} {level.value}s" for level in Level)
            self.stdout.write(f"\n{told}{'' if found.complete else '; a store did not answer'}")
        sys.exit(status)


def as_text(finding: Finding) -> str:
    """Return one finding with its arithmetic below it."""
    lines = [f"{_SIGNS[finding.level]:<8} {finding.code}: {finding.says}"]
    return "\n".join([*lines, *(f"{'':9}  {line}" for line in finding.lines)])


def _status(found: Examination, counts: Counter[Level], *, fail_on: Level) -> int:
    if not found.complete:
        return COULD_NOT_RUN
    bad = counts[Level.ERROR] + (counts[Level.WARNING] if fail_on is Level.WARNING else 0)
    return FINDINGS if bad else FINE
