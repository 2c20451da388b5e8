"""Opening the handset in the browser, and seeing what stays there only for a moment.

It must not know what a test looks for.
"""

from playwright.sync_api import JSHandle, Page, expect

from apps.accounts.tests.dev.stands import Stand


def open_handset(page: Page, stand: Stand, *, fragment: str = "") -> None:
    """Open the page of `stand` and wait until it has asked once."""
    page.goto(f"{stand.url}/dev/phone/{fragment}")
    expect(page.locator("#live-text")).to_have_text("Live")


def texts_of(page: Page, selector: str) -> JSHandle:
    """Return a list of every text that `selector` takes from now on, however soon it takes another."""
    return page.evaluate_handle(
        """(selector) => {
            const texts = [];
            new MutationObserver((changes) => {
                for (const { target } of changes) if (target.matches(selector)) texts.push(target.textContent);
            }).observe(document.body, { childList: true, subtree: true });
            return texts;
        }""",
        selector,
    )


def wait_for_text(page: Page, texts: JSHandle, word: str) -> None:
    """Wait until one of `texts` holds `word`."""
    page.wait_for_function("([texts, word]) => texts.some((text) => text.includes(word))", arg=[texts, word])
