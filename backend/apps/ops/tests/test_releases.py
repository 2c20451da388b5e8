"""A version that begins to run in place of another one is an event; everything else is not."""

from datetime import timedelta

import pytest
from django.db import connection

from apps.accounts.services import statements
from apps.ops import releases
from apps.ops.dashboard import dashboard
from apps.ops.models import Release
from apps.ops.tests.conftest import OperatorApi
from conftest import Rooms, needs_postgres

pytestmark = pytest.mark.django_db(transaction=True)


def versions() -> list[tuple[str, str]]:
    return list(Release.objects.order_by("id").values_list("before", "version"))


def test_the_first_version_and_each_change_are_written_once() -> None:
    told = [releases.record(version) for version in ("1.0", "1.0", "1.1", "1.1", "1.0")]
    assert told == [True, False, True, False, True]
    assert versions() == [("", "1.0"), ("1.0", "1.1"), ("1.1", "1.0")]


def test_an_unnamed_version_is_not_written() -> None:
    assert not releases.record("")
    assert not releases.record("   ")
    assert versions() == []


def test_a_long_name_is_cut_and_still_the_same_one() -> None:
    assert releases.record("v" * 100)
    assert not releases.record("v" * 100)


def test_a_deployment_stands_on_the_line_of_events(rooms: Rooms, operator: OperatorApi) -> None:
    releases.record("2026.11.1")
    releases.record("2026.11.2")
    dashboard().forget()
    events = operator.get("/admin/otp/dashboard").json()["events"]
    assert [(event["kind"], event["subject"], event["detail"]["from"]) for event in events] == [
        ("release", "2026.11.2", "2026.11.1"),
        ("release", "2026.11.1", ""),
    ]


def test_what_began_before_is_not_told() -> None:
    releases.record("1.0")
    assert releases.since(statements.now() + timedelta(seconds=1)) == []
    assert [one.version for one in releases.since(statements.now() - timedelta(minutes=1))] == ["1.0"]


def test_without_its_table_a_process_starts_all_the_same() -> None:
    with connection.schema_editor() as editor:
        editor.delete_model(Release)
    try:
        assert not releases.record("1.0")
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Release)


@needs_postgres()
def test_processes_that_start_together_write_one_event() -> None:
    import threading

    together = threading.Barrier(8)
    told: list[bool] = []

    def start() -> None:
        together.wait()
        told.append(releases.record("3.0"))
        connection.close()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [False] * 7 + [True]
    assert versions() == [("", "3.0")]
