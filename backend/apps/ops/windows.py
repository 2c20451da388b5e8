"""The stretch of time that a dashboard shows: `15m`, `6h`, `7d`. Pure.

It must not know what is shown.
"""

import re
from dataclasses import dataclass
from typing import Final

from apps.accounts.errors import InvalidRequest

DEFAULT: Final = "1h"
OFFERED: Final = ("15m", "1h", "6h", "24h", "7d", "30d")
_TEXT: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])", re.ASCII)
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400}
LONGEST_SECONDS: Final = 31 * 86_400
# Up to here every minute is shown, and read from the rows themselves.
FINE_SECONDS: Final = 7200
# (up to so many seconds, points of so many): about a hundred points, and never more than 200.
_STEPS: Final = ((FINE_SECONDS, 60), (43_200, 300), (172_800, 900), (7 * 86_400, 3600), (LONGEST_SECONDS, 4 * 3600))


@dataclass(frozen=True, slots=True)
class Window:
    """`seconds` back from now, in points of `step` seconds."""

    text: str
    seconds: int
    step: int

    @property
    def is_fine(self) -> bool:
        """Say whether every minute is read from the rows themselves."""
        return self.seconds <= FINE_SECONDS


def parse(text: str) -> Window:
    """Return the window that `text` spells: a number and `m`, `h` or `d`, at most 31 days.

    Raises:
        InvalidRequest: it is spelled in any other way, or longer.
    """
    match = _TEXT.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_SECONDS:
        raise InvalidRequest(fields={"window": ["not_valid"]})
    step = next(step for most, step in _STEPS if seconds <= most)
    return Window(text=text, seconds=seconds, step=step)
