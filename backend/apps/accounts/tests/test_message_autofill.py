"""Which phones would take the code out of a text, and the reason where one would not."""

import pytest

from apps.accounts.messages import Language, NoticeKind, TextOptions, autofill, code_text, notice_text

HASH = "FA+9qCX9VSu"
BOUND = TextOptions("Salon", "login.salon.example", HASH)
PLAIN = TextOptions("Salon")

languages = pytest.mark.parametrize("language", list(Language))


def text_of(options: TextOptions, *, language: Language = Language.EN) -> str:
    return code_text("908172", language=language, options=options, minutes=10)


@languages
def test_all_four_fire_on_our_own_text_with_both_lines(language: Language) -> None:
    verdicts = autofill(text_of(BOUND, language=language), page_domain="login.salon.example", app_hash=HASH)
    assert verdicts.android_sms_retriever.fires
    assert verdicts.android_user_consent.fires
    assert verdicts.webotp.fires
    assert verdicts.ios_autofill.fires


@languages
def test_a_plain_text_is_found_by_consent_and_by_the_iphone_alone(language: Language) -> None:
    verdicts = autofill(text_of(PLAIN, language=language), app_hash=HASH)
    assert not verdicts.android_sms_retriever.fires
    assert verdicts.android_user_consent.fires
    assert not verdicts.webotp.fires
    assert "OTP_WEB_DOMAIN" in verdicts.webotp.why
    assert verdicts.ios_autofill.fires


def test_the_retriever_needs_an_app_that_listens() -> None:
    verdict = autofill(text_of(BOUND), app_hash=None).android_sms_retriever
    assert not verdict.fires
    assert "OTP_ANDROID_APP_HASH" in verdict.why


def test_the_retriever_passes_over_another_apps_hash() -> None:
    assert not autofill(text_of(BOUND), app_hash="AAAAAAAAAAA").android_sms_retriever.fires


def test_the_retriever_passes_over_a_hash_inside_a_longer_word() -> None:
    assert not autofill(f"908172 is your code\n{HASH}x", app_hash=HASH).android_sms_retriever.fires


def test_the_retriever_reads_140_bytes_and_not_one_more() -> None:
    ending = f" 908172\n{HASH}"
    fits = "x" * (140 - len(ending)) + ending
    assert autofill(fits, app_hash=HASH).android_sms_retriever.fires
    verdict = autofill("x" + fits, app_hash=HASH).android_sms_retriever
    assert not verdict.fires
    assert "141 bytes" in verdict.why


@pytest.mark.parametrize("text", ["your code is 123", "code: 12345678901", "say hello"])
def test_a_text_without_a_word_of_the_right_length_holds_no_code(text: str) -> None:
    verdicts = autofill(text, page_domain="salon.example", app_hash=HASH)
    assert not any((verdicts.android_user_consent.fires, verdicts.webotp.fires, verdicts.ios_autofill.fires))


@pytest.mark.parametrize(
    ("page", "webotp", "ios"),
    [
        ("login.salon.example", True, True),
        ("LOGIN.salon.example", True, True),
        ("app.login.salon.example", False, True),
        ("salon.example", False, False),
        ("evillogin.salon.example", False, False),
        ("login.salon.example.evil.example", False, False),
    ],
)
def test_a_bound_code_is_offered_on_its_own_domain_alone(page: str, webotp: bool, ios: bool) -> None:
    verdicts = autofill(text_of(BOUND), page_domain=page)
    assert (verdicts.webotp.fires, verdicts.ios_autofill.fires) == (webotp, ios)


@pytest.mark.parametrize(
    "last_line",
    [
        "@salon.example  #908172",
        "@salon.example#908172",
        " @salon.example #908172",
        "@salon.example 908172",
        "@ salon.example #908172",
        "@salon.example #908172\n",
        "@salon.example #908172\nRegards",
    ],
)
def test_a_last_line_out_of_form_is_no_origin_bound_code(last_line: str) -> None:
    assert not autofill(f"908172 is your code.\n{last_line}", page_domain="salon.example").webotp.fires


def test_an_embedded_host_behind_the_code_is_allowed() -> None:
    text = "908172 is your code.\n@salon.example #908172 @pay.example"
    assert autofill(text, page_domain="salon.example").webotp.fires


def test_a_machine_line_with_another_code_than_the_sentence_is_called_out() -> None:
    verdicts = autofill("908172 is your code.\n@salon.example #111111", page_domain="salon.example")
    assert not verdicts.webotp.fires
    assert not verdicts.ios_autofill.fires
    assert "not the one" in verdicts.webotp.why


def test_the_iphone_wants_a_word_for_code_beside_the_digits() -> None:
    assert not autofill("908172 for Salon").ios_autofill.fires
    assert autofill("908172 is your Salon passcode").ios_autofill.fires


def test_the_verdict_on_arabic_heuristics_says_that_nobody_publishes_them() -> None:
    assert "try it on a device" in autofill(text_of(PLAIN, language=Language.AR)).ios_autofill.why


@languages
@pytest.mark.parametrize("kind", list(NoticeKind))
def test_nothing_fires_on_a_notice(language: Language, kind: NoticeKind) -> None:
    verdicts = autofill(notice_text(kind, language=language, options=BOUND), app_hash=HASH)
    for verdict in (
        verdicts.android_sms_retriever,
        verdicts.android_user_consent,
        verdicts.webotp,
        verdicts.ios_autofill,
    ):
        assert not verdict.fires
        assert "no code" in verdict.why


def test_nothing_that_reads_texts_fires_on_whatsapp() -> None:
    verdicts = autofill(text_of(BOUND), page_domain="login.salon.example", app_hash=HASH, channel="whatsapp")
    assert not any((verdicts.android_sms_retriever.fires, verdicts.android_user_consent.fires, verdicts.webotp.fires))
    assert "WhatsApp" in verdicts.webotp.why
