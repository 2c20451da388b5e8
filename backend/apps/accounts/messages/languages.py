"""Which language a person reads, as their client says it.

It must not know any text, nor HTTP beyond the value of one header.
"""

import re
from enum import StrEnum
from typing import Final

_RANGE: Final = re.compile(
    r"[ \t]*(?P<tag>\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)"
    r"(?:[ \t]*;[ \t]*[qQ]=(?P<q>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?[ \t]*"
)
# A browser sends well under 20 ranges; what lies behind is a client's mistake or somebody's attempt to make us work.
_MAX_RANGES: Final = 32
_MAX_HEADER: Final = 1024


class Language(StrEnum):
    """The languages every text exists in."""

    EN = "en"
    AR = "ar"

    @classmethod
    def negotiate(cls, accept_language: str | None) -> "Language":
        """Return the language an `Accept-Language` value asks for, English where it asks for none of ours.

        Quality values as in RFC 9110 section 12.5.4; a regional range (`ar-SA`) is met by its language, as in the
        lookup of RFC 4647 section 3.4; equal qualities go by their order. A malformed range is passed over.
        """
        wanted: dict[str, float] = {}
        for element in (accept_language or "")[:_MAX_HEADER].split(",")[:_MAX_RANGES]:
            match = _RANGE.fullmatch(element)
            if match is None:
                continue
            primary = match["tag"].split("-", 1)[0].lower()
            quality = float(match["q"]) if match["q"] else 1.0
            wanted[primary] = max(quality, wanted.get(primary, 0.0))
        anything = wanted.pop("*", 0.0)
        order = [*wanted, *(language for language in cls if language not in wanted)]
        ranked = sorted(
            (language for language in cls if wanted.get(language, anything) > 0),
            key=lambda language: (-wanted.get(language, anything), order.index(language)),
        )
        return ranked[0] if ranked else cls.EN
