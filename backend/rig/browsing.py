"""A browser that looks at a running service, and a member of staff who may.

It must not know what is looked at.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from rig.service import BACKEND, RunningService

CHROMIUM: Final = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
STAFF: Final = ("nora", "staff-of-the-rig-1")

# Every text that can be seen, with the contrast to what it stands on.
CONTRASTS: Final = """() => {
  const parts = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, a = 1] = parts(getComputedStyle(one).backgroundColor);
      if (a === 1 && r !== undefined) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const seen = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest("noscript, .skip, .toast")) continue;
    const over = light(parts(getComputedStyle(element).color)), under = light(ground(element));
    const contrast = (Math.max(over, under) + 0.05) / (Math.min(over, under) + 0.05);
    seen.push([element.textContent.trim().slice(0, 40), contrast]);
  }
  return seen;
}"""


def prepare(service: RunningService) -> None:
    """Lay out the static files; before the service starts, which looks for them once."""
    _manage(service, "collectstatic", "--no-input", "--verbosity", "0")


def hire(service: RunningService) -> None:
    """Make the member of staff."""
    name, password = STAFF
    _manage(service, "createsuperuser", "--no-input", "--username", name, DJANGO_SUPERUSER_PASSWORD=password)


def _manage(service: RunningService, *arguments: str, **environ: str) -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "salon_api.settings", **environ}
    command = [sys.executable, str(BACKEND.parent / "manage.py"), *arguments]
    subprocess.run(command, env=service.environment() | settings, check=True, capture_output=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium; without one the tests are skipped, but on CI they fail."""
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
            timeout=120_000,  # its first start reads all of it from the disk
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


def log_in(page: Page) -> None:
    """Fill in the login that the page led to."""
    name, password = STAFF
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    page.click("input[type=submit]")
