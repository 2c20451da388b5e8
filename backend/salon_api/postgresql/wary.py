"""Connections whose waits for an answer have an end. It must not know how long that is, nor Django."""

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from salon_api.postgresql.patience import patience

RV = TypeVar("RV")


class WaryConnection(psycopg.Connection[Any]):
    """A connection that is given up, and closed, when the server is silent for too long."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for an answer as long as this call still may.

        Raises:
            OperationalError: the server said nothing; whether it did what it was asked is not known.
        """
        limit = patience.seconds() if timeout is None else timeout
        began = time.monotonic()
        try:
            found = super().wait(gen, interval, limit)
        except psycopg.OperationalError:
            if timeout is None and self.pgconn.transaction_status == TransactionStatus.ACTIVE:  # it still owes us
                patience.met_silence(time.monotonic() - began)
                self.pgconn.finish()
            raise
        patience.heard()
        return found
