"""How many SMS a text is; knows no vendor.

Source: 3GPP 23.038 (basic set and extension), 140 octets a message, 6 of them for joining several.
"""

from __future__ import annotations

from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("^{}\\[~]|€\f")


def count_segments(text: str) -> int:
    """Return the number of SMS a text needs, at least 1."""
    if all(character in _BASIC or character in _EXTENDED for character in text):
        units, single, joined = sum(2 if one in _EXTENDED else 1 for one in text), 160, 153
    else:
        units, single, joined = len(text.encode("utf-16-le")) // 2, 70, 67
    return 1 if units <= single else -(-units // joined)
