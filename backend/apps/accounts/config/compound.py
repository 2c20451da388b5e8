"""Settings that hold several things in one text. It must not know where the texts come from, nor what they are for."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from phonenumbers import SUPPORTED_REGIONS

from apps.accounts import phones
from apps.accounts.config.shape import Route, TestNumber
from apps.accounts.errors import InvalidPhoneNumber

SAMPLE_TEST_NUMBER: Final = ("+1234567890", "123456")
GATEWAYS: Final = ("console", "authentica", "twilio", "whatsapp")

# Takes a variable's name and what is wrong with it; the text itself is never repeated.
Fault = Callable[[str, str], None]


def routes(text: str, fallbacks: Sequence[str], fault: Fault) -> tuple[Route, ...]:
    """Read the routes; `fallbacks` are the gateways that follow where no route says otherwise."""
    found: list[Route] = []
    for part in text.split(";"):
        if not part.strip():
            continue
        match = re.fullmatch(r"\s*([A-Za-z]{2}|\*)(?:/(sms|whatsapp))?\s*=\s*([a-z, ]+)", part, re.ASCII)
        names = tuple(n.strip() for n in match[3].split(",") if n.strip()) if match else ()
        if not match or not _is_region(match[1]) or not names or any(name not in GATEWAYS for name in names):
            fault("OTP_ROUTES", "must look like SA/whatsapp=whatsapp,twilio;SA=authentica,twilio;*=twilio")
            break
        found.append(Route(region=match[1].upper(), channel=match[2] or "", gateways=tuple(dict.fromkeys(names))))
    if any(name not in GATEWAYS for name in fallbacks):
        fault("OTP_FALLBACK_PROVIDERS", "must name gateways out of " + ", ".join(GATEWAYS))
    return tuple(found)


def test_numbers(text: str, fault: Fault, *, debug: bool) -> tuple[TestNumber, ...]:
    """Read the numbers whose code is fixed; in production each needs an end."""
    found = []
    for part in text.split(","):
        if not part.strip():
            continue
        match = re.fullmatch(r"(\+[0-9]+):([0-9]{6})(?:@(\d{4}-\d{2}-\d{2}))?", part.strip(), re.ASCII)
        try:
            until = datetime.strptime(match[3], "%Y-%m-%d").date() if match and match[3] else None
            phone = phones.plausible(match[1]) if match else None
        except (ValueError, InvalidPhoneNumber):
            match = phone = None
        if not match or phone is None:
            fault("OTP_TEST_NUMBERS", "must look like +1234567890:123456@2027-01-31")
            break
        if not debug and until is None:
            fault("OTP_TEST_NUMBERS", "needs an end date for each number with DEBUG=False")
        if not debug and (match[1], match[2]) == SAMPLE_TEST_NUMBER:
            fault("OTP_TEST_NUMBERS", "must not hold the sample pair with DEBUG=False")
        found.append(TestNumber(e164=phone.e164, code=match[2], until=until))
    return tuple(found)


def pairs(name: str, text: str, fault: Fault) -> tuple[tuple[str, str], ...]:
    """Read what the variable `name` holds as name:secret,name:secret."""
    found = []
    for part in text.split(","):
        if not part.strip():
            continue
        left, colon, right = part.strip().partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", left) or not right:
            fault(name, "must look like name:secret,name:secret")
            break
        found.append((left, right))
    return tuple(found)


def country_spend_limits(text: str, fault: Fault) -> dict[str, float]:
    """Read the budget of each region, `*` for the others."""
    found: dict[str, float] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        match = re.fullmatch(r"\s*([A-Za-z]{2}|\*)\s*=\s*([0-9]{1,9}(?:\.[0-9]{1,4})?)\s*", part, re.ASCII)
        if not match or not _is_region(match[1]):
            fault("OTP_COUNTRY_SPEND_LIMITS", "must look like SA=200,*=20")
            break
        found[match[1].upper()] = float(match[2])
    return found


def is_served(host: str, patterns: Sequence[str]) -> bool:
    """Say whether `host` is one of the hosts that `patterns` serve, each read as Django reads it: `.x` is x and below.

    https://docs.djangoproject.com/en/5.2/ref/settings/#allowed-hosts
    """
    for pattern in (pattern.lower() for pattern in patterns):
        if pattern in ("*", host) or (pattern.startswith(".") and f".{host}".endswith(pattern)):
            return True
    return False


def _is_region(text: str) -> bool:
    return text == "*" or text.upper() in SUPPORTED_REGIONS
