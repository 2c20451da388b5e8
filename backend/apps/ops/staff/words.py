"""How gateways, times and lists are put into a sentence. Pure; it must not know what the sentence is about."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

_COUNTRY: Final = re.compile(r"\{([A-Z]{2})\}")
_TIME: Final = re.compile(r"\{@([^}]+)\}")


def title(name: str) -> str:
    """Return a gateway's name as people know it."""
    return {"whatsapp": "WhatsApp (Meta)"}.get(name, name.capitalize())


def listed(words: Sequence[str]) -> str:
    """Return words as they are listed in a sentence."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def clause(when: datetime | None, *, word: str = "since") -> str:
    """Return a time for the end of a clause; nothing where none is known."""
    return f" {word} {{@{when.isoformat()}}}" if when else ""


def percent(share: float) -> str:
    """Return a share as people say it."""
    return f"{share:.0%}"


def plain(text: str) -> str:
    """Return a line for a reader without a script: countries by their code, times in UTC."""
    return _TIME.sub(lambda found: f"{datetime.fromisoformat(found[1]):%H:%M} UTC", _COUNTRY.sub(r"\1", text))
