"""The sentences that audits of all gateways share: reachable or not, encrypted or not, money left or not.

It must not know vendors. A gateway that could not be asked is a warning, not a fault: whether it is up is the breaker's
to say; an audit says whether its configuration is right.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from apps.accounts.providers.base import AuditLine, Finding, ProviderError
from apps.accounts.providers.http import Answer, Http

_CURRENCY_LENGTH: Final = 3


def ok(check: str, advice: str, value: str | Decimal | None = None) -> AuditLine:
    """Return a line about something that is as it should be."""
    return AuditLine(check, Finding.OK, advice, value)


def note(check: str, advice: str, value: str | Decimal | None = None) -> AuditLine:
    """Return a line about something worth knowing."""
    return AuditLine(check, Finding.NOTE, advice, value)


def warning(check: str, advice: str, value: str | Decimal | None = None) -> AuditLine:
    """Return a line about something that will become a fault, or that could not be read."""
    return AuditLine(check, Finding.WARNING, advice, value)


def fault(check: str, advice: str, value: str | Decimal | None = None) -> AuditLine:
    """Return a line about something with which messages do not go out."""
    return AuditLine(check, Finding.FAULT, advice, value)


def word(raw: Any) -> str:
    """Return a state as the vendor names it, or `unknown` for anything longer than a word."""
    return raw if isinstance(raw, str) and raw.isascii() and raw.isidentifier() and len(raw) <= 32 else "unknown"


def ask(http: Http, path: str, *, expects: str, headers: Mapping[str, str], deadline: float) -> Answer | str:
    """Read `path`; return the answer, or in one word why there is none. A success without `expects` in it is none."""
    try:
        answer = http.exchange("GET", path, headers=headers, deadline=deadline)
    except ProviderError as error:
        return error.vendor_code
    return "garbled" if answer.ok and expects not in answer.object() else answer


def tls(http: Http, found: Answer | str) -> AuditLine:
    """Say how well the way to the gateway is guarded, given what the first question brought back."""
    if found == "tls":
        return fault(
            "tls",
            "The gateway's certificate is not trusted. Check the address, the clock "
            "and the CA bundle; never switch the check off.",
        )
    if not http.encrypted:
        return note("tls", "The address is plain http on this machine: a proxy or a fake gateway.")
    return ok("tls", "The certificate is trusted and names the host.")


def unanswered(check: str, found: Answer | str) -> AuditLine:
    """Say that a question could not be answered now; its value is the one word, or the status that came instead."""
    value = found if isinstance(found, str) else f"http_{found.status}"
    return warning(check, "This could not be read. Look at the vendor's status page, then run the audit again.", value)


def credentials(found: Answer | str, *, variables: str) -> AuditLine:
    """Say whether the gateway knows us. `variables` names what to correct when it does not."""
    if isinstance(found, str):
        return unanswered("credentials", found)
    if found.status in (401, 403):
        return fault(
            "credentials",
            f"The gateway refuses {variables}. Copy it anew from the vendor's console.",
            f"http_{found.status}",
        )
    if found.status == 404:
        return fault(
            "credentials", f"The gateway does not know {variables}, or the address is not the API's.", "http_404"
        )
    if not found.ok:
        return unanswered("credentials", found)
    return ok("credentials", "The gateway accepts our credentials.")


def balance(raw: Any, *, threshold: int, currency: Any = "") -> AuditLine:
    """Judge a balance that may be a number or a text, against the configured threshold."""
    try:
        amount = Decimal(str(raw)) if isinstance(raw, int | float | str) and not isinstance(raw, bool) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite():
        return warning("balance", "The balance could not be read from the gateway's answer.")
    unit = f" {currency}" if isinstance(currency, str) and len(currency) == _CURRENCY_LENGTH else ""
    if amount <= 0:
        return fault("balance", "No money is left: nothing will be sent. Top it up now.", amount)
    if amount < threshold:
        return warning("balance", f"Less than {threshold}{unit} is left. Top it up.", amount)
    return ok("balance", f"At least {threshold}{unit} is left.", amount)


def callbacks(public_base_url: str) -> AuditLine:
    """Say whether receipts can come back."""
    if public_base_url.startswith("https://"):
        return ok("callbacks", "Receipts are asked for at PUBLIC_BASE_URL.")
    if public_base_url:
        return note("callbacks", "PUBLIC_BASE_URL is plain http: good for this machine only.")
    return warning(
        "callbacks",
        "PUBLIC_BASE_URL is not set: no receipts come, so a message that "
        "the network refused is not sent on by another gateway.",
    )
