"""The sentences people get: what is in them, and that none ever costs a second segment."""

import re
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apps.accounts.messages import (
    MAX_APP_NAME,
    RETRIEVER_MAX_BYTES,
    Language,
    NoticeKind,
    TextOptions,
    check_options,
    code_text,
    notice_text,
    segments,
)

LRM = "\u200e"
HASH = "FA+9qCX9VSu"
LONGEST_NAMES = {
    "latin": "N" * MAX_APP_NAME,
    "arabic": "ن" * MAX_APP_NAME,
    "latin ending in a sign": "N" * (MAX_APP_NAME - 1) + "!",
    "two-unit signs": "\N{BARBER POLE}" * (MAX_APP_NAME // 2),
    "two septets each": "€" * MAX_APP_NAME,
}
# Name and domain together, as the notes on the budget promise.
FULL_BUDGET = (
    TextOptions("ن" * 6, "login.example.com", HASH),
    TextOptions("N" * 11, "login.example.com", HASH),
    TextOptions("N" * 23, "login.example.com"),
    TextOptions("ن" * 18, "login.example.com"),
    TextOptions("N" * MAX_APP_NAME, "", HASH),
    TextOptions("ن" * MAX_APP_NAME, "", HASH),
)

languages = pytest.mark.parametrize("language", list(Language))
kinds = pytest.mark.parametrize("kind", list(NoticeKind))
longest_names = pytest.mark.parametrize("name", LONGEST_NAMES.values(), ids=LONGEST_NAMES.keys())


def human_part(text: str) -> str:
    return text.split("\n", 1)[0]


@languages
@longest_names
@pytest.mark.parametrize("minutes", [None, 1, 10, 60])
def test_a_code_text_with_the_longest_name_keeps_to_one_segment(
    language: Language, name: str, minutes: int | None
) -> None:
    text = code_text("908172", language=language, options=TextOptions(name), minutes=minutes)
    assert segments(text).count == 1


@languages
@kinds
@longest_names
def test_a_notice_with_the_longest_name_keeps_to_one_segment(language: Language, kind: NoticeKind, name: str) -> None:
    assert segments(notice_text(kind, language=language, options=TextOptions(name))).count == 1


@languages
@pytest.mark.parametrize("options", FULL_BUDGET)
def test_the_optional_lines_fit_into_the_segment_that_their_budget_promises(
    language: Language, options: TextOptions
) -> None:
    text = code_text("908172", language=language, options=options, minutes=10)
    assert check_options(options) == []
    assert segments(text).count == 1
    assert not options.android_app_hash or len(text.encode()) <= RETRIEVER_MAX_BYTES


names = st.text(
    st.characters(categories=["Lu", "Ll", "Lo", "Mn", "Zs", "Po", "Sm", "Sc", "So", "Nd"]), min_size=1, max_size=26
)
domains = st.one_of(st.just(""), st.from_regex(r"\A[a-z]{1,12}(\.[a-z]{2,12}){1,2}\Z"))
hashes = st.one_of(st.just(""), st.from_regex(r"\A[A-Za-z0-9+/]{11}\Z"))


@given(name=names, domain=domains, app_hash=hashes, minutes=st.one_of(st.none(), st.integers(1, 60)))
def test_whatever_options_pass_the_check_no_text_grows_past_one_segment(
    name: str, domain: str, app_hash: str, minutes: int | None
) -> None:
    options = TextOptions(name, domain, app_hash)
    assume(not check_options(options))
    for language in Language:
        text = code_text("908172", language=language, options=options, minutes=minutes)
        assert segments(text).count == 1
        assert not app_hash or len(text.encode()) <= RETRIEVER_MAX_BYTES
        for kind in NoticeKind:
            assert segments(notice_text(kind, language=language, options=options)).count == 1


@languages
@pytest.mark.parametrize("options", [TextOptions("Salon"), *FULL_BUDGET])
def test_the_code_stands_once_in_the_sentence_and_once_in_the_machine_line(
    language: Language, options: TextOptions
) -> None:
    text = code_text("908172", language=language, options=options, minutes=10)
    assert human_part(text).count("908172") == 1
    assert text.count("908172") == (2 if options.web_domain else 1)


@pytest.mark.parametrize("options", [TextOptions("Salon"), *FULL_BUDGET])
@pytest.mark.parametrize(("language", "plea"), [(Language.EN, "Do not share"), (Language.AR, "لا تشارك")])
def test_every_code_text_names_the_app_and_asks_not_to_share(
    language: Language, plea: str, options: TextOptions
) -> None:
    sentence = human_part(code_text("908172", language=language, options=options))
    assert options.app_name in sentence
    assert plea in sentence


@languages
def test_the_hash_line_comes_before_the_origin_bound_line_and_that_one_is_the_last(language: Language) -> None:
    text = code_text("908172", language=language, options=TextOptions("Salon", "app.salon.example", HASH))
    assert text.split("\n")[1:] == [HASH, "@app.salon.example #908172"]


@languages
def test_without_options_there_is_no_machine_line(language: Language) -> None:
    assert "\n" not in code_text("908172", language=language, options=TextOptions("Salon"))


@languages
@pytest.mark.parametrize("options", FULL_BUDGET)
def test_the_sentence_does_not_depend_on_the_code(language: Language, options: TextOptions) -> None:
    one = code_text("000000", language=language, options=options, minutes=10)
    other = code_text("987654", language=language, options=options, minutes=10)
    assert one.replace("000000", "987654") == other


def test_the_life_of_the_code_is_said_where_there_is_room_and_left_out_where_not() -> None:
    roomy = code_text("908172", language=Language.AR, options=TextOptions("Salon"), minutes=10)
    tight = code_text("908172", language=Language.AR, options=TextOptions("Salon", "app.salon.example"), minutes=10)
    assert "10 دقائق" in roomy
    assert "دقائق" not in tight


@pytest.mark.parametrize(
    ("language", "minutes", "said"),
    [
        (Language.EN, 1, "in 1 minute."),
        (Language.EN, 10, "in 10 minutes."),
        (Language.AR, 1, "دقيقة واحدة"),
        (Language.AR, 2, "دقيقتين"),
        (Language.AR, 3, "3 دقائق"),
        (Language.AR, 11, "11 دقيقة"),
    ],
)
def test_minutes_are_counted_as_each_language_counts(language: Language, minutes: int, said: str) -> None:
    assert said in code_text("908172", language=language, options=TextOptions("Salon"), minutes=minutes)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "123456\n", " 23456"])
