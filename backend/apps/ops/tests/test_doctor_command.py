"""`manage.py otp_doctor` as an operator and CI run it: what it prints, and its exit status."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from apps.ops.doctor import examination, stores
from conftest import BuildRooms, RecordingGateway, on_postgres

pytestmark = pytest.mark.django_db(transaction=True)

# What a careful operator has set.
CAREFUL = {
    "SECRET_KEY": "bK3v9xQm2Lr8TfYw6ZpHs1NcJd4GeUa7RiVo0XkB5MyWqCtP",
    "OTP_SECRET": "Zq8WnRt5LxJv2Ck7HmYb4PdGs9TfUe1AoXi6QwNrKzMc3VhB",
    "ADMIN_TOKEN": "h7Kp2Wm9Rx4Tb6Yc1Vn8Zs3Qd5Jf0Lg_GeHuAiOaPxCkMvBt",
    "METRICS_TOKEN": "T4yUi8OpAs2DfGh6JkLz0XcVb3NmQw9ErTa5SdFg1HjKlMnB",
    "OTP_TEST_NUMBERS": "",
    "OTP_FALLBACK_PROVIDERS": "authentica",
    "AUTHENTICA_API_KEY": "key",
    "OTP_ALLOWED_COUNTRIES": "SA,AE",
    "PHONE_AUTH_IP_MAX_PER_WINDOW": "60",
    "OTP_GUARD_MODE": "enforce",
    "OTP_DAILY_SPEND_LIMIT": "250",
    "PUBLIC_BASE_URL": "https://login.example.com",
    "TRUSTED_PROXY_CIDRS": "10.1.2.3/32",
}


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("otp_doctor", *arguments, stdout=out)
    return int(ended.value.code or 0), out.getvalue()


def careful(build_rooms: BuildRooms, **environ: str) -> None:
    build_rooms(gateways=[RecordingGateway(), RecordingGateway(name="authentica")], **{**CAREFUL, **environ})


def test_the_sample_configuration_has_findings(build_rooms: BuildRooms) -> None:
    build_rooms()
    status, told = run()
    assert status == 1
    for code in ("guess_one_account", "guess_any_account", "address_limit_refuses_carriers", "every_country",
                 "no_fallback", "endless_test_numbers", "clock_skew", "forged_forwarded_for", "code_life"):  # fmt: skip
        assert f"{code}: " in told


def test_a_careful_configuration_is_left_with_what_a_test_cannot_have(build_rooms: BuildRooms) -> None:
    careful(build_rooms)
    _, told = run("--json")
    found = json.loads(told)
    wrong = {one["code"] for one in found["findings"] if one["level"] != "note"}
    assert wrong == ({"debug"} if on_postgres() else {"debug", "sqlite"})


def test_nothing_but_notes_is_exit_status_zero(build_rooms: BuildRooms, monkeypatch: pytest.MonkeyPatch) -> None:
    careful(build_rooms)
    real = examination.examine

    def examine(rooms: Any) -> Any:
        found = real(rooms)
        kept = tuple(one for one in found.findings if one.code not in ("debug", "sqlite"))
        return examination.Examination(kept, found.complete)

    monkeypatch.setattr("apps.ops.management.commands.otp_doctor.examine", examine)
    assert run()[0] == 0


def test_fail_on_error_lets_warnings_pass(build_rooms: BuildRooms) -> None:
    careful(build_rooms)
    assert run()[0] == 1
    assert run("--fail-on", "error")[0] == 0
    careful(build_rooms, TRUSTED_PROXY_CIDRS="0.0.0.0/0")
    assert run("--fail-on", "error")[0] == 1


def test_errors_come_first_and_are_counted(build_rooms: BuildRooms) -> None:
    build_rooms(TRUSTED_PROXY_CIDRS="0.0.0.0/0")
    found = json.loads(run("--json")[1])
    levels = [one["level"] for one in found["findings"]]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)
    assert found["counts"]["error"] == levels.count("error") >= 1


def test_a_store_that_does_not_answer_is_exit_status_two_and_the_rest_is_told(
    build_rooms: BuildRooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    careful(build_rooms)

    class Gone:
        def info(self, section: str) -> None:
            raise RedisConnectionError("redis://secret-host refused")

        def time(self) -> None:
            raise RedisConnectionError("redis://secret-host refused")

    monkeypatch.setattr(stores, "redis_of", lambda config: Gone())
    status, told = run()
    assert status == 2
    assert "store_unreachable: Redis does not answer (ConnectionError)" in told
    assert told.count("store_unreachable") == 1
    assert "secret-host" not in told
    assert "guess_one_account" in told


def test_a_database_that_is_gone_is_told_without_its_address(
    build_rooms: BuildRooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    careful(build_rooms)

    def gone(*_: object) -> None:
        raise OperationalError("connection to server at db.internal failed")

    monkeypatch.setattr("apps.ops.doctor.queries.busiest_address", gone)
    status, told = run()
    assert status == 2
    assert "The database does not answer (OperationalError)" in told
    assert "db.internal" not in told


def test_no_secret_is_ever_printed(build_rooms: BuildRooms) -> None:
    build_rooms(METRICS_TOKEN="short-metrics-token")
    told = run()[1] + run("--json")[1]
    assert "short-metrics-token" not in told
    assert CAREFUL["SECRET_KEY"] not in told
    assert "test-admin-token" not in told
