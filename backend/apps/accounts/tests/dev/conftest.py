"""The stands of these tests, and the browser that looks at them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from apps.accounts.messages import TextOptions
from apps.accounts.tests.dev.stands import Stand, serve

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
PLAIN = TextOptions("Salon")
BOUND = TextOptions("Salon", "login.salon.example", "FA+9qCX9VSu")


@pytest.fixture(scope="module")
def _plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with serve(tmp_path_factory.mktemp("plain"), PLAIN) as stand:
        yield stand


@pytest.fixture(scope="module")
def _bound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with serve(tmp_path_factory.mktemp("bound"), BOUND) as stand:
        yield stand


@pytest.fixture
def stand(_plain: Stand) -> Stand:
    """A stand whose texts have no machine lines, empty."""
    _plain.outbox.clear()
    return _plain


@pytest.fixture
def bound_stand(_bound: Stand) -> Stand:
    """A stand whose texts carry both machine lines, empty."""
    _bound.outbox.clear()
    return _bound


# The module's scope, not the session's: playwright's loop runs in this thread while it is open, and Django refuses
# the database to a thread with a running loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        reason = f"no browser at {CHROMIUM}: install Debian's chromium, or name one in CHROMIUM"
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=60_000)  # a busy machine takes its time
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            headless=True,
            timeout=120_000,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which any error of a script or of the content policy fails the test."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    yield page
    # A test that takes the network away, or asks for a refusal, expects the browser's note of it.
    assert [line for line in complaints if not line.startswith("Failed to load resource")] == []
