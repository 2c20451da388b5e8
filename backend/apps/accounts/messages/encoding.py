"""How a text is cut into the segments that a gateway charges for.

It must not know what the text says.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# 3GPP TS 23.038 section 6.2.1: the default alphabet, and the extension table whose characters take two septets.
_GSM_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED: Final = frozenset("\f^{}\\[~]|€")


class Encoding(StrEnum):
    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


# Units in a message of one segment, and in each segment of a longer one (six octets go to the joining header).
_SINGLE: Final = {Encoding.GSM7: 160, Encoding.UCS2: 70}
_JOINED: Final = {Encoding.GSM7: 153, Encoding.UCS2: 67}


@dataclass(frozen=True, slots=True)
class Segments:
    """`units` are septets of GSM-7 or UTF-16 units of UCS-2; `count` is what the gateway charges for."""

    encoding: Encoding
    units: int
    count: int

    @property
    def capacity(self) -> int:
        """Return the units that `count` segments of this encoding hold."""
        return _SINGLE[self.encoding] if self.count <= 1 else _JOINED[self.encoding] * self.count

    @property
    def excess(self) -> int:
        """Return by how many units the text is over one segment; negative is room to spare."""
        return self.units - _SINGLE[self.encoding]


def segments(text: str) -> Segments:
    """Count the segments of `text` as 3GPP TS 23.038 and TS 23.040 cut it.

    One character outside GSM-7 turns the whole text into UCS-2. A character of two units is never cut in half, so a
    long text can need one segment more than its units alone would say.
    """
    widths = _gsm_widths(text)
    encoding = Encoding.GSM7
    if widths is None:
        encoding = Encoding.UCS2
        widths = [2 if ord(char) > 0xFFFF else 1 for char in text]
    units = sum(widths)
    if units <= _SINGLE[encoding]:
        return Segments(encoding=encoding, units=units, count=1)
    return Segments(encoding=encoding, units=units, count=_cut(widths, room=_JOINED[encoding]))


def utf16_units(text: str) -> int:
    """Return how many UTF-16 units `text` takes: what UCS-2 counts."""
    return sum(2 if ord(char) > 0xFFFF else 1 for char in text)


def _gsm_widths(text: str) -> list[int] | None:
    widths: list[int] = []
    for char in text:
        if char in _GSM_BASIC:
            widths.append(1)
        elif char in _GSM_EXTENDED:
            widths.append(2)
        else:
            return None
    return widths


def _cut(widths: list[int], *, room: int) -> int:
    count, used = 1, 0
    for width in widths:
        if used + width > room:
            count, used = count + 1, 0
        used += width
    return count
