"""Whether a phone would offer the code by itself when this text arrives, and why not.

It must not know how the text was made: it judges what a phone would see, by the published rules alone.
"""

import re
from dataclasses import dataclass
from typing import Final

from apps.accounts.messages.options import RETRIEVER_MAX_BYTES

# WICG "Origin-bound one-time codes delivered via SMS": last line, `@host #code`, one space between the parts.
_BOUND: Final = re.compile(r"@(?P<host>[^\s@#]+) #(?P<code>[^\s#]+)(?: .*)?")
# developers.google.com/identity/sms-retriever/user-consent/overview : 4 to 10 alphanumeric characters, one a digit.
_CONSENT: Final = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{4,10}(?![A-Za-z0-9])")
_DIGITS: Final = re.compile(r"(?<![0-9])[0-9]{4,10}(?![0-9])")
# Apple names "code" and "passcode" as what its heuristics look for; it publishes no list for other languages.
_CODE_WORD: Final = re.compile(r"\b(?:pass)?code\b|رمز|كود", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one mechanism would offer the code, and the reason in one or two sentences for a developer."""

    fires: bool
    why: str


@dataclass(frozen=True, slots=True)
class Autofill:
    """One verdict for each way in which a phone can take the code out of a text."""

    android_sms_retriever: Verdict
    android_user_consent: Verdict
    webotp: Verdict
    ios_autofill: Verdict


@dataclass(frozen=True, slots=True)
class _BoundCode:
    host: str
    code: str


def autofill(
    text: str, *, page_domain: str | None = None, app_hash: str | None = None, channel: str = "sms"
) -> Autofill:
    """Judge `text` by the published rules of each mechanism.

    `page_domain` is the host of the page that asks for the code (None: the page that the text itself names);
    `app_hash` the 11 characters of the Android app that listens (None or empty: no such app).
    """
    if channel != "sms":
        return _outside_sms()
    if not _CONSENT.search(text):
        nothing = Verdict(False, "The text holds no code: no word of 4 to 10 letters and digits with a digit in it.")
        return Autofill(nothing, nothing, nothing, nothing)
    bound = _bound_code(text)
    return Autofill(
        android_sms_retriever=_retriever(text, app_hash=app_hash or ""),
        android_user_consent=_user_consent(text),
        webotp=_webotp(text, bound=bound, page_domain=page_domain),
        ios_autofill=_ios(text, bound=bound, page_domain=page_domain),
    )


def _bound_code(text: str) -> _BoundCode | None:
    match = _BOUND.fullmatch(text.rsplit("\n", 1)[-1])
    return _BoundCode(host=match["host"], code=match["code"]) if match else None


def _retriever(text: str, *, app_hash: str) -> Verdict:
    if not app_hash:
        return Verdict(False, "No app is listening: OTP_ANDROID_APP_HASH is not set.")
    if not re.search(rf"(?<![A-Za-z0-9+/]){re.escape(app_hash)}(?![A-Za-z0-9+/])", text):
        return Verdict(False, f"The text does not hold the app's hash {app_hash}.")
    if (size := len(text.encode())) > RETRIEVER_MAX_BYTES:
        return Verdict(False, f"The text is {size} bytes long; the Retriever reads at most {RETRIEVER_MAX_BYTES}.")
    return Verdict(True, f"The app with hash {app_hash} gets the whole text without asking, for 5 minutes.")


def _user_consent(text: str) -> Verdict:
    match = _CONSENT.search(text)
    found = match[0] if match else ""
    return Verdict(
        True,
        f"\N{LEFT DOUBLE QUOTATION MARK}{found}\N{RIGHT DOUBLE QUOTATION MARK} has the form of a code: a listening "
        "app may ask for the text with one tap, unless the sender is in the person's contacts.",
    )


def _webotp(text: str, *, bound: _BoundCode | None, page_domain: str | None) -> Verdict:
    if bound is None:
        return Verdict(
            False,
            "The last line is not \N{LEFT DOUBLE QUOTATION MARK}@domain #code"
            "\N{RIGHT DOUBLE QUOTATION MARK}: set OTP_WEB_DOMAIN.",
        )
    if fault := _bound_fault(text, bound=bound):
        return Verdict(False, fault)
    if page_domain is not None and page_domain.lower() != bound.host.lower():
        return Verdict(False, f"The text is for https://{bound.host}, the page is on {page_domain}.")
    return Verdict(
        True,
        f"Chrome on Android offers it to https://{bound.host} while the page waits in navigator.credentials.get().",
    )


def _ios(text: str, *, bound: _BoundCode | None, page_domain: str | None) -> Verdict:
    if bound is not None:
        if fault := _bound_fault(text, bound=bound):
            return Verdict(False, fault)
        if page_domain is not None and not _is_or_is_under(page_domain, bound.host):
            return Verdict(False, f"The text is bound to {bound.host}: it is not offered on {page_domain}.")
        return Verdict(
            True,
            f"Offered above the keyboard on {bound.host}, its subdomains and its associated apps, and nowhere else.",
        )
    first_line = text.split("\n", 1)[0]
    if not _DIGITS.search(first_line):
        return Verdict(False, "No run of 4 to 10 digits is in the first line.")
    if not _CODE_WORD.search(first_line):
        return Verdict(
            False, "No word for \N{LEFT DOUBLE QUOTATION MARK}code\N{RIGHT DOUBLE QUOTATION MARK} is beside it."
        )
    if first_line.isascii():
        return Verdict(
            True,
            "Found by its heuristics (digits beside \N{LEFT DOUBLE QUOTATION MARK}code"
            "\N{RIGHT DOUBLE QUOTATION MARK}); not bound to a domain, so a phishing page gets it too.",
        )
    return Verdict(
        True,
        "Probably found by its heuristics; Apple publishes no words for other languages, so try it "
        "on a device. Not bound to a domain.",
    )


def _bound_fault(text: str, *, bound: _BoundCode) -> str:
    if bound.code not in text.rsplit("\n", 1)[0]:
        return "The code of the last line is not the one people read above it."
    return ""


def _is_or_is_under(domain: str, parent: str) -> bool:
    return domain.lower() == parent.lower() or domain.lower().endswith("." + parent.lower())


def _outside_sms() -> Autofill:
    android = Verdict(False, "WhatsApp messages are not texts: this API never sees them.")
    return Autofill(
        android_sms_retriever=android,
        android_user_consent=android,
        webotp=android,
        ios_autofill=Verdict(
            False, "Not a text. WhatsApp's own copy button serves the code; recent iOS versions may also suggest it."
        ),
    )
