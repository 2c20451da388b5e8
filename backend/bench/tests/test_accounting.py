"""CPU is attributed to those who spent it."""

import os
import time

import pytest

from bench.accounting import (
    TICKS_PER_SECOND,
    Cpu,
    ProcessTimes,
    parse_stat,
    postgres_seconds,
    read_process,
    session_seconds,
    title_of,
)


def stat_line(*, name: str = "granian", user: int = 150, system: int = 50, reaped: tuple[int, int] = (7, 3)) -> str:
    return (
        f"4711 ({name}) S 4700 4711 4699 0 -1 4194304 3967 14367 0 18 {user} {system} {reaped[0]} {reaped[1]} "
        "20 0 1 0 2626 222445568 7391 18446744073709551615 0 0 0"
    )


def process(
    pid: int, *, parent: int = 1, session: int = 1, own: float = 1.0, reaped: float = 0.0, name: str = "postgres"
) -> ProcessTimes:
    return ProcessTimes(pid=pid, name=name, parent=parent, session=session, own=own, reaped_children=reaped)


def test_a_stat_line_gives_own_and_reaped_time_in_seconds() -> None:
    found = parse_stat(stat_line())
    assert (found.pid, found.parent, found.session) == (4711, 4700, 4699)
    assert found.own == 200 / TICKS_PER_SECOND
    assert found.reaped_children == 10 / TICKS_PER_SECOND


@pytest.mark.parametrize("name", ["postgres: 15/main", "a) S 1 2 3 (b", "((", "x)"])
def test_a_name_with_brackets_and_spaces_does_not_shift_the_fields(name: str) -> None:
    found = parse_stat(stat_line(name=name))
    assert found.name == name
    assert found.own == 200 / TICKS_PER_SECOND


def test_this_process_can_be_read_and_spends_time() -> None:
    before = read_process(os.getpid())
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    after = read_process(os.getpid())
    assert before is not None
    assert after is not None
    assert after.own > before.own
    assert "python" in title_of(os.getpid()) or "pytest" in title_of(os.getpid())


def test_a_process_that_is_gone_is_none() -> None:
    assert read_process(2**22 + 1) is None
    assert title_of(2**22 + 1) == ""


def test_a_server_is_its_whole_session_with_reaped_children() -> None:
    among = [
        process(10, session=10, own=1.0, reaped=0.5),
        process(11, session=10, own=2.0),
        process(12, session=99, own=50.0),
    ]
    assert session_seconds(10, among=among) == 3.5


def test_backends_of_other_databases_are_left_out() -> None:
    among = [
        (process(5, own=0.5, reaped=1.5), "/usr/lib/postgresql/15/bin/postgres -D /data"),
        (process(6, parent=5, own=1.0), "postgres: 15/main: checkpointer"),
        (process(7, parent=5, own=2.0), "postgres: 15/main: postgres bench_floor_1 127.0.0.1(5555) idle"),
        (process(8, parent=5, own=4.0), "postgres: 15/main: postgres test_app 127.0.0.1(5556) SELECT"),
        (process(9, parent=5, own=8.0), "postgres: 15/main: autovacuum worker test_app"),
        (process(20, parent=3, own=16.0), "postgres: other cluster bench_floor_1"),
    ]
    assert postgres_seconds(5, database="bench_floor_1", among=among) == (5.0, 12.0)


def test_a_database_whose_name_only_begins_alike_is_foreign() -> None:
    among = [(process(7, parent=5, own=2.0), "postgres: postgres bench_floor_10 127.0.0.1(5555) idle")]
    assert postgres_seconds(5, database="bench_floor_1", among=among) == (0.0, 2.0)


def test_spending_between_two_readings_is_their_difference() -> None:
    found = Cpu(app=3.0, postgres=2.0, redis=1.0).since(Cpu(app=1.0, postgres=0.5, redis=0.25))
    assert (found.app, found.postgres, found.redis, found.total) == (2.0, 1.5, 0.75, 4.25)


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    found = Cpu(app=3.0, postgres=None, redis=1.0).since(Cpu(app=1.0, postgres=None, redis=0.5))
    assert found.postgres is None
    assert found.total is None