def test_what_is_no_code_of_six_ascii_digits_is_refused_without_being_repeated(code: str) -> None:
    with pytest.raises(ValueError, match="six ASCII digits") as refusal:
        code_text(code, language=Language.EN, options=TextOptions("Salon"))
    assert not code or code not in str(refusal.value)


@pytest.mark.parametrize("minutes", [0, -1, 61])
def test_a_life_outside_an_hour_is_refused(minutes: int) -> None:
    with pytest.raises(ValueError, match="minutes"):
        code_text("908172", language=Language.EN, options=TextOptions("Salon"), minutes=minutes)


@languages
@kinds
def test_a_notice_names_the_app_and_holds_no_digit_and_no_machine_line(language: Language, kind: NoticeKind) -> None:
    options = TextOptions("Salon", "app.salon.example", HASH)
    text = notice_text(kind, language=language, options=options)
    assert "Salon" in text
    assert not re.search(r"\d|@|\n", text)


def test_each_notice_says_something_of_its_own_in_each_language() -> None:
    texts = {
        notice_text(kind, language=language, options=TextOptions("Salon"))
        for kind in NoticeKind
        for language in Language
    }
    assert len(texts) == len(NoticeKind) * len(Language)


def arabic_sentences(name: str) -> list[str]:
    options = [TextOptions(name), TextOptions(name, "app.salon.example"), TextOptions(name, "app.salon.example", HASH)]
    texts = [
        code_text("908172", language=Language.AR, options=option, minutes=m) for option in options for m in (None, 9)
    ]
    texts += [notice_text(kind, language=Language.AR, options=options[0]) for kind in NoticeKind]
    return [human_part(text) for text in texts]


@pytest.mark.parametrize("name", ["Salon", "Salon+", "N" * MAX_APP_NAME])
def test_an_arabic_text_is_read_from_the_right_although_the_name_is_latin(name: str) -> None:
    for sentence in arabic_sentences(name):
        strong = [char for char in sentence if unicodedata.bidirectional(char) in ("L", "R", "AL")]
        assert unicodedata.bidirectional(strong[0]) == "AL", sentence


def test_a_latin_name_that_ends_in_a_sign_keeps_it_on_its_right_side_in_arabic() -> None:
    assert f"Salon+{LRM}" in code_text("908172", language=Language.AR, options=TextOptions("Salon+"))


@pytest.mark.parametrize("name", ["Salon", "Studio 54", "صالون!"])
def test_a_name_that_needs_no_mark_gets_none(name: str) -> None:
    assert LRM not in code_text("908172", language=Language.AR, options=TextOptions(name))


def test_no_mark_ever_stands_in_an_english_text() -> None:
    assert LRM not in code_text("908172", language=Language.EN, options=TextOptions("Salon+"))


