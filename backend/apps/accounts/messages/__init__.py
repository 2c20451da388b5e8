"""The words that leave the house: what a text message says, what it costs, and which phones read the code out of it.

A pure leaf: it must not know Django, a provider, a person or how a code is made.
"""

from apps.accounts.messages.autofill import Autofill, Verdict, autofill
from apps.accounts.messages.encoding import Encoding, Segments, segments
from apps.accounts.messages.languages import Language
from apps.accounts.messages.options import (
    MAX_APP_NAME,
    MAX_WEB_DOMAIN,
    RETRIEVER_MAX_BYTES,
    TextOptions,
)
from apps.accounts.messages.texts import NoticeKind, check_options, code_text, notice_text

__all__ = [
    "MAX_APP_NAME",
    "MAX_WEB_DOMAIN",
    "RETRIEVER_MAX_BYTES",
    "Autofill",
    "Encoding",
    "Language",
    "NoticeKind",
    "Segments",
    "TextOptions",
    "Verdict",
    "autofill",
    "check_options",
    "code_text",
    "notice_text",
    "segments",
]
