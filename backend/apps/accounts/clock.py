"""The clock seam: how far a test has shifted time.

Expiry, windows and graces go by the database's clock; this room holds only the offset that is added to it.
It must not know a database.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(slots=True)
class Clock:
    """An offset, in seconds, that services add to the database's clock. Zero outside tests."""

    offset_seconds: float = 0.0

    @property
    def offset(self) -> timedelta:
        """Return the offset as a timedelta."""
        return timedelta(seconds=self.offset_seconds)

    def host_now(self) -> datetime:
        """Return this host's time, shifted: for what may be a little wrong (log lines, a token's `iat`)."""
        return datetime.now(UTC) + self.offset

    def advance(self, *, seconds: float) -> None:
        """Shift time forward for a test."""
        self.offset_seconds += seconds
