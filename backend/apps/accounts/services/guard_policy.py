"""Every number that the pumping guard goes by, with where it comes from. It must not know traffic or a database.

Sources: the vendors' guides that docs/security.md lists. A conversion of 35 % or lower is an alarm (Vonage, fraud
defender); more than two codes sent for each one verified is an alarm (MessageCentral); a prefix is a number without its
last four digits (coss); codes requested and never entered, neighbouring numbers, and first traffic to a country without
customers are the signals (Twilio, Messente, Unifonic). No vendor publishes more; the rest are ours, chosen so that two
countries under attack together cost less than fifty messages, and `otp_guard_replay` tries others on the recorded past.
"""

from dataclasses import dataclass, fields, replace
from enum import IntEnum, StrEnum


class Kind(StrEnum):
    COUNTRY = "country"
    PREFIX = "prefix"
    IP = "ip"
    BUDGET = "budget"


class State(StrEnum):
    OPEN = "open"
    SLOW = "slow"  # as many sends as the cap and what is verified allow
    PAUSED = "paused"
    PROBATION = "probation"  # after a pause: very few, until somebody verifies


class Rank(IntEnum):
    """How well a country is known by its own past."""

    STRANGER = 0  # nobody ever verified
    NEWCOMER = 1
    KNOWN = 2


class BadGuardPolicy(ValueError):
    """The text names no number of the policy, or no value for it."""


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """Seconds, counts of sends, and shares from 0 to 1."""

    # Counting. A code younger than `mature` says nothing yet: people need their time.
    window: float = 600.0
    evidence: float = 3600.0
    mature: float = 90.0
    # Sends per window before anything is verified; each verified code gives room for `credit` more.
    stranger_cap: int = 20
    strangers_cap: int = 60  # all countries together in which nobody ever verified
    known_cap: int = 20
    prefix_cap: int = 15
    small_prefix_cap: int = 8  # in a country whose own cap guards it
    credit: float = 3.0
    surge: float = 5.0  # a known country may send so many times what is usual there
    spacious: int = 150  # a cap of this size guards nothing that the judgement would not see: left out
    # Who is known: verified codes in the past, and days with any.
    history_days: int = 28
    known_verified: int = 30
    known_days: int = 2
    # Conversion: the published lines, and shares of a country's own normal; whichever is lower.
    slow_conversion: float = 0.50
    pause_conversion: float = 0.35
    slow_share: float = 0.70
    pause_share: float = 0.50
    presumed: float = 0.50  # of a country without a past
    # The chance of so few verified codes, were the conversion near normal, at which one acts.
    slow_doubt: float = 1e-3
    pause_doubt: float = 1e-4
    excess: float = 3.0  # a known country is only ever blamed for more than so many times its usual sends
    # A country is slowed and never paused while so many people get in: a number, and a share of what is usual.
    alive: int = 5
    alive_share: float = 0.10
    alive_conversion: float = 0.10  # where nothing is usual yet
    # Prefixes already dealt with do not speak against their country: so many, or any number beside so many good codes.
    few_prefixes: int = 2
    enough: int = 10
    # A sweep: so many numbers, each at most `sweep_gap` from the next, none of them verified.
    sweep_numbers: int = 5
    sweep_gap: int = 10
    # Fewer clients than this are blamed themselves: a prefix is no lever for somebody with a single address.
    sweep_networks: int = 3
    vendor_frauds: int = 2
    # What is done.
    slow_cap: int = 5
    slow_surge: float = 1.5
    slow_hold: float = 300.0
    probation_cap: int = 2
    probation_unverified: int = 2
    prefix_probation: int = 5  # both, for a prefix
    probation_verified: int = 3
    pause: float = 3600.0
    prefix_pause: float = 1800.0
    pause_growth: float = 6.0
    longest_pause: float = 86400.0
    longest_prefix_pause: float = 7200.0
    probation: float = 86400.0
    # One address that asks for many countries.
    ip_countries: int = 3
    ip_sends: int = 4
    ip_pause: float = 3600.0
    # A person who has proven to be one gets so many times the room.
    human: int = 4

    def pause_seconds(self, strikes: int, *, prefix: bool = False) -> float:
        """Return how long the pause after `strikes` earlier ones lasts."""
        first, longest = (self.prefix_pause, self.longest_prefix_pause) if prefix else (self.pause, self.longest_pause)
        return min(longest, first * self.pause_growth ** min(strikes, 10))


def proposed(text: str, *, base: GuardPolicy | None = None) -> GuardPolicy:
    """Return the policy with the numbers of `name=value,name=value` in place of its own.

    Raises:
        BadGuardPolicy: no such number, or not a positive one.
    """
    base = base or GuardPolicy()
    kinds = {one.name: type(getattr(base, one.name)) for one in fields(base)}
    changes: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, raw = (piece.strip() for piece in part.partition("="))
        if name not in kinds:
            raise BadGuardPolicy(f"there is no {name!r}; the names are {', '.join(sorted(kinds))}")
        try:
            changes[name] = kinds[name](float(raw))
        except (ValueError, OverflowError):
            raise BadGuardPolicy(f"{name} needs a number") from None
        if not 0 < changes[name] < 1e9:
            raise BadGuardPolicy(f"{name} must be positive")
    return replace(base, **changes)  # type: ignore[arg-type]  # each is of its field's own type
