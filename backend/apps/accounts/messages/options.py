"""What an operator may put into the texts, and which of it would spoil them.

It must not know the texts themselves, nor where the values come from.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from apps.accounts.messages.encoding import utf16_units

# UTF-16 units. With it every text keeps to one segment in both languages. The optional lines take from the same 70
# units of an Arabic text: name and domain together may have 40, with the hash line too 28; 35 and 23 where the name is
# not in GSM-7 (an Arabic name), because it makes the English text UCS-2 as well. `check_options` says so exactly.
MAX_APP_NAME: Final = 24
# RFC 1035 section 2.3.4 allows 253; no segment has room for more than this beside the shortest name.
MAX_WEB_DOMAIN: Final = 39
# https://developers.google.com/identity/sms-retriever/verify : "be no longer than 140 bytes".
RETRIEVER_MAX_BYTES: Final = 140

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN: Final = re.compile(rf"(?:{_LABEL}\.)+(?=[a-z0-9-]*[a-z]){_LABEL}")
_APP_HASH: Final = re.compile(r"[A-Za-z0-9+/]{11}")
_LOOKS_LIKE_URL: Final = re.compile(r"://|\bwww\.|[^\W_]\.[^\W\d_]{2,}", re.IGNORECASE)
_MANY_DIGITS: Final = re.compile(r"\d{4}")
# Control, format (which would let a name turn the reading direction around), surrogate, private, unassigned; line ends.
_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class TextOptions:
    """The app's name, and the two optional last lines that phones read: both empty means neither line."""

    app_name: str
    web_domain: str = ""
    android_app_hash: str = ""


def form_faults(options: TextOptions) -> list[str]:
    """Return what is wrong with the form of each value, by the name of its variable."""
    return [
        *(f"APP_NAME {fault}" for fault in _name_faults(options.app_name)),
        *(f"OTP_WEB_DOMAIN {fault}" for fault in _domain_faults(options.web_domain)),
        *(f"OTP_ANDROID_APP_HASH {fault}" for fault in _hash_faults(options.android_app_hash)),
    ]


def _name_faults(name: str) -> list[str]:
    if not name.strip():
        return ["is empty: every text names the app"]
    faults = []
    if name != name.strip():
        faults.append("begins or ends with white space")
    if any(unicodedata.category(char) in _UNPRINTABLE for char in name):
        faults.append("holds a control or invisible character")
    if _LOOKS_LIKE_URL.search(name):
        faults.append("looks like a web address: phones would make it a link and carriers filter it")
    if _MANY_DIGITS.search(name):
        faults.append("holds four digits in a row: a phone would take them for the code")
    if (units := utf16_units(name)) > MAX_APP_NAME:
        faults.append(f"is {units} units long, at most {MAX_APP_NAME} keep every text in one segment")
    return faults


def _domain_faults(domain: str) -> list[str]:
    if not domain:
        return []
    if not _DOMAIN.fullmatch(domain):
        return ["is not a lower-case host name such as login.example.com (no scheme, port, path or IP address)"]
    if len(domain) > MAX_WEB_DOMAIN:
        return [f"is {len(domain)} characters long, at most {MAX_WEB_DOMAIN} leave room for a text"]
    return []


def _hash_faults(app_hash: str) -> list[str]:
    if not app_hash or _APP_HASH.fullmatch(app_hash):
        return []
    return ["is not the 11 base64 characters that Google's tool prints for the app's package and certificate"]
