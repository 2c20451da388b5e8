"""The outbox: the latest 200 messages, whole, in order, seen by every process."""

import multiprocessing
import stat
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from apps.accounts.dev.outbox import CAPACITY, FILE_NAME, FileOutbox, MemoryOutbox, Outbox

NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "file"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Outbox:
    return MemoryOutbox() if request.param == "memory" else FileOutbox(tmp_path / "not there yet")


def put(
    outbox: Outbox, *, to: str = "+966501234567", code: str | None = "482913", after: float = 0, text: str = "t"
) -> None:
    outbox.record(to, channel="sms", text=text, code=code, sent_at=NOON + timedelta(seconds=after))


def test_an_unused_outbox_is_empty(outbox: Outbox) -> None:
    assert outbox.list() == []


def test_a_message_comes_back_as_it_was_recorded(outbox: Outbox) -> None:
    text = "482913 هو رمز\n@salon.example #482913\u200e \N{BARBER POLE}"
    outbox.record("+966501234567", channel="whatsapp", text=text, code="482913", sent_at=NOON)
    [message] = outbox.list()
    assert (message.to, message.channel, message.text) == ("+966501234567", "whatsapp", text)
    assert (message.code, message.sent_at) == ("482913", NOON)


def test_a_notice_has_no_code(outbox: Outbox) -> None:
    put(outbox, code=None)
    assert outbox.list()[0].code is None


def test_the_newest_comes_first_by_the_time_of_sending(outbox: Outbox) -> None:
    for code, after in (("000002", 2), ("000003", 3), ("000001", 1)):
        put(outbox, code=code, after=after)
    assert [message.code for message in outbox.list()] == ["000003", "000002", "000001"]


def test_of_two_messages_of_one_instant_the_later_recorded_comes_first(outbox: Outbox) -> None:
    put(outbox, code="000001")
    put(outbox, code="000002")
    assert [message.code for message in outbox.list()] == ["000002", "000001"]


def test_every_message_has_an_id_of_its_own(outbox: Outbox) -> None:
    for _ in range(20):
        put(outbox)
    assert len({message.id for message in outbox.list()}) == 20


def test_a_number_finds_its_own_messages_alone(outbox: Outbox) -> None:
    put(outbox, to="+966501234567", code="000001")
    put(outbox, to="+966501234568", code="000002")
    assert [message.code for message in outbox.list("+966501234568")] == ["000002"]
    assert outbox.list("+96650123456") == []


def test_clearing_forgets_everything_and_the_outbox_stays_usable(outbox: Outbox) -> None:
    put(outbox, code="000001")
    outbox.clear()
    assert outbox.list() == []
    put(outbox, code="000002")
    assert [message.code for message in outbox.list()] == ["000002"]


def test_clearing_an_unused_outbox_does_nothing(outbox: Outbox) -> None:
    outbox.clear()
    assert outbox.list() == []


def test_only_the_latest_200_are_kept(outbox: Outbox) -> None:
    for number in range(CAPACITY + 5):
        put(outbox, code=f"{number:06}", after=number)
    codes = [message.code for message in outbox.list()]
    assert len(codes) == CAPACITY
    assert (codes[0], codes[-1]) == ("000204", "000005")


def test_a_time_without_a_zone_is_refused(outbox: Outbox) -> None:
    with pytest.raises(ValueError, match="aware"):
        outbox.record("+966501234567", channel="sms", text="t", code=None, sent_at=NOON.replace(tzinfo=None))


def test_a_time_of_another_zone_keeps_its_instant(outbox: Outbox) -> None:
    riyadh = timezone(timedelta(hours=3))
    outbox.record("+966501234567", channel="sms", text="t", code=None, sent_at=NOON.astimezone(riyadh))
    assert outbox.list()[0].sent_at == NOON


def test_a_message_never_prints_its_code(outbox: Outbox) -> None:
    put(outbox, text="482913 is your code")
    assert "482913" not in repr(outbox.list())


def test_threads_that_record_at_once_lose_nothing(outbox: Outbox) -> None:
    def put_ten() -> None:
        for _ in range(10):
            put(outbox)

    threads = [threading.Thread(target=put_ten) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outbox.list()) == 80


def test_another_process_sees_what_this_one_records_and_the_other_way_round(tmp_path: Path) -> None:
    put(FileOutbox(tmp_path), code="000001")
    process = multiprocessing.get_context("spawn").Process(target=_answer_from_another_process, args=(tmp_path,))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    assert [message.code for message in FileOutbox(tmp_path).list()] == ["000002", "000001"]


def test_processes_that_record_at_once_tear_no_line_even_while_the_file_is_cut_back(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_record_many, args=(tmp_path, worker)) for worker in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    messages = FileOutbox(tmp_path).list()
    assert len(messages) == CAPACITY
    # What one process wrote is there without a gap up to its last.
    for worker in range(3):
        own = [int(message.code or "0") for message in reversed(messages) if message.to.endswith(str(worker))]
        assert own == list(range(150 - len(own), 150))


def test_the_file_does_not_grow_without_end(tmp_path: Path) -> None:
    outbox = FileOutbox(tmp_path)
    for number in range(1200):
        put(outbox, code=f"{number:06}", after=number, text="x" * 400)
    assert (tmp_path / FILE_NAME).stat().st_size < 300 * 1024
    assert len(outbox.list()) == CAPACITY
    assert outbox.list()[0].code == "001199"


def test_a_line_that_a_killed_process_left_half_written_costs_that_message_alone(tmp_path: Path) -> None:
    outbox = FileOutbox(tmp_path)
    put(outbox, code="000001", after=1)
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(b'{"id": "torn", "to": "+9665')
    put(outbox, code="000002", after=2)
    assert [message.code for message in outbox.list()] == ["000002", "000001"]


@pytest.mark.parametrize(
    "line", [b"[]", b"null", b"{}", b"\xff\xfe", b'{"id": 1, "sent_at": 5}', b'{"sent_at": "never"}']
)
def test_a_line_that_is_no_message_is_passed_over(tmp_path: Path, line: bytes) -> None:
    outbox = FileOutbox(tmp_path)
    put(outbox)
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(line + b"\n")
    assert len(outbox.list()) == 1


def test_codes_in_the_file_are_readable_by_its_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "var"
    outbox = FileOutbox(directory)
    for number in range(1000):
        put(outbox, after=number, text="x" * 400)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {FILE_NAME: 0o600, FILE_NAME + ".lock": 0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def _answer_from_another_process(directory: Path) -> None:
    assert [message.code for message in FileOutbox(directory).list()] == ["000001"]
    put(FileOutbox(directory), code="000002", after=1)


def _record_many(directory: Path, worker: int) -> None:
    outbox = FileOutbox(directory)
    for number in range(150):
        outbox.record(
            f"+96650123456{worker}",
            channel="sms",
            text="x" * 1500,
            code=f"{number:06}",
            sent_at=datetime.now(UTC),
        )
