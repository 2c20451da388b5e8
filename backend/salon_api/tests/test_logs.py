"""Lines leave in order, lose no login when they cannot leave, and are one kind whoever says them."""

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from salon_api import logs

SAY = """
import logging, structlog, sys
from salon_api import logs
logs.configure(level="INFO", as_json=sys.argv[1] == "json")
structlog.contextvars.bind_contextvars(request_id="r1")
structlog.get_logger("otp").info("otp.sent", phone="+966******567", note="\\u0645\\n")
structlog.get_logger("otp").debug("otp.too_quiet")
logging.getLogger("somebody").warning("hello %s", "there")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("otp").exception("otp.crashed")
structlog.get_logger("otp").error("otp.placed", stack=["a.py:1 f", "b.py:2 g"], odd={1: object()})
loop = {}
loop["loop"] = loop
structlog.get_logger("otp").error("otp.looped", loop=loop)
"""


@pytest.fixture
def dropped() -> Iterator[None]:
    before = logs.dropped_lines
    yield
    logs.dropped_lines = before


def said(how: str) -> list[str]:
    backend = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", SAY, how]
    return subprocess.run(
        command, cwd=backend, capture_output=True, text=True, check=True, timeout=120
    ).stdout.splitlines()


def test_every_event_is_one_json_line_until_the_process_ends() -> None:
    sent, hello, crashed, placed, looped = (json.loads(line) for line in said("json"))
    assert (sent["event"], sent["level"], sent["request_id"], sent["note"]) == ("otp.sent", "info", "r1", "م\n")
    assert (hello["event"], hello["level"], hello["request_id"]) == ("otp.library", "warning", "r1")
    assert (hello["logger"], hello["line"]) == ("somebody", "hello there")
    assert "ZeroDivisionError" in crashed["exception"]
    assert placed["stack"] == ["a.py:1 f", "b.py:2 g"]
    assert (looped["event"], looped["unwritable"]) == ("otp.looped", True)
    assert all(line["timestamp"].endswith("Z") for line in (sent, hello, crashed, placed))


def test_a_developer_reads_the_same_events_as_text() -> None:
    text = "\n".join(said("text"))
    for part in ("otp.sent", "hello there", "ZeroDivisionError", "a.py:1 f", "b.py:2 g", "otp.looped"):
        assert part in text


def test_a_stream_that_blocks_blocks_nobody_and_lines_beyond_the_queue_are_counted(dropped: None) -> None:
    go = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            go.wait(60)
            return super().write(text)

    stream = Stuck()
    lines = logs.Lines(stream)
    lines.start()
    before = logs.dropped_lines
    for number in range(logs.QUEUE_LINES + 1000):
        lines.info(str(number))
    assert logs.dropped_lines - before >= 1000 - 200
    go.set()
    lines.stop()
    lines._writer.join(30)  # a process that ends waits for two seconds; what is asked here is that nothing is lost
    written = stream.getvalue().splitlines()
    assert written == [str(number) for number in range(len(written))]
    assert len(written) + logs.dropped_lines - before == logs.QUEUE_LINES + 1000


def test_a_stream_that_fails_costs_its_lines_and_nothing_else(dropped: None) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("no space left")

    lines = logs.Lines(Full())
    lines.start()
    before = logs.dropped_lines
    lines.info("one")
    lines.stop()
    assert logs.dropped_lines == before + 1


def test_a_record_that_cannot_be_formatted_is_a_line_lost(dropped: None) -> None:
    handler = logs.LinesHandler(logs.Lines(io.StringIO()))
    before = logs.dropped_lines
    handler.handle(logging.LogRecord("x", logging.INFO, "f", 1, "%d", ("no number",), None))
    assert logs.dropped_lines == before + 1
