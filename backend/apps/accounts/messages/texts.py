"""Every sentence a person gets by text message, in each language, each within one segment.

It must not know how a message is sent, nor take a single word from a user.

Digits in Arabic texts. The code is written in ASCII digits (what autofill looks for and every keyboard can type). In
the bidirectional algorithm a run of European digits keeps its inner left-to-right order inside a right-to-left line,
so the code reads the same in both languages and needs no mark. Two things do need care. A message without markup takes
its direction from its first strong letter: so every Arabic text has an Arabic word before the app's name, which may be
Latin. And a Latin name that ends in a sign (`Salon+`) would show it on the wrong side: there a LEFT-TO-RIGHT MARK
(U+200E) follows the name if the text has the unit to spare. The machine lines get no mark: each is a paragraph of its
own that begins with ASCII, and a mark would break their format.
"""

import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import Final

from apps.accounts.messages.encoding import segments
from apps.accounts.messages.languages import Language
from apps.accounts.messages.options import RETRIEVER_MAX_BYTES, TextOptions, form_faults

_CODE: Final = re.compile(r"[0-9]{6}")
_SPECIMEN: Final = "000000"
_LEFT_TO_RIGHT_MARK: Final = "\u200e"


class NoticeKind(StrEnum):
    """What a person is told without having asked."""

    PHONE_CHANGED = "phone_changed"
    NEW_LOGIN_BY_SUPPORT = "new_login_by_support"
    NUMBER_CLAIMED = "number_claimed"
    SESSION_REUSE = "session_reuse"
    INCIDENT_OVER = "incident_over"


# From the friendliest to the shortest: the first that fits into one segment is sent. All put the code before anything
# else with digits in it where they can, next to a word for "code", in the first sentence: that is where phones look.
_CODE_TEXTS: Final[dict[Language, tuple[str, ...]]] = {
    Language.EN: (
        "{code} is your {app} code. It expires in {life}. Do not share it with anyone.",
        "{code} is your {app} code. Do not share it with anyone.",
        "{code} is your {app} code. Do not share it.",
        "Do not share {app} code {code}",
    ),
    Language.AR: (
        "{code} هو رمز التحقق في {app}، صالح {life}. لا تشاركه مع أحد.",
        "{code} هو رمز التحقق في {app}. لا تشاركه مع أحد.",
        "{code} رمز {app}. لا تشاركه مع أحد.",
        "{code} رمز {app}. لا تشاركه",
        "لا تشارك رمز {app} {code}",
    ),
}

_NOTICES: Final[dict[Language, dict[NoticeKind, tuple[str, ...]]]] = {
    Language.EN: {
        NoticeKind.PHONE_CHANGED: (
            "The phone number of your {app} account was changed. If this was not you, contact our support now.",
            "Your {app} number was changed. Not you? Contact us.",
        ),
        NoticeKind.NEW_LOGIN_BY_SUPPORT: (
            "{app} support made a login code for your number. If you did not ask for it, contact us now.",
            "{app} support made you a code. Not you? Contact us.",
        ),
        NoticeKind.NUMBER_CLAIMED: (
            "Somebody with this phone number asks to open your {app} account. Confirm or object in the app.",
            "Your {app} account was claimed. Reply in the app.",
        ),
        NoticeKind.SESSION_REUSE: (
            "A login of your {app} account was used twice, so we ended it. If this was not you, contact our support.",
            "We ended a {app} login used twice. Contact us.",
        ),
        NoticeKind.INCIDENT_OVER: (
            "Logging in to {app} works again. We are sorry for the trouble. Please ask for a new code.",
            "{app} login works again. Sorry for the trouble.",
        ),
    },
    Language.AR: {
        NoticeKind.PHONE_CHANGED: (
            "تم تغيير رقم الجوال لحسابك في {app}. إن لم تكن أنت فتواصل معنا.",
            "تغير رقم حسابك في {app}. لست أنت؟ تواصل معنا.",
        ),
        NoticeKind.NEW_LOGIN_BY_SUPPORT: (
            "أصدر دعم {app} رمز دخول لرقمك. إن لم تطلبه فتواصل معنا فورا.",
            "أصدر دعم {app} رمزا لرقمك. لم تطلبه؟ تواصل معنا.",
        ),
        NoticeKind.NUMBER_CLAIMED: (
            "طلب صاحب هذا الرقم فتح حسابك في {app}. أكد أو اعترض من التطبيق.",
            "طلب لفتح حسابك في {app}. أكد أو اعترض بالتطبيق.",
        ),
        NoticeKind.SESSION_REUSE: (
            "أنهينا جلسة في حسابك في {app} لأنها استخدمت مرتين. تواصل معنا.",
            "أنهينا جلسة {app} استخدمت مرتين. تواصل معنا.",
        ),
        NoticeKind.INCIDENT_OVER: (
            "عاد تسجيل الدخول إلى {app} للعمل. نعتذر عن العطل، اطلب رمزا جديدا.",
            "عاد الدخول إلى {app} للعمل. نعتذر عن العطل.",
        ),
    },
}


