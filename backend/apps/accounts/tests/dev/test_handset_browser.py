"""The handset as a developer works with it, in a real browser."""

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, Route, expect

from apps.accounts.messages import Language
from apps.accounts.tests.dev.looking import open_handset, texts_of, wait_for_text
from apps.accounts.tests.dev.stands import Stand

MECHANISMS = ("Android SMS Retriever", "Android User Consent", "WebOTP", "iOS autofill")


def clipboard(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def refuse(route: Route) -> None:
    route.abort()


def verdict(page: Page, mechanism: str) -> tuple[bool, str]:
    line = page.locator(f'[data-mechanism="{mechanism}"]')
    return "yes" in (line.get_attribute("class") or ""), line.locator("p").inner_text()


def test_an_empty_handset_shows_the_line_that_sends_a_first_code_and_copies_it(page: Page, stand: Stand) -> None:
    open_handset(page, stand)
    line = page.locator("#empty pre").inner_text()
    assert f"{stand.url}/api/auth/phone/request/" in line
    assert '"phone_number": "+966501234567"' in line
    texts = texts_of(page, "#empty button")
    page.get_by_role("button", name="Copy the curl line").click()
    wait_for_text(page, texts, "Copied")
    assert clipboard(page) == line


def test_a_message_of_another_process_arrives_without_a_reload_and_is_announced(page: Page, stand: Stand) -> None:
    open_handset(page, stand)
    stand.send(code="482913")
    expect(page.locator(".message")).to_have_count(1)
    expect(page.locator("#code")).to_have_text("482913")
    expect(page.locator("#announcer")).to_have_text("New code 4 8 2 9 1 3 for +966501234567")


def test_one_click_copies_the_code_and_says_so(page: Page, stand: Stand) -> None:
    stand.send(code="007351")
    open_handset(page, stand)
    texts = texts_of(page, ".message .copy")
    page.get_by_role("button", name="Copy 007351").click()
    wait_for_text(page, texts, "Copied")
    expect(page.locator("#announcer")).to_have_text("Code copied")
    assert clipboard(page) == "007351"
    expect(page.locator(".message .copy")).to_have_text("Copy 007351")


def test_a_click_on_the_code_in_the_text_copies_it(page: Page, stand: Stand) -> None:
    stand.send(code="007351")
    open_handset(page, stand)
    page.locator(".bubble mark").click()
    expect(page.locator("#announcer")).to_have_text("Code copied")
    assert clipboard(page) == "007351"


def test_the_newest_message_is_the_lowest_and_the_one_looked_at(page: Page, stand: Stand) -> None:
    stand.send(code="000001")
    open_handset(page, stand)
    stand.send(code="000002")
    expect(page.locator("#code")).to_have_text("000002")
    assert page.locator(".bubble mark").all_inner_texts() == ["000001", "000002"]


def test_a_text_with_both_lines_says_that_all_four_would_fire(page: Page, bound_stand: Stand) -> None:
    bound_stand.send()
    open_handset(page, bound_stand)
    assert [verdict(page, name)[0] for name in MECHANISMS] == [True, True, True, True]
    assert "login.salon.example" in verdict(page, "WebOTP")[1]


def test_a_text_without_them_says_which_would_not_and_which_setting_is_missing(page: Page, stand: Stand) -> None:
    stand.send()
    open_handset(page, stand)
    assert [verdict(page, name)[0] for name in MECHANISMS] == [False, True, False, True]
    assert "OTP_ANDROID_APP_HASH" in verdict(page, "Android SMS Retriever")[1]
    assert "OTP_WEB_DOMAIN" in verdict(page, "WebOTP")[1]


@pytest.mark.parametrize(
    ("language", "size"),
    [(Language.EN, r"1 segment · GSM-7 · \d+ of 160 units"), (Language.AR, r"1 segment · UCS-2 · \d+ of 70 units")],
)
def test_the_size_is_told_in_segments_encoding_and_units(
    page: Page, stand: Stand, language: Language, size: str
) -> None:
    stand.send(language=language)
    open_handset(page, stand)
    expect(page.locator(".size")).to_have_text(re.compile(size))


def test_whatsapp_messages_are_in_their_own_app_which_opens_when_one_arrives(page: Page, stand: Stand) -> None:
    stand.send(code="000001")
    open_handset(page, stand)
    stand.send(code="000002", channel="whatsapp")
    expect(page.locator("#phone")).to_have_attribute("data-app", "whatsapp")
    expect(page.locator(".bubble mark")).to_have_text(["000002"])
    assert verdict(page, "WebOTP")[0] is False
    page.get_by_role("button", name="Messages", exact=True).click()
    expect(page.locator(".bubble mark")).to_have_text(["000001"])


def test_messages_that_came_by_the_other_app_are_counted_on_it(page: Page, stand: Stand) -> None:
    open_handset(page, stand)
    # Both lie in the outbox before the page asks again: the newer decides which app is open, the other is counted.
    page.route("**/dev/messages/", refuse)
    expect(page.locator("#live-text")).to_have_text("No answer, trying again")
    stand.send(code="000001", channel="whatsapp")
    stand.send(code="000002")
    page.unroute("**/dev/messages/", refuse)
    expect(page.locator("#code")).to_have_text("000002")
    expect(page.locator("#unread-whatsapp")).to_have_text("1")
    page.get_by_role("button", name="WhatsApp").click()
    expect(page.locator("#unread-whatsapp")).to_be_hidden()


def test_a_filter_keeps_one_number_and_escape_lifts_it(page: Page, stand: Stand) -> None:
    stand.send("+966501234567", code="000001")
    stand.send("+201001234567", code="000002")
    open_handset(page, stand)
    expect(page.locator(".message")).to_have_count(2)
    page.keyboard.press("/")
    page.keyboard.type("20100")
    expect(page.locator(".bubble mark")).to_have_text(["000002"])
    expect(page.locator("#receiver")).to_have_text("on +201001234567")
    page.keyboard.press("Escape")
    expect(page.locator(".message")).to_have_count(2)


def test_arabic_digits_filter_as_well(page: Page, stand: Stand) -> None:
    stand.send("+966501234567", code="000001")
    stand.send("+201001234567", code="000002")
    open_handset(page, stand)
    page.locator("#filter").fill("٢٠١")
    expect(page.locator(".bubble mark")).to_have_text(["000002"])


def test_a_phone_of_the_list_is_chosen_by_a_click_and_kept_over_a_reload(page: Page, stand: Stand) -> None:
    stand.send("+966501234567", code="000001")
    stand.send("+201001234567", code="000002")
    open_handset(page, stand)
    page.get_by_role("button", name="+966501234567").click()
    expect(page.locator(".bubble mark")).to_have_text(["000001"])
    page.reload()
    expect(page.locator(".bubble mark")).to_have_text(["000001"])


def test_clear_empties_the_handset_and_the_outbox(page: Page, stand: Stand) -> None:
    stand.send()
    open_handset(page, stand)
    page.get_by_role("button", name="Clear all").click()
    expect(page.locator("#empty")).to_be_visible()
    assert stand.outbox.list() == []
    expect(page.get_by_role("button", name="Clear all")).to_be_disabled()


def test_everything_is_reached_by_the_keyboard(page: Page, stand: Stand) -> None:
    stand.send(code="000001")
    stand.send(code="000002")
    open_handset(page, stand)
    expect(page.locator("#code")).to_have_text("000002")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#code")).to_have_text("000001")
    page.keyboard.press("c")
    expect(page.locator("#announcer")).to_have_text("Code copied")
    assert clipboard(page) == "000001"
    texts = texts_of(page, ".message:first-of-type .copy")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_text(page, texts, "Copied")


def test_the_page_asks_for_a_code_in_the_chosen_language_and_channel(page: Page, stand: Stand) -> None:
    open_handset(page, stand)
    page.get_by_label("Number", exact=True).fill("+966509876543")
    page.get_by_label("Language").select_option("ar")
    page.get_by_label("Channel").select_option("whatsapp")
    page.get_by_role("button", name="Send a code").click()
    expect(page.locator("#ask-outcome")).to_have_text("Sent. The code lives 10 minutes.")
    expect(page.locator("#receiver")).to_have_text("on +966509876543")
    expect(page.locator(".words")).to_contain_text("لا تشاركه")
    assert stand.outbox.list()[0].channel == "whatsapp"


def test_a_refusal_is_told_with_the_seconds_to_wait(page: Page, stand: Stand) -> None:
    open_handset(page, stand)
    page.get_by_label("Number", exact=True).fill("+966501111429")
    page.get_by_role("button", name="Send a code").click()
    expect(page.locator("#ask-outcome")).to_have_text("Please wait before asking again. Try again in 42 s.")


def test_markup_in_a_message_is_shown_and_never_run(page: Page, stand: Stand) -> None:
    hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script> 482913'
    stand.outbox.record("+966501234567", channel="sms", text=hostile, code="482913", sent_at=datetime.now(UTC))
    open_handset(page, stand)
    expect(page.locator(".words")).to_have_text(hostile)
    assert page.locator(".words img, .words script").count() == 0
    assert page.title() == "Handset · Salon"


def test_a_server_that_is_gone_is_told_and_found_again(page: Page, stand: Stand) -> None:
    open_handset(page, stand)
    page.route("**/dev/messages/", refuse)
    expect(page.locator("#live-text")).to_have_text("No answer, trying again")
    page.unroute("**/dev/messages/", refuse)
    expect(page.locator("#live-text")).to_have_text("Live")


def test_the_page_asks_nobody_but_its_own_server(page: Page, stand: Stand) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    stand.send()
    open_handset(page, stand)
    expect(page.locator("#code")).to_be_visible()
    assert [url for url in asked if not url.startswith((stand.url, "data:"))] == []


def test_enter_on_a_message_looks_at_it(page: Page, stand: Stand) -> None:
    stand.send(code="000001")
    stand.send(code="000002")
    open_handset(page, stand)
    page.locator(".bubble").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#code")).to_have_text("000001")
    expect(page.locator(".bubble").first).to_have_attribute("aria-pressed", "true")
