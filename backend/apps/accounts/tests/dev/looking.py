"""Opening the handset in the browser."""

from playwright.sync_api import Page, expect

from apps.accounts.tests.dev.stands import Stand


def open_handset(page: Page, stand: Stand, *, fragment: str = "") -> None:
    """Open the page of `stand` and wait until it has asked once."""
    page.goto(f"{stand.url}/dev/phone/{fragment}")
    expect(page.locator("#live-text")).to_have_text("Live")
