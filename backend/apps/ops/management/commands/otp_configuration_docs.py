"""Keep `.env.example` and docs/configuration.md in step with the table of variables."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from apps.ops import configuration_docs

ROOT: Final = Path(__file__).resolve().parents[5]


class Command(BaseCommand):
    help = "Write .env.example and docs/configuration.md from the table of variables, or check that they are in step."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not in step")

    def handle(self, *_: Any, **options: Any) -> None:
        wanted = {
            ROOT / ".env.example": configuration_docs.env_example(),
            ROOT / "docs" / "configuration.md": configuration_docs.configuration_page(),
        }
        stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
        if not options["check"]:
            for path in stale:
                path.write_text(wanted[path])
        elif stale:
            names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
            raise CommandError(f"Not in step with variables.py: {names}. Run `manage.py otp_configuration_docs`.")
