"""Secrets and back doors: what is guessable, shared, or open for longer than it should be. No secret is ever shown."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import pairwise
from typing import Final

from apps.accounts.config import DEVELOPMENT_OTP_SECRET, DEVELOPMENT_SECRET, Config
from apps.ops.doctor.findings import Finding, error, note, warning

SHORTEST: Final = 32
LEAST_BITS: Final = 80.0
LONGEST_TEST_DAYS: Final = 400
_DEFAULTS: Final = frozenset({DEVELOPMENT_OTP_SECRET, DEVELOPMENT_SECRET})
_WORDS: Final = ("change-me", "changeme", "secret", "password", "default", "example", "insecure", "test", "12345")
_OURS: Final = ("SECRET_KEY", "OTP_SECRET", "OTP_SECRET_PREVIOUS", "METRICS_TOKEN", "WHATSAPP_VERIFY_TOKEN")


def look(config: Config, *, today: date) -> Iterator[Finding]:
    """Say which secrets are weak, and which test numbers are a way in."""
    secrets = _secrets(config)
    for name, value in secrets.items():
        yield from _weak(name, value)
    yield from _shared(secrets)
    if config["OTP_SECRET_PREVIOUS"]:
        yield note(
            "previous_secret",
            "OTP_SECRET_PREVIOUS is set: codes made with it are still good. Take it out ten minutes after the change.",
        )
    if not config.admin_tokens:
        yield note("no_operators", "ADMIN_TOKEN is not set: the operators' paths are switched off (404).")
    if not config["METRICS_TOKEN"] and not config.debug:
        yield note("no_metrics", "METRICS_TOKEN is not set: /metrics answers 401 to everybody.")
    yield from _test_numbers(config, today)


def _secrets(config: Config) -> dict[str, str]:
    found = {name: str(config[name]) for name in _OURS if config[name]}
    found.update({f"ADMIN_TOKENS ({name})": token for name, token in config.admin_tokens})
    return found


def _weak(name: str, value: str) -> Iterator[Finding]:
    lowered = value.lower()
    if value in _DEFAULTS:
        yield error("default_secret", f"{name} is the development default, which everybody can read.", name=name)
    elif len(value) < SHORTEST and name != "WHATSAPP_VERIFY_TOKEN":
        says = f"{name} has {len(value)} characters; {SHORTEST} random ones cannot be guessed."
        yield error("short_secret", says, name=name, length=len(value))
    elif bits(value) < LEAST_BITS or any(word in lowered for word in _WORDS if len(word) * 3 > len(value)):
        yield warning(
            "weak_secret",
            f"{name} looks made up rather than drawn. Draw one: "
            "python -c 'import secrets; print(secrets.token_urlsafe(48))'",
            name=name,
            bits=round(bits(value)),
        )


def bits(value: str) -> float:
    """Return the bits that a text could hold at most, judged by how often its characters and their steps repeat."""
    if not value:
        return 0.0
    steps = [ord(after) - ord(before) for before, after in pairwise(value)]
    return min(_entropy(Counter(value), len(value)), _entropy(Counter(steps), len(value)))


def _entropy(counts: Mapping[object, int], length: int) -> float:
    total = sum(counts.values())
    return length * -sum(n / total * math.log2(n / total) for n in counts.values()) if total else 0.0


def _shared(secrets: Mapping[str, str]) -> Iterator[Finding]:
    by_value: dict[str, list[str]] = {}
    for name, value in secrets.items():
        by_value.setdefault(value, []).append(name)
    for names in by_value.values():
        if len(names) > 1:
            says = f"{' and '.join(names)} are the same secret: who learns one has all. Give each its own."
            yield error("shared_secret", says, names=names)


def _test_numbers(config: Config, today: date) -> Iterator[Finding]:
    endless = sum(number.until is None for number in config.test_numbers)
    long = sum(
        number.until is not None and (number.until - today).days > LONGEST_TEST_DAYS for number in config.test_numbers
    )
    over = sum(number.until is not None and number.until < today for number in config.test_numbers)
    live = len(config.test_numbers) - over
    if endless:
        yield warning(
            "endless_test_numbers",
            f"{endless} of OTP_TEST_NUMBERS have no end: a fixed code that opens an account for ever. Add @YYYY-MM-DD.",
            count=endless,
        )
    if long:
        says = f"{long} of OTP_TEST_NUMBERS live for more than a year: a store's review takes days."
        yield warning("long_test_numbers", says, count=long)
    if over:
        yield note("past_test_numbers", f"{over} of OTP_TEST_NUMBERS are over and can be taken out.", count=over)
    if live and not endless:
        yield note("test_numbers", f"{live} test numbers log in with a fixed code until their date.", count=live)
