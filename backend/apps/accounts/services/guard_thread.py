"""The thread that keeps a process' guard going: what it stopped is written, and somebody judges.

It must not know what a judgement is. The worker judges first; a web process takes over when nobody has for a while, so
that the guard works wherever anything works.
"""

import threading
from typing import Final

from django.db import DatabaseError, InterfaceError

from apps.accounts import telemetry
from apps.accounts.services import statements
from apps.accounts.services.guard_judge import TURN_SECONDS, GuardJudge

PATIENCE_SECONDS: Final = 2.0


class GuardThread:
    """One daemon thread a process; `start` and `stop` may be called again."""

    def __init__(self, judge: GuardJudge) -> None:
        self._judge = judge
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; a second call changes nothing."""
        if self._thread is None:
            self._stopped.clear()
            self._thread = threading.Thread(target=self._keep_judging, name="guard", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End after the present turn."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None

    def _keep_judging(self) -> None:
        while True:
            try:
                self._judge.turn(patience_seconds=PATIENCE_SECONDS)
            except (DatabaseError, InterfaceError, OSError) as error:
                telemetry.happened("guard_turn_missed", error=type(error).__name__)
            except Exception as error:  # a bug here must not end the guard for good
                telemetry.alarm("guard_crashed", error=type(error).__name__)
            finally:
                statements.give_back_connection()
            if self._stopped.wait(TURN_SECONDS):
                return