def test_the_machine_lines_hold_ascii_alone() -> None:
    text = code_text("908172", language=Language.AR, options=TextOptions("Salon+", "app.salon.example", HASH))
    assert all(line.isascii() for line in text.split("\n")[1:])


@pytest.mark.parametrize(
    "options",
    [
        TextOptions("Salon"),
        TextOptions("صالون الأناقة"),
        TextOptions("Salon", "login.salon.example"),
        TextOptions("Salon", "login.salon.example", HASH),
        TextOptions("Studio 54", "xn--mgbh0fb.example"),
    ],
)
def test_sound_options_have_no_fault(options: TextOptions) -> None:
    assert check_options(options) == []


@pytest.mark.parametrize(
    ("options", "variable", "reason"),
    [
        (TextOptions(""), "APP_NAME", "empty"),
        (TextOptions("   "), "APP_NAME", "empty"),
        (TextOptions(" Salon"), "APP_NAME", "white space"),
        (TextOptions("N" * (MAX_APP_NAME + 1)), "APP_NAME", "25 units"),
        (TextOptions("\N{BARBER POLE}" * 13), "APP_NAME", "26 units"),
        (TextOptions("Sal\non"), "APP_NAME", "control"),
        (TextOptions("Sal\x00on"), "APP_NAME", "control"),
        (TextOptions("Sal\u202eon"), "APP_NAME", "invisible"),
        (TextOptions("https://salon"), "APP_NAME", "web address"),
        (TextOptions("salon.example"), "APP_NAME", "web address"),
        (TextOptions("www.salon"), "APP_NAME", "web address"),
        (TextOptions("Salon 1984"), "APP_NAME", "four digits"),
        (TextOptions("Salon ١٩٨٤"), "APP_NAME", "four digits"),
        (TextOptions("Salon", "https://salon.example"), "OTP_WEB_DOMAIN", "host name"),
        (TextOptions("Salon", "Salon.example"), "OTP_WEB_DOMAIN", "host name"),
        (TextOptions("Salon", "salon"), "OTP_WEB_DOMAIN", "host name"),
        (TextOptions("Salon", "salon.example:443"), "OTP_WEB_DOMAIN", "host name"),
        (TextOptions("Salon", "salon.example/login"), "OTP_WEB_DOMAIN", "host name"),
        (TextOptions("Salon", "salon..example"), "OTP_WEB_DOMAIN", "host name"),
        (TextOptions("Salon", "-salon.example"), "OTP_WEB_DOMAIN", "host name"),
        (TextOptions("Salon", "10.0.0.1"), "OTP_WEB_DOMAIN", "host name"),
        (TextOptions("Salon", "salon.example\n"), "OTP_WEB_DOMAIN", "host name"),
        (TextOptions("Salon", "صالون.example"), "OTP_WEB_DOMAIN", "host name"),
        (TextOptions("Salon", "a" * 40 + ".example"), "OTP_WEB_DOMAIN", "48 characters"),
        (TextOptions("Salon", "", "FA+9qCX9VS"), "OTP_ANDROID_APP_HASH", "11 base64"),
        (TextOptions("Salon", "", "FA+9qCX9VSu="), "OTP_ANDROID_APP_HASH", "11 base64"),
        (TextOptions("Salon", "", "FA-9qCX9VSu"), "OTP_ANDROID_APP_HASH", "11 base64"),
    ],
)
def test_a_faulty_option_is_named_with_its_reason(options: TextOptions, variable: str, reason: str) -> None:
    faults = check_options(options)
    assert any(fault.startswith(variable) and reason in fault for fault in faults), faults


def test_all_faults_are_told_together() -> None:
    faults = check_options(TextOptions("", "nowhere", "short"))
    assert [fault.split()[0] for fault in faults] == ["APP_NAME", "OTP_WEB_DOMAIN", "OTP_ANDROID_APP_HASH"]


@pytest.mark.parametrize(
    ("most", "one_more"),
    [
        (TextOptions("N" * 11, "login.example.com", HASH), TextOptions("N" * 12, "login.example.com", HASH)),
        (TextOptions("N" * 23, "login.example.com"), TextOptions("N" * 24, "login.example.com")),
    ],
)
def test_one_unit_over_the_arabic_segment_is_a_fault_that_says_by_how_much(
    most: TextOptions, one_more: TextOptions
) -> None:
    assert check_options(most) == []
    [fault] = check_options(one_more)
    assert fault.startswith("APP_NAME, OTP_WEB_DOMAIN")
    assert "'ar'" in fault
    assert "1 units over" in fault


def test_a_name_outside_gsm_is_judged_by_the_short_english_segment() -> None:
    faults = check_options(TextOptions("ن" * 7, "login.example.com", HASH))
    assert any("'en'" in fault for fault in faults)
