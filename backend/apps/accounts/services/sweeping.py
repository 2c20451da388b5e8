"""What a killed process left half done is settled or taken up: the rounds that the worker makes beside its tasks.

It must not know how: each room has a verb of its own for it. Any number of workers may make the same rounds.
"""

from datetime import timedelta
from typing import Final

from apps.accounts import telemetry
from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.services import statements
from apps.accounts.services.notices import Notices
from apps.accounts.services.parcel import patience
from apps.accounts.services.receipts import Receipts
from apps.accounts.services.sending_on import SendingOn

# A task does its work within moments of its row: after that its worker is held to be gone, or nobody could do it.
LOST_AFTER_SECONDS: Final = 5.0
SETTLED_AT_ONCE: Final = 1000


class Sweeper:
    """One verb for each kind of leftover. One per process; thread-safe."""

    def __init__(
        self, *, config: Config, clock: Clock, receipts: Receipts, sending_on: SendingOn, notices: Notices
    ) -> None:
        self._config = config
        self._clock = clock
        self._receipts = receipts
        self._sending_on = sending_on
        self._notices = notices

    def settle(self) -> None:
        """Settle attempts without an outcome and receipts that waited for one."""
        self.settle_lost_attempts()
        self._receipts.sweep()

    def take_up(self) -> None:
        """Keep the promises whose task was lost, or that could not be kept before."""
        self._sending_on.sweep(older_than_seconds=LOST_AFTER_SECONDS)
        self._notices.sweep(older_than_seconds=LOST_AFTER_SECONDS)

    def settle_lost_attempts(self) -> int:
        """Write `unknown` where a process died between a gateway's call and its outcome; return how many.

        With this every message is in a final state within the send deadline and a few seconds: `delivered`, `failed`,
        `unknown`, or `accepted`, which stays where no receipt ever comes.
        """
        edge = statements.shifted_now_sql(self._clock.offset - timedelta(seconds=patience(self._config)))
        settled = statements.run(
            "UPDATE accounts_message SET state = 'unknown', error_kind = 'outcome_unknown', error_code = 'lost', "
            f"finished_at = {statements.shifted_now_sql(self._clock.offset)} WHERE id IN (SELECT id "
            f"FROM accounts_message WHERE state = 'sending' AND created_at < {edge} LIMIT %s) AND state = 'sending'",
            (SETTLED_AT_ONCE,),
        )
        if settled:
            telemetry.happened("lost_attempts_settled", count=settled)
        return settled
