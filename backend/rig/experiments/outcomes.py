"""What an experiment came to, as figures. It must not know how they were got."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Round:
    """One fault lived through. Times in seconds; `broken` holds one sentence for each promise that was not kept."""

    label: str
    calls: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    median: float = 0.0
    p99: float = 0.0
    slowest: float = 0.0
    calm_median: float = 0.0
    calm_p99: float = 0.0
    recovery: float | None = None
    messages_per_request: float | None = None
    limits: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """One experiment: what is done, what must hold on top of the base, its rounds; `not_run` says why it has none."""

    name: str
    title: str
    done: str
    must: str
    rounds: list[Round] = field(default_factory=list)
    not_run: str = ""
    on: str = ""

    @property
    def verdict(self) -> str:
        """Return `held`, `broken` or `not run`."""
        if self.not_run:
            return "not run"
        return "broken" if any(one.broken for one in self.rounds) else "held"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Outcome":
        """Return what `as_json` wrote."""
        return cls(**{**found, "rounds": [Round(**one) for one in found["rounds"]]})
