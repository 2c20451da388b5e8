"""Phone numbers: parse at the door, travel as a type, never print in full.

It must not know Django, HTTP or limits; whether a country is allowed is decided in services/policy.py.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberType

from apps.accounts.errors import InvalidPhoneNumber

_E164: Final = re.compile(r"\+[1-9][0-9]{9,14}\Z")
_WRITTEN: Final = re.compile(r"(?<![0-9A-Za-z])(?:\+|00|0)(?:[ ()./-]{0,2}[0-9]){8,15}(?![0-9])")
_NO_COUNTRY: Final = phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
_TEXTABLE: Final = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})


@dataclass(frozen=True, slots=True)
class Phone:
    """One handset's one spelling: E.164 with its region ("SA"). Prints masked; `e164` is the full number."""

    e164: str
    region: str

    def __str__(self) -> str:
        return mask(self.e164)

    def __repr__(self) -> str:
        return f"Phone({mask(self.e164)!r})"

    @property
    def digits(self) -> str:
        """Return the number without the plus."""
        return self.e164[1:]

    @property
    def prefix(self) -> str:
        """Return the number without its last four digits: the range that pumping sweeps through."""
        return self.e164[:-4]


def mask(e164: str) -> str:
    """Return `+966*****567`: the first three and the last three digits stay; not even the length between is told."""
    if len(e164) < 8:
        return "*****"
    return f"{e164[:4]}*****{e164[-3:]}"


def mask_within(text: str) -> str:
    """Return `text` with what reads like a phone number masked: +, 00 or 0, and eight digits or more."""
    return _WRITTEN.sub(lambda found: mask(re.sub(r"[^+0-9]", "", found[0])), fold_digits(text))


def fold_digits(text: str) -> str:
    """Replace every Unicode decimal digit by its ASCII digit; leave every other character alone."""
    if text.isascii():
        return text
    return "".join(
        char if char.isascii() or unicodedata.category(char) != "Nd" else str(unicodedata.decimal(char))
        for char in text
    )


def parse(text: str, *, min_digits: int = 10) -> Phone:
    """Return the number that `text` spells in its one canonical form.

    Raises:
        InvalidPhoneNumber: not E.164, not a valid number, not its own canonical form (the error then
            carries `canonical`), or of a type that cannot receive a text.
    """
    folded = fold_digits(text)
    return _parse_folded(folded, min_digits)


def plausible(text: str) -> Phone:
    """Return a syntactically plausible number without asking whether anybody could own it: for test numbers only.

    Raises:
        InvalidPhoneNumber: not `+` and 10 to 15 digits.
    """
    folded = fold_digits(text)
    if not _E164.match(folded):
        raise InvalidPhoneNumber(fields={"phone_number": ["format"]})
    return Phone(e164=folded, region="ZZ")


def of_stored(e164: str) -> Phone:
    """Return the Phone of a number that was parsed before it was stored."""
    return _of_stored(e164)


@lru_cache(maxsize=1024)
def _of_stored(e164: str) -> Phone:
    try:
        number = phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return Phone(e164=e164, region="ZZ")
    return Phone(e164=e164, region=phonenumbers.region_code_for_number(number) or "ZZ")


@lru_cache(maxsize=1024)
def _parse_folded(folded: str, min_digits: int) -> Phone:
    pattern = _E164 if min_digits == 10 else re.compile(rf"\+[1-9][0-9]{{{min_digits - 1},14}}\Z")
    if not pattern.match(folded):
        raise InvalidPhoneNumber(fields={"phone_number": ["format"]})
    try:
        number = phonenumbers.parse(folded, None)
    except phonenumbers.NumberParseException as error:
        raise InvalidPhoneNumber(fields={"phone_number": ["not_valid"]}) from error
    # A number is valid where it has a type; to ask for both is to work it out twice.
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:
        raise InvalidPhoneNumber(fields={"phone_number": ["not_valid"]})
    canonical = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if canonical != folded:
        raise InvalidPhoneNumber(fields={"phone_number": ["not_canonical"]}, canonical=canonical)
    region = phonenumbers.region_code_for_number(number) or "ZZ"
    # Satellite and other networks of no country (+870, +881, +882, …) pass for mobile: no country's policy is theirs.
    if kind not in _TEXTABLE or region == _NO_COUNTRY:
        raise InvalidPhoneNumber(fields={"phone_number": ["cannot_receive_text"]})
    return Phone(e164=canonical, region=region)
