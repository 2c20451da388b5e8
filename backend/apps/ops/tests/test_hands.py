"""A worker that stumbles says so in one line and goes on; a database that is gone ends no process."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django_tasks_db.management.commands.db_worker import Worker
from structlog.testing import capture_logs

from apps.ops import hands
from apps.ops.management.commands import otp_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without duties, other hands, pauses and signals."""
    monkeypatch.setattr(hands, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(otp_worker, "duties", list)
    monkeypatch.setattr(otp_worker, "HANDS", 1)
    monkeypatch.setattr(Worker, "configure_signals", lambda self: None)


@pytest.mark.parametrize(
    ("error", "event"),
    [(OperationalError("at 10.1.2.3 for anna"), "otp.worker_stumbled"), (ValueError("+966501234567"), "otp.crashed")],
)
def test_the_worker_goes_on_after_what_made_it_stumble(
    calm: None, monkeypatch: pytest.MonkeyPatch, error: Exception, event: str
) -> None:
    fates: list[Exception | None] = [error, error, None]

    def run(self: Worker) -> None:
        fate = fates.pop(0)
        if fate is not None:
            raise fate

    monkeypatch.setattr(Worker, "run", run)
    with capture_logs() as logged:
        call_command("otp_worker", "--no-reload", "--batch")
    assert fates == []
    assert [line["event"] for line in logged] == [event, event]
    assert "anna" not in str(logged)
    assert "+966501234567" not in str(logged)


def test_what_was_asked_wrongly_still_ends_it(calm: None) -> None:
    with pytest.raises(CommandError):
        call_command("otp_worker", "--no-reload", "--exclude-queues", "other")


def test_a_stop_ends_it(calm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: Any) -> None:
        raise SystemExit(0)

    monkeypatch.setattr(Worker, "run", run)
    with pytest.raises(SystemExit):
        call_command("otp_worker", "--no-reload")
