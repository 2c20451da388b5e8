"""Audit every configured gateway without spending a message; `--live` spends one."""

import json
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError

from apps.accounts.errors import AccountsError
from apps.accounts.providers.base import Channel, Finding, ProviderError
from apps.accounts.services.gateway_audit import Audited
from apps.accounts.services.wiring import Services, services

FINE, FINDINGS, COULD_NOT_RUN = 0, 1, 2
_SIGNS = {Finding.OK: "ok", Finding.NOTE: "note", Finding.WARNING: "WARNING", Finding.FAULT: "FAULT"}


class Command(BaseCommand):
    help = "Check credentials, balance, senders, templates, TLS and webhook settings of every gateway."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument("--live", metavar="NUMBER", default="", help="also send one code to this number")
        parser.add_argument("--gateway", default="", help="by which gateway --live goes out (default: the first)")
        parser.add_argument("--wait", type=int, default=120, help="seconds that --live waits for the receipt")
        parser.add_argument("--actor", default="operator", help="who runs this, for the audit trail")

    def handle(self, *_: Any, **options: Any) -> None:
        made = services()
        try:
            found = made.gateway_audits.run()
        except DatabaseError as error:
            self.stderr.write(f"The audit could not run: {type(error).__name__}")
            sys.exit(COULD_NOT_RUN)
        live: dict[str, Any] | None = None
        if options["live"]:
            live = self._live(made, options)
        if options["json"]:
            self.stdout.write(json.dumps({"gateways": [one.as_json() for one in found], "live": live}, indent=2))
        else:
            self._print(found, live)
        bad = any(one.finding in (Finding.WARNING, Finding.FAULT) for one in found)
        sys.exit(FINDINGS if bad or (live is not None and not live["ok"]) else FINE)

    def _print(self, found: list[Audited], live: dict[str, Any] | None) -> None:
        if not found:
            self.stdout.write("No configured gateway can be audited (the console has nothing to check).")
        for one in found:
            self.stdout.write(f"{one.provider}")
            for line in one.lines:
                value = "" if line.value is None else f" [{line.value}]"
                self.stdout.write(f"  {_SIGNS[line.finding]:<8} {line.check}{value}: {line.advice}")
        if live is not None:
            self.stdout.write(f"live\n  {'ok' if live['ok'] else 'FAULT':<8} {live['gateway']}: {live['advice']}")

    def _live(self, made: Services, options: dict[str, Any]) -> dict[str, Any]:
        gateway = options["gateway"]
        try:
            phone = made.otp.parse_phone(options["live"])
            route = made.courier.route(phone.region, Channel.SMS)
            gateway = gateway or (route[0] if route else "")
            sent = made.gateway_audits.send_live(phone, gateway=gateway, actor=options["actor"])
        except AccountsError as error:
            return _verdict(gateway, False, f"Nothing was sent: {error.code}.")
        except ProviderError as error:
            return _verdict(gateway, False, f"The gateway did not take it: {error}.")
        if sys.stdin is not None and sys.stdin.isatty():
            self.stderr.write("Type the code that arrived (empty to wait for the receipt): ", ending="")
        typed = sys.stdin.readline().strip() if sys.stdin is not None else ""
        if typed:
            if sent.is_ours(typed):
                return _verdict(gateway, True, "The handset got our own code.")
            return _verdict(
                gateway, False, "The handset got another code than ours: this gateway ignores our code. For Authentica "
                "set AUTHENTICA_MODE=verify (their code) or sms (our text), and tell the vendor.",
            )  # fmt: skip
        until = time.monotonic() + options["wait"]
        while (state := made.gateway_audits.receipt_of(sent)) not in ("delivered", "failed"):
            if time.monotonic() >= until:
                return _verdict(gateway, False, f"No receipt and no typed code within {options['wait']} s.")
            time.sleep(1)
        ok = state == "delivered"
        return _verdict(gateway, ok, "Delivered, says the receipt." if ok else "Failed, says the receipt.")


def _verdict(gateway: str, ok: bool, advice: str) -> dict[str, Any]:
    return {"gateway": gateway, "ok": ok, "advice": advice}
