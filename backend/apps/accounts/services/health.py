"""Which gateways of a route may be tried now, and in which order.

It must not know a message, a person or a vendor's wire format.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from apps.accounts.providers.base import ProviderError

# States in which a gateway takes codes. One that is cooling may, too: late, or on its other channel.
USABLE: Final = frozenset({"up", "demoted", "forced"})


@dataclass(frozen=True, slots=True)
class Plan:
    """The gateways to try, in order. Empty when all are cooling; `retry_after` says when to ask again, in seconds.

    Those in `probes` are cooling: each needs a claim before it is called, and comes after all that are up. `trial` is
    one whose cooling is over: it is due for a try that nobody waits for.
    """

    names: tuple[str, ...]
    retry_after: int = 5
    probes: frozenset[str] = frozenset()
    trial: str = ""


class Health(Protocol):
    """What the courier asks before it sends and tells after it sent."""

    def plan(self, route: Sequence[str], *, channel: str, region: str, avoid: frozenset[str]) -> Plan:
        """Order the gateways of `route`; those in `avoid` go last."""
        ...

    def claim(self, name: str, *, channel: str, trial: bool = False) -> bool:
        """Take the next probe of a cooling gateway for this send, or say that another send has it."""
        ...

    def succeeded(self, name: str, *, channel: str, seconds: float) -> None:
        """Take note that `name` took a message after `seconds`."""
        ...

    def failed(self, name: str, error: ProviderError, *, channel: str, seconds: float) -> None:
        """Take note of how `name` failed after `seconds`."""
        ...

    def mark_audit(self, name: str, ok: bool, reason: str) -> None:
        """Keep an audit's word: with a fault the gateway is not used while another one is up."""
        ...

    def vouched(self, name: str, *, channel: str, seconds: float) -> None:
        """Take note that an audit that took `seconds` found `name` well on a channel."""
        ...

    def states(self, names: Sequence[str]) -> dict[str, str]:
        """Return up, cooling, demoted, misconfigured or forced for each name."""
        ...

    def usable(self, names: Sequence[str]) -> frozenset[str]:
        """Return those of the names that would take a code now, be it late: SMS where they carry it."""
        ...

    def weights(self, names: Sequence[str], *, channel: str) -> dict[str, float]:
        """Return the share of its usual traffic that each gateway gets, from 0 to 1."""
        ...


class AlwaysUp:
    """Keeps the configured order; for a service with one gateway and for tests."""

    def plan(self, route: Sequence[str], *, channel: str, region: str, avoid: frozenset[str]) -> Plan:
        first = [name for name in route if name not in avoid]
        return Plan(names=(*first, *(name for name in route if name in avoid)))

    def claim(self, name: str, *, channel: str, trial: bool = False) -> bool:
        return True

    def succeeded(self, name: str, *, channel: str, seconds: float) -> None:
        return None

    def failed(self, name: str, error: ProviderError, *, channel: str, seconds: float) -> None:
        return None

    def mark_audit(self, name: str, ok: bool, reason: str) -> None:
        return None

    def vouched(self, name: str, *, channel: str, seconds: float) -> None:
        return None

    def states(self, names: Sequence[str]) -> dict[str, str]:
        return dict.fromkeys(names, "up")

    def usable(self, names: Sequence[str]) -> frozenset[str]:
        return frozenset(name for name, state in self.states(names).items() if state in USABLE)

    def weights(self, names: Sequence[str], *, channel: str) -> dict[str, float]:
        return dict.fromkeys(names, 1.0)
