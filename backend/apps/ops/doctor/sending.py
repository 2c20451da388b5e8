"""What may be sent where, how long a code lives, and what that can cost. It looks at the configuration alone."""

from collections.abc import Iterator
from typing import Final

from apps.accounts.config import Config
from apps.accounts.prices import as_money
from apps.ops.doctor.findings import Finding, error, note, warning

# NIST SP 800-63B-4, 3.1.3.2: an out-of-band secret is good for ten minutes at most, and once.
NIST_SECONDS: Final = 600
USUAL_SECONDS: Final = 300
_SWITCHES: Final = (
    ("send_limit", "OTP_MAX_PER_WINDOW", "one phone can be sent any number of messages"),
    ("cooldown_seconds", "OTP_RESEND_COOLDOWN_SECONDS", "messages to one phone can follow each other at once"),
    ("ip_limit", "PHONE_AUTH_IP_MAX_PER_WINDOW", "one address can ask for any number of phones"),
    ("device_limit", "PHONE_AUTH_DEVICE_MAX_PER_WINDOW", "one device can ask for any number of phones"),
    ("global_per_minute", "OTP_GLOBAL_MAX_PER_MINUTE", "nothing bounds what the whole service sends"),
)


def look(config: Config) -> Iterator[Finding]:
    """Say what the limits on sends leave open."""
    yield _life(config)
    yield from _countries(config)
    yield from _money(config)
    for attribute, name, meaning in _SWITCHES:
        if not getattr(config, attribute):
            yield warning("limit_off", f"{name}=0 is off: {meaning}.", name=name)
    if config["OTP_DISCLOSE_NEW_USER"]:
        yield warning(
            "discloses_accounts",
            "OTP_DISCLOSE_NEW_USER=True tells anybody which numbers have an account, without a code.",
        )
    if config.debug:
        yield warning("debug", "DEBUG=True is for development: test pages are open, and weak settings are accepted.")
    for text in config.warnings:
        if text.startswith("PUBLIC_BASE_URL"):
            yield warning("no_receipts", f"{text}, so nobody knows whether messages arrive.")


def _life(config: Config) -> Finding:
    seconds = config.expiry_seconds
    if seconds > NIST_SECONDS:
        return error(
            "code_life", f"A code lives {seconds} s; NIST SP 800-63B-4 allows {NIST_SECONDS}.", seconds=seconds
        )
    says = (
        f"A code lives {seconds // 60} minutes, works once, and a resend does not extend it (NIST: at most 10 minutes)."
    )
    if seconds > USUAL_SECONDS:
        says += " Most people type it within one; a shorter life leaves less time to phish it."
    return note("code_life", says, seconds=seconds, nist=NIST_SECONDS)


def _countries(config: Config) -> Iterator[Finding]:
    if config.allowed_countries:
        listed = ", ".join(sorted(config.allowed_countries))
        yield note("countries", f"Only numbers of these regions are texted: {listed}.")
        return
    yield warning(
        "every_country",
        "OTP_ALLOWED_COUNTRIES is empty: numbers of every country are texted, also where nobody is a customer and a "
        "message costs the most. A list of home countries is the most effective measure against SMS pumping.",
    )


def _money(config: Config) -> Iterator[Finding]:
    enforcing = config["OTP_GUARD_MODE"] == "enforce"
    budget = config["OTP_DAILY_SPEND_LIMIT"]
    if (budget or config.country_spend_limits) and not enforcing:
        yield warning(
            "budget_not_enforced",
            "A spend limit is set, but OTP_GUARD_MODE=observe only records that it is passed: set enforce.",
        )
    if config.global_per_minute:
        regions = sorted(config.allowed_countries) or sorted({region for region, _ in config.prices.prices})
        dearest = max(config.prices.of(region, "sms") for region in regions)
        worst = config.global_per_minute * 1440 * dearest
        says = f"By the limits alone a day could cost {as_money(worst):,.0f} (in the price table's currency)."
        if budget and enforcing:
            says = f"A day costs {budget:,.2f} at most; without that budget the limits allow {as_money(worst):,.0f}."
        yield note(
            "worst_day",
            says,
            f"OTP_GLOBAL_MAX_PER_MINUTE={config.global_per_minute} x 1440 x {as_money(dearest):.2f} = "
            f"{as_money(worst):,.0f}",
            worst=as_money(worst),
            budget=budget,
        )
    if not enforcing:
        yield note(
            "guard_observes",
            "OTP_GUARD_MODE=observe records what the pumping guard would stop and stops nothing. After some days, "
            "`python manage.py otp_guard_replay --days 7` says what enforce would have done.",
        )
    if config["OTP_PROOF_PROVIDER"] == "off":
        yield note("no_proof", "OTP_PROOF_PROVIDER=off: no proof of a person or an app is asked for before a send.")
