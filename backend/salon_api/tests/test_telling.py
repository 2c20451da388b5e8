"""The supervisor speaks to a developer in sentences and to production's log in JSON."""

import json
import os
import sys
from pathlib import Path

import pytest

from salon_api import serve, telling
from salon_api.processes import Child


def _dead_child() -> Child:
    child = Child(name="worker", command=[sys.executable, "-c", "raise SystemExit(3)"], environment=os.environ.copy(),
                  essential=False)  # fmt: skip
    child.start()
    assert child.process is not None
    child.process.wait()
    return child


def test_a_process_that_ended_is_one_json_line_in_production(capfd: pytest.CaptureFixture[str]) -> None:
    serve._watch(_dead_child(), as_json=True)
    (line,) = capfd.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["process"], told["status"]) == (
        "otp.process_ended",
        "warning",
        "worker",
        3,
    )
    assert told["detail"].startswith("The worker process ended with status 3")
    assert told["timestamp"].endswith("Z")


def test_a_process_that_ended_is_a_sentence_for_a_developer(capfd: pytest.CaptureFixture[str]) -> None:
    serve._watch(_dead_child(), as_json=False)
    assert capfd.readouterr().err.startswith("The worker process ended with status 3; next start in ")


def test_a_stream_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        assert telling.say("one", stream)
    assert not telling.say("two", stream)
    assert (tmp_path / "log").read_text() == "one\n"
