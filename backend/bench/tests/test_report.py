"""A report says what was measured, ratios included, and hides no fault."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

from bench import report
from bench.accounting import Cpu
from bench.counting import CallCount, summarise
from bench.options import parse
from bench.phases import Phase
from bench.rounds import Result
from bench.stats import Spread
from bench.taps import Tally


def phase(target: str, *, number: int, logins: int, cpu: float, faults: dict[str, int] | None = None) -> Phase:
    return Phase(
        target=target,
        kind="login",
        number=number,
        in_flight=16,
        seconds=2.0,
        calls=2 * logins,
        logins=logins,
        faults=Counter(faults or {}),
        latency={"request": Spread(p50=0.010, p95=0.02, p99=0.03, count=logins)},
        login_latency=Spread(p50=0.015, p95=0.025, p99=0.035, count=logins),
        cpu=Cpu(app=cpu, postgres=0.5, redis=0.1),
        driver_cpu=0.2,
        memory=None,
    )


def result(*phases: Phase, counts: dict[str, dict[str, CallCount]] | None = None) -> Result:
    return Result(
        options=parse(["--rounds", "3"]),
        stores="somewhere",
        machine="a machine",
        phases=list(phases),
        counts=counts or {},
        disturbances=["round 1: 900 transactions in databases of others"],
    )


def three_rounds() -> Result:
    floors = [phase("floor", number=number, logins=2000, cpu=1.4) for number in range(3)]
    services = [phase("service", number=number, logins=1000, cpu=3.4) for number in range(3)]
    return result(*floors, *services)


def test_rates_and_cpu_are_per_login() -> None:
    found = report.medians([phase("floor", number=0, logins=2000, cpu=1.4)])
    assert found["per_second"] == 1000
    assert found["requests_per_second"] == 2000
    assert found["cpu"] == 1.0
    assert found["cpu_app"] == 0.7
    assert found["request_p50"] == 10.0


def test_the_ratio_is_service_over_floor() -> None:
    entry = report.document(three_rounds())["summary"][0]
    assert entry["ratios"]["service/floor"]["cpu"] == 4.0
    assert entry["ratios"]["service/floor"]["per_second"] == 0.5


def test_the_table_shows_both_sides_and_the_ratio() -> None:
    text = report.table(three_rounds())
    line = next(line for line in text.splitlines() if "server CPU s per 1,000 logins" in line)
    assert line.split()[-3:] == ["1.00", "4.00", "4.00x"]


def test_a_fault_is_in_the_table_and_in_the_count() -> None:
    found = result(phase("floor", number=0, logins=10, cpu=1, faults={"verify: 400 invalid_otp": 3}))
    assert found.faults == 3
    assert "3 x floor: verify: 400 invalid_otp" in report.table(found)


def test_a_disturbed_round_is_said() -> None:
    assert "disturbed: round 1: 900 transactions" in report.table(three_rounds())


def test_a_phase_without_logins_is_counted_by_calls() -> None:
    calls_only = replace(phase("floor", number=0, logins=0, cpu=1.0), kind="status", calls=500)
    assert calls_only.rate == 250
    assert calls_only.per_thousand(1.0) == 2.0


def test_an_empty_phase_has_no_cost() -> None:
    assert phase("floor", number=0, logins=0, cpu=1.0).per_thousand(1.0) is None


def test_the_document_is_json_with_every_phase(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "bench.json"
    report.write_json(three_rounds(), path=path)
    found = json.loads(path.read_text())
    assert len(found["phases"]) == 6
    assert found["options"]["limits"] == "real"
    assert found["phases"][0]["cpu"]["postgres"] == 0.5


def test_counts_are_medians_so_that_a_background_job_does_not_count() -> None:
    usual = Tally(work=3, waits=2, shapes=Counter({"insert challenge": 3}))
    odd = Tally(work=9, waits=8, shapes=Counter({"select jobs": 9}))
    keys = Tally(work=1, waits=1, shapes=Counter({"evalsha": 1}))
    found = summarise([(usual, keys, 1), (odd, keys, 1), (usual, keys, 1)])
    assert (found.sql, found.sql_waits, found.redis, found.gateway) == (3, 2, 1, 1)
    assert found.sql_shapes == ("insert challenge",) * 3


def test_counts_are_in_the_table() -> None:
    one = CallCount(
        sql=2,
        sql_waits=1,
        redis=1,
        redis_waits=1,
        gateway=1,
        sql_shapes=("insert a", "insert a"),
        redis_shapes=("eval",),
    )
    text = report.table(result(phase("floor", number=0, logins=1, cpu=1), counts={"floor": {"request": one}}))
    assert "2x insert a, eval" in text


def with_a_peer() -> Result:
    found = three_rounds()
    peers = [phase("better-auth", number=number, logins=500, cpu=1.4) for number in range(3)]
    refreshes = [replace(one, kind="refresh", logins=0) for one in found.phases]
    options = parse(["--rounds", "3", "--peer", "better-auth"])
    return replace(
        found, options=options, phases=[*found.phases, *peers, *refreshes], peers={"better-auth": "1.2.3 on Node 20"}
    )


def test_a_peer_is_compared_with_the_floor_and_the_service_with_it() -> None:
    entry = report.document(with_a_peer())["summary"][0]
    assert set(entry["ratios"]) == {"service/floor", "better-auth/floor", "service/better-auth"}
    assert entry["ratios"]["better-auth/floor"]["cpu"] == 4.0
    assert entry["ratios"]["service/better-auth"]["per_second"] == 2.0


def test_the_table_has_a_column_for_each_target_and_each_ratio_and_says_what_the_peer_is() -> None:
    lines = report.table(with_a_peer()).splitlines()
    head = next(line for line in lines if line.startswith("complete logins"))
    line = next(line for line in lines if "server CPU s per 1,000 logins" in line)
    assert head.split()[-3:] == ["service/floor", "better-auth/floor", "service/better-auth"]
    assert line.split()[-6:] == ["1.00", "4.00", "4.00", "4.00x", "4.00x", "1.00x"]
    assert len(line) == len(head)
    assert "better-auth: 1.2.3 on Node 20" in lines


def test_a_call_that_a_peer_does_not_have_stays_empty() -> None:
    one = CallCount(sql=1, sql_waits=1, redis=0, redis_waits=0, gateway=0, sql_shapes=("select a",), redis_shapes=())
    found = replace(with_a_peer(), counts={"service": {"refresh": one, "status": one}, "better-auth": {"status": one}})
    lines = report.table(found).splitlines()
    refreshes = lines[next(at for at, line in enumerate(lines) if line.startswith("refreshes")) :]
    assert "n/a" in next(line for line in refreshes if "calls/s" in line)
    assert [line.split()[1] for line in lines if line.startswith("refresh ")] == ["service"]
