"""Points in time as operators type them. It must not know what is asked about them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils.dateparse import parse_date, parse_datetime

_AGO: Final = re.compile(r"([0-9]{1,6})\s*([smhd])", re.ASCII)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# A plus in a query string arrives as a space.
_LOST_PLUS: Final = re.compile(r" (?=[0-9]{2}:?[0-9]{2}\Z)", re.ASCII)


def moment(text: str, *, now: datetime) -> datetime | None:
    """Return the time that `text` names: ISO 8601 (UTC where no zone is given), a date, or `90m` for so long ago."""
    ago = _AGO.fullmatch(text)
    if ago:
        return now - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
    try:
        found = parse_datetime(_LOST_PLUS.sub("+", text))
        if found is None:
            day = parse_date(text)
            found = datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None
    except ValueError:
        return None
    if found is None:
        return None
    try:
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None
