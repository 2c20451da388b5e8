"""Django's PostgreSQL backend with an end to its waits for a connection of the pool.

It must not know how long that is.
"""

import time
from collections.abc import Callable
from typing import Any

from django.db.backends.postgresql import base
from psycopg_pool import PoolTimeout

from salon_api.postgresql.patience import POOL_SECONDS, patience


class DatabaseWrapper(base.DatabaseWrapper):
    """Django finds this class by its name."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Take a connection from the pool, waiting as long as this call still may."""
        take = super().get_new_connection
        return take(conn_params) if self.pool is None else self._patiently(lambda: take(conn_params))

    def borrow(self) -> Any:
        """Take a pooled connection for one statement outside any transaction, to be given to `give_back` after it.

        It commits by itself, and knows its clock and types, as the pool set it up. Django's own connection around it
        costs more than the driver does.
        """
        pool = self.pool
        if pool.closed:
            pool.open()
        return self._patiently(pool.getconn)

    def give_back(self, connection: Any) -> None:
        """Return a borrowed connection; a broken one is replaced."""
        self.pool.putconn(connection)

    def _patiently(self, take: Callable[[], Any]) -> Any:
        # One value for the whole process: what another thread sets here differs by what its own call has used up.
        self.pool.timeout = patience.seconds(POOL_SECONDS) or POOL_SECONDS
        began = time.monotonic()
        try:
            return take()
        except PoolTimeout:
            patience.met_a_queue()
            raise
        finally:
            patience.waited(time.monotonic() - began)
