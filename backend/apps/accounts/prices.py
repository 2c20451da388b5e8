"""What a message costs per region and channel, read from a table that the operator can replace.

It must not know Django, budgets, or who is paid. Money is whole micro-units (a millionth) of the table's one currency.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

MICRO: Final = 1_000_000
SHIPPED: Final = Path(__file__).resolve().parent / "data" / "prices.csv"
CHANNELS: Final = ("sms", "whatsapp")
_HEADER: Final = ["region", "channel", "price"]
_LARGEST_BYTES: Final = 256 * 1024


class BadPriceTable(ValueError):
    """The file cannot be used; the message says where it is wrong."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by region and channel; `*` is every region without a line of its own."""

    prices: Mapping[tuple[str, str], int]

    def of(self, region: str, channel: str) -> int:
        """Return the price of one message in micro-units."""
        found = self.prices.get((region, channel))
        return self.prices[("*", channel)] if found is None else found

    def dearest(self, region: str) -> int:
        """Return the price of one message to `region` by its dearest channel."""
        return max(self.of(region, channel) for channel in CHANNELS)


@lru_cache(maxsize=8)
def load(path: Path = SHIPPED) -> PriceTable:
    """Read a table.

    Raises:
        BadPriceTable: no such file, or a line of it cannot be read.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise BadPriceTable("is too large")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadPriceTable("cannot be read as a file of UTF-8 text") from error
    return parse(text)


def parse(text: str) -> PriceTable:
    """Read a table's text: a header, then `region,channel,price`; lines that begin with # are passed over.

    Raises:
        BadPriceTable: a line cannot be read, stands twice, or the `*` of a channel is missing.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if _counts(line)]
    rows = list(zip([number for number, _ in lines], csv.reader(line for _, line in lines), strict=True))
    if not rows or [name.strip() for name in rows[0][1]] != _HEADER:
        raise BadPriceTable("must begin with the line region,channel,price")
    found: dict[tuple[str, str], int] = {}
    for number, row in rows[1:]:
        region, channel, price = _read(number, row)
        if (region, channel) in found:
            raise BadPriceTable(f"has region and channel of line {number} twice")
        found[region, channel] = price
    missing = [channel for channel in CHANNELS if ("*", channel) not in found]
    if missing:
        raise BadPriceTable(f"needs a line *,{missing[0]},… for every other region")
    return PriceTable(prices=found)


def in_micro(amount: float) -> int:
    """Return money as micro-units."""
    return round(amount * MICRO)


def as_money(micro: int) -> float:
    """Return micro-units as money, to four places."""
    return round(micro / MICRO, 4)


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _read(number: int, row: list[str]) -> tuple[str, str, int]:
    cells = [cell.strip() for cell in row]
    if len(cells) != len(_HEADER):
        raise BadPriceTable(f"line {number} must hold three values")
    region, channel, price = cells[0].upper(), cells[1].lower(), cells[2]
    if region != "*" and not re.fullmatch(r"[A-Z]{2}", region):
        raise BadPriceTable(f"line {number} must begin with an ISO 3166 region or *")
    if channel not in CHANNELS:
        raise BadPriceTable(f"line {number} must name a channel out of {', '.join(CHANNELS)}")
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", price, re.ASCII):
        raise BadPriceTable(f"line {number} must end with a price such as 0.05")
    return region, channel, in_micro(float(price))
