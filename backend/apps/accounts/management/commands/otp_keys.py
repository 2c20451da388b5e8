"""`otp_keys rotate | list`: the signing keys in an operator's hands. It must not print anything that is secret."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError

from apps.accounts.services.wiring import services


class Command(BaseCommand):
    help = "Rotate or list the keys that sign access tokens."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        rotate = verbs.add_parser("rotate", help="let the standby key sign; tokens signed before stay good")
        rotate.add_argument(
            "--compromised", action="store_true", help="trust no key made before: every access token ends at once"
        )
        rotate.add_argument(
            "--by", default="", help="who does it, for the audit trail; default: the user of this shell"
        )
        rotate.add_argument("--note", default="", help="why, for the audit trail")
        verbs.add_parser("list", help="show the keys that verify")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb."""
        try:
            self._run(options)
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"The database does not answer: {type(error).__name__}", returncode=2) from error

    def _run(self, options: dict[str, Any]) -> None:
        keys = services().keys
        if options["verb"] == "rotate":
            keys.ensure()
            by = options["by"] or _user()
            kid = keys.rotate(compromised=options["compromised"], actor=by, note=options["note"])
            self.stdout.write(f"{kid} signs in every process within 3 seconds")
        for key in keys.listing():
            until = f" until {key.drops_at:%Y-%m-%d %H:%M:%SZ}" if key.drops_at else ""
            self.stdout.write(f"{key.kid}  {key.algorithm}  {key.state}{until}")


def _user() -> str:
    try:
        return f"shell:{getpass.getuser()}"
    except (KeyError, OSError):
        return "shell"
