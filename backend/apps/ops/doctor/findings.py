"""What the doctor says: a level, a stable code, a sentence, and the figures behind it. No rule is known here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """`error` breaks a promise, `warning` wants a decision, `note` says what is so."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is stable and meant for programs; `figures` are what the sentence was worked out from."""

    level: Level
    code: str
    says: str
    lines: tuple[str, ...] = ()  # arithmetic, one step a line
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "level": self.level.value,
            "code": self.code,
            "says": self.says,
            "lines": list(self.lines),
            "figures": dict(self.figures),
        }


def error(code: str, says: str, *lines: str, **figures: Any) -> Finding:
    """Return a finding that breaks a promise."""
    return Finding(Level.ERROR, code, says, lines, figures)


def warning(code: str, says: str, *lines: str, **figures: Any) -> Finding:
    """Return a finding that wants a decision."""
    return Finding(Level.WARNING, code, says, lines, figures)


def note(code: str, says: str, *lines: str, **figures: Any) -> Finding:
    """Return a finding that says what is so."""
    return Finding(Level.NOTE, code, says, lines, figures)
