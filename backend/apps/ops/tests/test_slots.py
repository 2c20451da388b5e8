"""The kept sums: the same whoever adds them up and however often, and there before their rows are forgotten."""

import threading
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.db.models import F

from apps.accounts.models import Message
from apps.accounts.services import statements
from apps.ops import slots
from apps.ops.dashboard import stretches_of
from apps.ops.forgetting import forget
from apps.ops.models import Slot, SlotProgress
from apps.ops.traffic import percentile, spread, total
from conftest import Api, Rooms, needs_postgres

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST = "/api/auth/phone/request/"


@pytest.fixture
def past(rooms: Rooms, api: Api) -> Rooms:
    """Three people asked, ten hours apart, and the last one forty days ago."""
    for nth in range(3):
        assert api.post(REQUEST, {"phone_number": f"+96650123456{nth}"}).status_code == 200
        rooms.clock.advance(seconds=10 * 3600)
    rooms.clock.advance(seconds=40 * 86_400)
    return rooms


def test_before_rows_are_forgotten_they_are_summed(past: Rooms) -> None:
    counts = forget(past.services)
    assert sum(counts.values()) > 0
    assert Message.objects.count() == 0
    now = statements.now() + past.clock.offset
    assert total(slots.read(now - timedelta(days=60), now)).sent == 3


def test_what_is_read_from_sums_and_rows_together_is_counted_once(past: Rooms, api: Api) -> None:
    now = statements.now() + past.clock.offset
    slots.catch_up(now, now=now)
    assert api.post(REQUEST, {"phone_number": "+966501234569"}).status_code == 200
    later = now + timedelta(minutes=1)
    assert total(stretches_of(now - timedelta(days=60), later, step=300)).sent == 4
    assert Slot.objects.filter(sent__gt=0).count() == 3


def test_of_what_was_summed_before_codes_were_told_apart_everything_counts_as_codes(past: Rooms) -> None:
    now = statements.now() + past.clock.offset
    slots.catch_up(now, now=now)
    Slot.objects.update(codes_sent=0)
    import_module("apps.ops.migrations.0002_codes_sent").as_sent(apps, None)
    sums = total(slots.read(now - timedelta(days=60), now))
    assert (sums.sent, sums.codes_sent) == (3, 3)


def test_without_traffic_there_is_nothing_to_sum(rooms: Rooms) -> None:
    assert slots.sum_up() == 0
    assert slots.kept() is not None
    assert not Slot.objects.exists()


@needs_postgres()
def test_several_workers_at_once_sum_everything_once(past: Rooms) -> None:
    now = statements.now() + past.clock.offset
    together = threading.Barrier(4)

    def work() -> None:
        together.wait()
        for _ in range(50):  # a turn that another worker has is left to it
            slots.sum_up(now=now)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    slots.catch_up(now, now=now)
    assert total(slots.read(now - timedelta(days=60), now)).sent == 3
    assert SlotProgress.objects.get(name="settled").until == slots.floor(now - timedelta(hours=1))


@needs_postgres()
def test_who_sums_has_the_turn_for_every_pass_as_they_write_the_same_slots(past: Rooms) -> None:
    now = statements.now() + past.clock.offset
    slots.sum_up(now=now)
    SlotProgress.objects.update(until=F("since"))
    written: list[int] = []

    def another() -> None:
        written.append(slots.sum_up(now=now))
        connection.close()

    with transaction.atomic():
        SlotProgress.objects.select_for_update().get(name="settled")
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()
    assert written == [0]
    assert not SlotProgress.objects.filter(until__gt=F("since")).exists()
    slots.catch_up(now, now=now)
    assert total(slots.read(now - timedelta(days=60), now)).sent == 3


@needs_postgres()
def test_what_another_process_is_summing_is_forgotten_only_then(past: Rooms) -> None:
    now = statements.now() + past.clock.offset
    slots.sum_up(now=now)
    SlotProgress.objects.update(until=F("since"))

    def another() -> None:
        forget(past.services)
        connection.close()

    thread = threading.Thread(target=another)
    with transaction.atomic():
        SlotProgress.objects.select_for_update().get(name="settled")
        thread.start()
        thread.join(1)
        assert Message.objects.count() == 3
    thread.join()
    assert Message.objects.count() == 0
    assert total(slots.read(now - timedelta(days=60), now)).sent == 3


def test_a_percentile_is_a_value_that_was_counted() -> None:
    counts = {10: 50, 20: 44, 900: 6}
    assert [percentile(counts, share) for share in (0.5, 0.51, 0.94, 0.95)] == [10, 20, 20, 900]
    assert percentile({}, 0.5) is None
    assert spread(counts, units_per_second=1000) == {"p50": 0.01, "p95": 0.9}
