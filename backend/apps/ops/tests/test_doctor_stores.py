"""The doctor on secrets, test numbers, stores and clocks."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from apps.accounts import config
from apps.accounts.config import Config
from apps.accounts.services import statements
from apps.ops.doctor import clocks, secrecy, stores
from apps.ops.doctor.clocks import Skew
from apps.ops.doctor.findings import Finding, Level
from conftest import BASE_ENVIRON

TODAY = date(2027, 1, 1)


def configured(**environ: str) -> Config:
    return config.load({**BASE_ENVIRON, **environ})


def by_code(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.code: finding for finding in findings}


class TestSecrets:
    def look(self, **environ: str) -> dict[str, Finding]:
        return by_code(secrecy.look(configured(**environ), today=TODAY))

    def test_drawn_secrets_are_no_finding(self) -> None:
        drawn = {
            "SECRET_KEY": "bK3v9xQm2Lr8TfYw6ZpHs1NcJd4GeUa7RiVo0XkB5MyWqCtP",
            "OTP_SECRET": "Zq8WnRt5LxJv2Ck7HmYb4PdGs9TfUe1AoXi6QwNrKzMc3VhB",
            "ADMIN_TOKEN": "h7Kp2Wm9Rx4Tb6Yc1Vn8Zs3Qd5Jf0Lg_GeHuAiOaPxCkMvBt",
            "METRICS_TOKEN": "T4yUi8OpAs2DfGh6JkLz0XcVb3NmQw9ErTa5SdFg1HjKlMnB",
        }
        found = self.look(**drawn)
        assert {one.level for one in found.values() if "secret" in one.code} == set()

    def test_development_secrets_are_an_error(self) -> None:
        found = list(secrecy.look(config.load({"DEBUG": "True"}), today=TODAY))
        assert {one.figures["name"] for one in found if one.code == "default_secret"} == {"SECRET_KEY", "OTP_SECRET"}

    def test_short_repeated_and_shared_secrets_are_told(self) -> None:
        assert self.look(METRICS_TOKEN="short")["short_secret"].level is Level.ERROR
        assert self.look(OTP_SECRET="ab" * 20)["weak_secret"].level is Level.WARNING
        assert self.look(OTP_SECRET="abcdefghijklmnopqrstuvwxyzabcdefghijkl")["weak_secret"].level is Level.WARNING
        shared = self.look(OTP_SECRET=BASE_ENVIRON["SECRET_KEY"])["shared_secret"]
        assert (shared.level, shared.figures["names"]) == (Level.ERROR, ["SECRET_KEY", "OTP_SECRET"])

    def test_no_finding_ever_holds_a_secret(self) -> None:
        environ = {
            **BASE_ENVIRON,
            "METRICS_TOKEN": "short",
            "OTP_SECRET_PREVIOUS": "ab" * 20,
            "ADMIN_TOKENS": "ann:tiny",
        }
        told = str([one.as_json() for one in secrecy.look(configured(**environ), today=TODAY)])
        for value in ("short", "ab" * 20, "tiny", BASE_ENVIRON["SECRET_KEY"], BASE_ENVIRON["ADMIN_TOKEN"]):
            assert f"'{value}'" not in told.replace("short_secret", "")

    def test_test_numbers_without_an_end_are_a_way_in_for_ever(self) -> None:
        assert self.look()["endless_test_numbers"].figures["count"] == 1
        far = (TODAY + timedelta(days=900)).isoformat()
        found = self.look(OTP_TEST_NUMBERS=f"+1234567890:123456@{far},+1234567891:123456@2026-01-01")
        assert "endless_test_numbers" not in found
        assert {"long_test_numbers", "past_test_numbers", "test_numbers"} <= set(found)

    def test_a_former_secret_that_is_still_good_is_told(self) -> None:
        assert "previous_secret" in self.look(OTP_SECRET_PREVIOUS="x" * 8 + BASE_ENVIRON["OTP_SECRET"])


class Redis:
    """As much of a client as is asked."""

    def __init__(self, **memory: Any) -> None:
        self._memory = {"maxmemory": 0, "maxmemory_policy": "noeviction", **memory}

    def info(self, section: str) -> dict[str, Any]:
        return self._memory


class TestStores:
    def test_no_redis_means_limits_per_process(self) -> None:
        found = by_code(stores.look_at_cache(configured(WEB_CONCURRENCY="4"), None))["in_process_cache"]
        assert found.level is Level.WARNING
        assert by_code(stores.look_at_cache(configured(), None))["in_process_cache"].level is Level.NOTE

    def test_a_redis_that_evicts_forgets_limits(self) -> None:
        full: Any = Redis(maxmemory=10**6, maxmemory_policy="allkeys-lru")
        assert "evicting_cache" in by_code(stores.look_at_cache(configured(), full))
        unbounded: Any = Redis(maxmemory_policy="allkeys-lru")
        assert "evicting_cache" not in by_code(stores.look_at_cache(configured(), unbounded))

    def test_no_memory_fallback_means_no_sends_without_redis(self) -> None:
        client: Any = Redis()
        found = by_code(stores.look_at_cache(configured(OTP_MEMORY_FALLBACK="False"), client))
        assert found["no_memory_fallback"].level is Level.WARNING

    @pytest.mark.django_db(transaction=True)
    def test_the_database_is_named_for_what_it_is(self) -> None:
        found = by_code(stores.look_at_database(configured()))
        assert ("database" in found) is statements.is_postgres()
        assert ("sqlite" in found) is not statements.is_postgres()

    @pytest.mark.parametrize(
        ("setting", "code"), [("fsync", "unsafe_database"), ("synchronous_commit", "lazy_commits")]
    )
    def test_a_database_that_forgets_is_told(self, monkeypatch: pytest.MonkeyPatch, setting: str, code: str) -> None:
        said = {"max_connections": "100", "server_version": "16.4", setting: "off"}
        monkeypatch.setattr("apps.accounts.services.statements.is_postgres", lambda: True)
        monkeypatch.setattr("apps.ops.doctor.queries.server_settings", lambda: said)
        assert code in by_code(stores.look_at_database(configured(DATABASE_POOL_MAX="4")))

    def test_more_connections_than_there_are_is_told_with_the_arithmetic(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("apps.accounts.services.statements.is_postgres", lambda: True)
        monkeypatch.setattr("apps.ops.doctor.queries.server_settings", lambda: {"max_connections": "100"})
        found = by_code(stores.look_at_database(configured(WEB_CONCURRENCY="8")))["too_few_connections"]
        assert (found.figures["wanted"], found.figures["allowed"]) == (144, 100)


class TestClocks:
    @pytest.mark.parametrize(
        ("seconds", "level"),
        [(0.1, Level.NOTE), (-1.9, Level.NOTE), (2.5, Level.WARNING), (-20, Level.WARNING), (31.0, Level.ERROR)],
    )
    def test_a_clock_that_is_off_is_told_by_how_much(self, seconds: float, level: Level) -> None:
        found = clocks.judge(Skew("Redis", seconds, 0.01))
        assert found.level is level
        assert f"{abs(seconds):.3f} s" in found.says

    def test_a_slow_round_trip_is_no_skew(self) -> None:
        assert clocks.judge(Skew("Redis", 2.4, 1.0)).level is Level.NOTE

    def test_the_quickest_of_several_answers_counts(self) -> None:
        times = iter([0.0, 4.0, 10.0, 10.1, 20.0, 25.0, 30.0, 31.0, 40.0, 48.0])
        found = clocks.measure("there", lambda: 15.05, host=lambda: next(times))
        assert found.seconds == pytest.approx(5.0)
        assert found.give_or_take == pytest.approx(0.05)

    @pytest.mark.django_db(transaction=True)
    def test_the_databases_clock_is_measured(self) -> None:
        (found,) = clocks.look(None)
        assert abs(found.figures["seconds"]) < 5
