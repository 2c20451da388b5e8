"""Whether this process derives codes with another secret than the processes beside it. It must not know a secret.

A process that was given a wrong `OTP_SECRET` refuses everybody whose code another one opened. Only a newcomer can be
wrong: one that begins where the newest codes are all of secrets unknown to it, and while such codes are still opened.
So one wrong process never makes the right ones look wrong, and a change of the secret for all of them at once is none.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from apps.ops import queries

# So many of the newest codes must all be strangers before a newcomer doubts itself.
_NEWEST: Final = 20


class CodeSecret:
    """What one process knows of it. Asked by one thread at a time."""

    def __init__(self, known: frozenset[str], *, life: timedelta, clock: Callable[[], datetime]) -> None:
        """Take the ids of this process' own keys, how long a code lives, and the database's clock."""
        self._known = known
        self._life = life
        self._clock = clock
        self._began: datetime | None = None
        self._newcomer = False

    def differs(self) -> bool:
        """Say whether codes are opened with a secret that this process lacks; the first call is its beginning.

        Raises:
            DatabaseError: it cannot be read.
        """
        if self._began is not None and not self._newcomer:
            return False
        now = self._clock()
        newest = queries.newest_keys(_NEWEST)
        strangers = [at for key_id, at in newest if key_id not in self._known]
        if self._began is None:
            self._newcomer = bool(newest) and len(strangers) == len(newest)
            self._began = now
        since = max(self._began, now - self._life)
        return self._newcomer and any(at > since for at in strangers)
