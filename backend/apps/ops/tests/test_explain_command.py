"""`otp_explain`: the story on the terminal, and what the vendor's support needs."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from apps.accounts.models import Message
from apps.accounts.providers.base import Rejected
from apps.ops.tests.conftest import OperatorApi
from apps.ops.tests.test_explain import ask
from conftest import PHONE, Api, Rooms

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_command_tells_the_same(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    challenge = ask(api)["challenge"]
    out = io.StringIO()
    call_command("otp_explain", challenge["support_code"], stdout=out)
    assert "+966*****567" in out.getvalue()
    assert "Next: " in out.getvalue()
    assert PHONE not in out.getvalue()
    out = io.StringIO()
    call_command("otp_explain", PHONE, "--json", stdout=out)
    assert json.loads(out.getvalue())["id"] == rooms.services.number_ids.of(PHONE)[:16]
    for typed, told in (("0501234567", "a number with . and its country"), ("K7QM-2F9D", "nothing is known by this")):
        with pytest.raises(CommandError, match=told):
            call_command("otp_explain", typed, stdout=io.StringIO())


def test_the_vendors_support_gets_ids_times_and_errors_and_no_number(rooms: Rooms, api: Api) -> None:
    rooms.gateway.always = Rejected("30007")
    ask(api)
    out = io.StringIO()
    call_command("otp_explain", "--vendor", "twilio", "--since", "1h", stdout=out)
    head, row = out.getvalue().splitlines()
    assert head.startswith("our_id,vendor_id,at,channel,state,error_class,error_code")
    assert row.split(",")[0] == Message.objects.get().id
    assert "30007" in row
    assert PHONE[1:] not in out.getvalue()
    with pytest.raises(CommandError, match="such as 15m"):
        call_command("otp_explain", "--vendor", "twilio", stdout=io.StringIO())


def test_an_unknown_gateway_is_told_by_the_known_ones(rooms: Rooms) -> None:
    with pytest.raises(CommandError, match="authentica, twilio") as refused:
        call_command("otp_explain", "--vendor", "nope", "--since", "1h", stdout=io.StringIO())
    assert refused.value.returncode == 2


def test_a_database_that_is_gone_is_one_sentence(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OperationalError("connection to server at db.internal failed")

    monkeypatch.setattr("apps.accounts.services.statements.row", gone)
    monkeypatch.setattr("apps.accounts.services.statements.rows", gone)
    for command in (["otp_explain", PHONE], ["otp_explain", "--vendor", "twilio", "--since", "1h"],
                    ["otp_affected", "--since", "1h"], ["otp_notify", "--since", "1h"], ["otp_purge"],
                    ["otp_audit_log", "list"]):  # fmt: skip
        with pytest.raises(CommandError) as refused:
            call_command(*command, stdout=io.StringIO())
        assert (str(refused.value), refused.value.returncode) == ("The database does not answer: OperationalError", 2)


def test_a_reader_that_has_read_enough_ends_a_command_quietly() -> None:
    root = Path(__file__).resolve().parents[4]
    script = f"set -o pipefail; '{sys.executable}' '{root / 'manage.py'}' diffsettings --all | true"
    environ = {
        **os.environ,
        "OTP_ENV_FILE": os.devnull,
        "DEBUG": "True",
        "DJANGO_SETTINGS_MODULE": "salon_api.settings",
    }
    for unbuffered in ("", "1"):
        done = subprocess.run(
            ["bash", "-c", script], env={**environ, "PYTHONUNBUFFERED": unbuffered}, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
