"""Seal, verify and list the audit trail. It must not know what the events mean."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from apps.accounts.services import audit_chain
from apps.ops import queries
from apps.ops.management.operating import OperatorCommand


class Command(OperatorCommand):
    help = (
        "seal: seal what is written; verify: exit 0 as written, 1 breaks found, 2 could not look; list: show records."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("seal", help="seal what can be sealed now")
        verify = verbs.add_parser("verify", help="compute every link again")
        verify.add_argument("--head", default="", help="a link that was noted elsewhere and must be in the chain")
        verify.add_argument("--json", action="store_true")
        shown = verbs.add_parser("list", help="show records, newest last")
        shown.add_argument("--event", default="", help="only these, such as block.added")
        shown.add_argument("--subject", default="")
        shown.add_argument("--actor", default="")
        shown.add_argument("--limit", type=int, default=100)
        shown.add_argument("--json", action="store_true", help="one object a line")

    def handle(self, *_: Any, **options: Any) -> None:
        getattr(self, "_" + options["verb"])(options)

    def _seal(self, _: dict[str, Any]) -> None:
        sealed = audit_chain.seal(patience_seconds=5.0)
        left = audit_chain.tail()
        self.stdout.write(f"{sealed} records sealed, {left.count} not yet.")

    def _verify(self, options: dict[str, Any]) -> None:
        found = audit_chain.verify(head=options["head"])
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    {
                        "links": found.links,
                        "records": found.records,
                        "head": found.head,
                        "breaks": list(found.breaks),
                        "unsealed": found.tail.count,
                        "oldest_unsealed_seconds": round(found.tail.oldest_seconds, 1),
                    }
                )
            )
        else:
            for sentence in found.breaks:
                self.stdout.write(f"BREAK: {sentence}")
            self.stdout.write(
                f"{found.links} links over {found.records} records; {found.tail.count} records not sealed yet"
                f" (the oldest for {found.tail.oldest_seconds:.1f} s).\nhead {found.head}"
            )
        if found.breaks:
            raise CommandError(f"The audit trail has {len(found.breaks)} breaks.", returncode=1)

    def _list(self, options: dict[str, Any]) -> None:
        found = queries.audit_records(
            event=options["event"], subject=options["subject"], actor=options["actor"], limit=options["limit"]
        )
        for record in reversed(found):
            if options["json"]:
                self.stdout.write(json.dumps(record, ensure_ascii=False))
            else:
                note = f"  “{record['note']}”" if record["note"] else ""
                self.stdout.write(
                    f"{record['at']}  {record['event']:<24}  {record['actor']:<16}  {record['subject']}{note}"
                )