def code_text(code: str, *, language: Language, options: TextOptions, minutes: int | None = None) -> str:
    """Return the text that carries `code`, with the optional lines that `options` ask for, in one segment.

    The sentence is the friendliest that fits; `minutes` (1 to 60) is said where there is room. The Android hash comes
    before the origin-bound line because that one must be the last (WICG "Origin-bound one-time codes delivered via
    SMS", section 2). Which sentence is taken never depends on the code.

    Raises:
        ValueError: the code is not six ASCII digits, or minutes are out of range.
    """
    if not _CODE.fullmatch(code):
        raise ValueError("a code is six ASCII digits")
    if minutes is not None and not 1 <= minutes <= 60:
        raise ValueError("minutes are 1 to 60")
    template, name = _code_template(language, options, minutes)
    return _compose(template, name=name, code=code, life=_life(minutes, language=language), options=options)


def notice_text(kind: NoticeKind, *, language: Language, options: TextOptions) -> str:
    """Return the notice in one segment; it has neither a code nor a machine line, so no phone offers to fill it in."""
    candidates = list(_notice_candidates(kind, language=language, options=options))
    return next((text for text in candidates if segments(text).count == 1), candidates[-1])


def check_options(options: TextOptions) -> list[str]:
    """Return every fault of `options`, by variable name: with none, all texts of all languages keep to one segment."""
    faults = form_faults(options)
    if faults:
        return faults
    for language in Language:
        text = code_text(_SPECIMEN, language=language, options=options)
        if (excess := _excess(text, options=options)) > 0:
            names = _names_of_what_is_set(options)
            faults.append(f"{names}: the '{language}' code text is {excess} units over one segment, shorten them")
        for kind in NoticeKind:
            if segments(notice_text(kind, language=language, options=options)).count > 1:
                faults.append(f"APP_NAME: the '{language}' notice {kind} grows past one segment, shorten it")
    return faults


@lru_cache(maxsize=64)
def _code_template(language: Language, options: TextOptions, minutes: int | None) -> tuple[str, str]:
    life = _life(minutes, language=language)
    choices = [
        (template, name)
        for template in _CODE_TEXTS[language]
        if life or "{life}" not in template
        for name in _spellings(options.app_name, language=language)
    ]
    for template, name in choices:
        if _excess(_compose(template, name=name, code=_SPECIMEN, life=life, options=options), options=options) <= 0:
            return template, name
    return choices[-1]


def _compose(template: str, *, name: str, code: str, life: str, options: TextOptions) -> str:
    lines = [template.format(code=code, app=name, life=life)]
    if options.android_app_hash:
        lines.append(options.android_app_hash)
    if options.web_domain:
        lines.append(f"@{options.web_domain} #{code}")
    return "\n".join(lines)


def _notice_candidates(kind: NoticeKind, *, language: Language, options: TextOptions) -> Iterator[str]:
    for template in _NOTICES[language][kind]:
        for name in _spellings(options.app_name, language=language):
            yield template.format(app=name)


def _spellings(name: str, *, language: Language) -> tuple[str, ...]:
    """Return the name with a left-to-right mark behind it where its last sign would wander, then without."""
    if language is not Language.AR or not name:
        return (name,)
    strong = [unicodedata.bidirectional(char) for char in name if unicodedata.bidirectional(char) in ("L", "R", "AL")]
    if not strong or strong[-1] != "L" or unicodedata.bidirectional(name[-1]) in ("L", "EN", "NSM"):
        return (name,)
    return (name + _LEFT_TO_RIGHT_MARK, name)


def _excess(text: str, *, options: TextOptions) -> int:
    """Return by how much `text` is over its budget: one segment, and the Retriever's bytes where a hash is in it.

    Google says bytes without an encoding: UTF-8 is never less than what goes over the air in one segment, so it is
    the careful reading.
    """
    excess = segments(text).excess
    if options.android_app_hash:
        excess = max(excess, len(text.encode()) - RETRIEVER_MAX_BYTES)
    return excess


def _life(minutes: int | None, *, language: Language) -> str:
    if minutes is None:
        return ""
    if language is Language.EN:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    # Arabic counts one, two, three to ten (plural), eleven and up (singular).
    if minutes <= 2:
        return ("دقيقة واحدة", "دقيقتين")[minutes - 1]
    return f"{minutes} {'دقائق' if minutes <= 10 else 'دقيقة'}"


def _names_of_what_is_set(options: TextOptions) -> str:
    names = ["APP_NAME"]
    if options.web_domain:
        names.append("OTP_WEB_DOMAIN")
    if options.android_app_hash:
        names.append("OTP_ANDROID_APP_HASH")
    return ", ".join(names)
