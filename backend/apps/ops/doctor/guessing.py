"""How likely a code is guessed in a day, worked out from the limits in force. Pure arithmetic on the configuration.

Spray: who may cause S sends, with a tries on each code of d digits, may expect S·a/10^d takeovers. So the limits on
sends and the alarm on wrong codes are security controls, and not only cost controls.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from apps.accounts.config import Config
from apps.accounts.prices import CHANNELS, in_micro
from apps.accounts.services.lanes import EXCUSED_TRIES
from apps.accounts.services.windows import SHUT_AFTER
from apps.ops.doctor.findings import Finding, note, warning

# Six digits (contract section 1).
CODES: Final = 10**6
MINUTES: Final = 1440
# What the defaults come to; more than that was somebody's decision, and is told as a warning.
USUAL_ONE: Final = 1.5e-4
TOO_MANY: Final = 1.0
BOTNET: Final = 1000
# Beside an old code that lives its last two minutes there may be a new one; a call by phone alone meets both.
CODES_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class OneAccount:
    """Wrong codes that strangers may spend on one account in a day."""

    sends: float  # inf without a limit
    by_challenge: int
    by_phone: int

    @property
    def chance(self) -> float:
        """Return the chance that one of them is right."""
        return 1 - (1 - 1 / CODES) ** (self.by_challenge + self.by_phone * CODES_AT_ONCE)


def of_one_account(config: Config) -> OneAccount:
    """Return what strangers may try on one account in a day.

    Each challenge's first two tries are compared whatever the day's limit says; a hundred wrong codes shut a lane.
    """
    if config.send_limit:
        sends = config.send_limit * math.ceil(MINUTES * 60 / config.send_window_seconds)
    elif config.cooldown_seconds:
        sends = math.ceil(MINUTES * 60 / config.cooldown_seconds)
    else:
        return OneAccount(math.inf, SHUT_AFTER, min(SHUT_AFTER, config.max_failures_per_day))
    excused = min(EXCUSED_TRIES, config.max_attempts)
    full = min(sends, -(-config.max_failures_per_day // config.max_attempts))
    tries = min(sends * config.max_attempts, config.max_failures_per_day + (sends - full) * excused)
    return OneAccount(sends, min(SHUT_AFTER, tries), min(SHUT_AFTER, config.max_failures_per_day))


@dataclass(frozen=True, slots=True)
class AnyAccount:
    """What strangers may try on all accounts together in a day."""

    sends: float
    tries: float

    @property
    def expected(self) -> float:
        """Return the takeovers to expect."""
        return self.tries / CODES


def of_all_accounts(config: Config, *, addresses: int | None = None) -> AnyAccount:
    """Return what the limits of the whole service allow in a day, or what so many client addresses can use of them."""
    sends = min(_by_limit(config), _by_budget(config))
    alarm = config.global_failures_per_minute * MINUTES
    own = math.inf
    if addresses is not None:
        windows = MINUTES * 60 / config.risk_window_seconds
        if config.ip_limit:
            sends = min(sends, addresses * config.ip_limit * windows)
        own = addresses * config.ip_failures_limit * windows
    by_challenge = sends * config.max_attempts
    by_phone = min(sends * config.max_attempts, alarm) * CODES_AT_ONCE
    return AnyAccount(sends, min(by_challenge + by_phone, own * CODES_AT_ONCE))


def _by_limit(config: Config) -> float:
    return config.global_per_minute * MINUTES if config.global_per_minute else math.inf


def _by_budget(config: Config) -> float:
    """Return the sends that an enforced budget pays for, at the cheapest price an attacker may choose."""
    budget = config["OTP_DAILY_SPEND_LIMIT"]
    if not budget or config["OTP_GUARD_MODE"] != "enforce":
        return math.inf
    regions = config.allowed_countries or {region for region, _ in config.prices.prices}
    cheapest = min(config.prices.of(region, channel) for region in regions for channel in CHANNELS)
    return in_micro(budget) // max(1, cheapest)


def look(config: Config) -> Iterator[Finding]:
    """Say how likely one account's code, and any account's, is guessed."""
    yield _one(config)
    yield _any(config)


def _one(config: Config) -> Finding:
    one = of_one_account(config)
    lines = (
        f"sends to one phone: {_count(one.sends)} a day, each with {config.max_attempts} tries",
        (
            f"by challenge: at most {one.by_challenge} wrong codes: {config.max_failures_per_day} "
            f"(OTP_MAX_FAILURES_PER_DAY), then {EXCUSED_TRIES} on each further challenge; {SHUT_AFTER} shut the lane "
            "until the owner's next login"
        ),
        f"by phone alone: at most {one.by_phone}, each compared with up to {CODES_AT_ONCE} codes",
        f"1 - (1 - 1/{CODES:,})^({one.by_challenge} + {CODES_AT_ONCE}·{one.by_phone}) = {one.chance:.2e}",
    )
    says = f"The chance to guess one account's code in a day is {one.chance:.6f}, one in {round(1 / one.chance):,}."
    make = warning if one.chance > USUAL_ONE else note
    return make("guess_one_account", says, *lines, chance=one.chance, tries=one.by_challenge + one.by_phone)


def _any(config: Config) -> Finding:
    whole, botnet = of_all_accounts(config), of_all_accounts(config, addresses=BOTNET)
    least = max(1, math.floor(CODES / (config.max_attempts * (1 + CODES_AT_ONCE) * MINUTES)))
    lines = (
        (
            f"S = min(OTP_GLOBAL_MAX_PER_MINUTE·{MINUTES}, what an enforced OTP_DAILY_SPEND_LIMIT pays for) = "
            f"min({_count(_by_limit(config))}, {_count(_by_budget(config))}) sends"
        ),
        (
            f"a = {config.max_attempts} tries by challenge and as many by phone alone, the latter at most "
            f"{config.global_failures_per_minute}·{MINUTES} in all and each compared with up to {CODES_AT_ONCE} codes"
        ),
        f"S·a/{CODES:,} = {_count(whole.tries)}/{CODES:,} = {_takeovers(whole)} expected by somebody without bounds",
        (
            f"with {BOTNET:,} addresses: {_count(botnet.sends)} sends, {_count(botnet.tries)} tries, "
            f"{_takeovers(botnet)} expected"
        ),
        f"fewer than one is expected at OTP_GLOBAL_MAX_PER_MINUTE={least}, or with a budget and OTP_GUARD_MODE=enforce",
    )
    if math.isinf(whole.expected):
        says = "Nothing bounds how many accounts can be tried: any account's code may be guessed in a day."
        return warning("guess_any_account", says, *lines, expected=None)
    chance = 1 - math.exp(-whole.expected)
    says = f"The chance that any account's code is guessed in a day is {chance:.3f} ({_takeovers(whole)} expected)."
    make = warning if whole.expected >= TOO_MANY else note
    return make("guess_any_account", says, *lines, expected=whole.expected, chance=chance, with_1000=botnet.expected)


def _takeovers(found: AnyAccount) -> str:
    return "no bound" if math.isinf(found.expected) else f"{found.expected:.2f} takeovers"


def _count(number: float) -> str:
    return "unbounded" if math.isinf(number) else f"{round(number):,}"
