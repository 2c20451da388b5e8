"""The handset as it looks, in a real browser: directions, light and dark, narrow and wide."""

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from apps.accounts.messages import Language
from apps.accounts.tests.dev.looking import open_handset
from apps.accounts.tests.dev.stands import Stand


def left_of(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box["x"]


def test_an_arabic_text_runs_from_the_right_with_its_code_whole(page: Page, bound_stand: Stand) -> None:
    bound_stand.send(code="123456", language=Language.AR)
    open_handset(page, bound_stand)
    first_mark = page.locator(".bubble mark").first
    expect(first_mark).to_have_text("123456")
    # The code opens the sentence, so in a right-to-left line it stands at the right edge, its first digit leftmost.
    words = page.locator(".bubble .words").bounding_box()
    mark = first_mark.bounding_box()
    assert words is not None
    assert mark is not None
    assert words["x"] + words["width"] - (mark["x"] + mark["width"]) < 4
    first_digit, last_digit = page.evaluate(
        """() => [0, 5].map((at) => {
            const range = document.createRange(), text = document.querySelector(".bubble mark").firstChild;
            range.setStart(text, at); range.setEnd(text, at + 1);
            return range.getBoundingClientRect().left;
        })"""
    )
    assert first_digit < last_digit


def test_the_machine_line_below_an_arabic_text_runs_from_the_left(page: Page, bound_stand: Stand) -> None:
    bound_stand.send(code="123456", language=Language.AR)
    open_handset(page, bound_stand)
    at_sign = page.evaluate(
        """() => {
            const words = document.querySelector(".bubble .words");
            const text = [...words.childNodes].find((node) => node.nodeType === 3 && node.data.includes("@"));
            const range = document.createRange(), at = text.data.indexOf("@");
            range.setStart(text, at); range.setEnd(text, at + 1);
            return range.getBoundingClientRect().left;
        }"""
    )
    assert at_sign < left_of(page, ".bubble mark >> nth=1")


def test_the_first_stop_of_the_tab_key_leads_to_the_messages(page: Page, stand: Stand) -> None:
    open_handset(page, stand)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the messages")).to_be_focused()


def test_light_and_dark_follow_the_system_and_a_choice_outlives_a_reload(browser: Browser, stand: Stand) -> None:
    def ground(page: Page) -> int:
        shade = page.evaluate("getComputedStyle(document.querySelector('.screen')).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", shade)[:3])

    context: BrowserContext = browser.new_context(color_scheme="dark")
    page = context.new_page()
    open_handset(page, stand)
    assert ground(page) < 150
    page.get_by_role("button", name="Switch between light and dark").click()
    assert ground(page) > 600
    page.reload()
    assert ground(page) > 600
    context.close()


@pytest.mark.parametrize("width", [320, 390, 760, 900, 1280])
def test_nothing_sticks_out_at_the_side(page: Page, bound_stand: Stand, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for language in Language:
        bound_stand.send(language=language)
    bound_stand.send("+201001234567", channel="whatsapp")
    open_handset(page, bound_stand)
    expect(page.locator("#code")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_code_is_copied_without_scrolling(page: Page, stand: Stand) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    stand.send(code="482913")
    open_handset(page, stand)
    expect(page.get_by_role("button", name="Copy 482913")).to_be_in_viewport()
