"""The staff's page in a real browser, with a running service, real traffic and real faults behind it.

Long because one stage, which is dear to build, serves all of it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from fakegateways.handle import FakeGateways
from rig import browsing
from rig.around import call, eventually
from rig.faults import PrivateRedis
from rig.ground import REQUEST, VERIFY, by_twilio, new_phone, require_stores
from rig.service import RunningService

pytestmark = pytest.mark.servers
PATH = "/admin/sms/otp"
# The page asks every five seconds; a busy machine takes its time beside.
SOON = 60_000


@dataclass(frozen=True, slots=True)
class Stage:
    service: RunningService
    fake: FakeGateways
    redis: PrivateRedis


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    require_stores()
    redis = PrivateRedis()
    redis.start()
    try:
        with FakeGateways() as fake:
            environ = by_twilio(
                fake,
                OTP_FALLBACK_PROVIDERS="authentica",
                AUTHENTICA_API_KEY="fake-authentica-key",
                AUTHENTICA_BASE_URL=fake.authentica_url,
                AUTHENTICA_TEMPLATE_ID="1",
                REDIS_URL=redis.url,
                DATABASE_POOL_MAX="5",
                APP_VERSION="7.8",
            )
            service = RunningService(environ=environ)
            browsing.prepare(service)
            with service:
                browsing.hire(service)
                yield Stage(service, fake, redis)
    finally:
        redis.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as running:
        yield running


@pytest.fixture(scope="module")
def cookies(stage: Stage, browser: Browser) -> str:
    """A session of the staff, as the browser got it from the login that the page led to."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(stage.service.url + PATH)
    assert "/admin/login/" in page.url
    browsing.log_in(page)
    expect(page).to_have_url(stage.service.url + PATH)
    kept = context.storage_state()
    context.close()
    return kept  # type: ignore[return-value]


@pytest.fixture
def context(browser: Browser, cookies: str) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB", storage_state=cookies)
    context.set_default_timeout(SOON)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, stage: Stage) -> Iterator[Page]:
    """The page, open; any error of a script or of the content policy fails the test."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    look(page, stage)
    yield page
    assert [line for line in complaints if not line.startswith("Failed to load resource")] == []


def look(page: Page, stage: Stage) -> None:
    page.goto(stage.service.url + PATH)
    expect(page.locator("#live-text")).to_have_text("Live", timeout=SOON)


def ask(stage: Stage, phone: str) -> int:
    """Ask for a code as a new client; the browser's own loop runs in this thread, so no race is to be had here."""
    return call(stage.service, "POST", REQUEST, {"phone_number": phone})[0]


def log_in(stage: Stage) -> None:
    phone = new_phone()
    assert ask(stage, phone) == 200
    code = stage.fake.wait_for_message(phone).code
    assert call(stage.service, "POST", VERIFY, {"phone_number": phone, "otp": code})[0] == 200


def state(page: Page, gateway: str) -> str:
    return page.locator("#gateways tbody tr", has_text=gateway).locator(".pill").inner_text()


def test_a_login_shows_by_itself_and_the_number_is_the_gateways(page: Page, stage: Stage) -> None:
    before = len([call for call in stage.fake.messages() if call.accepted])
    log_in(stage)
    expect(page.locator(".figure", has_text="Sent").locator(".value")).to_have_text(str(before + 1), timeout=SOON)
    expect(page.locator("#sentence")).to_have_text("Login is working.")
    expect(page.locator(".figure", has_text="Got in").locator(".value")).to_have_text("100%", timeout=SOON)
    assert page.locator(".chart canvas").count() == 4
    expect(page.locator("#events")).to_contain_text("Version 7.8 began to run")


def test_a_gateway_is_switched_from_the_page_and_the_next_code_goes_by_it(page: Page, stage: Stage) -> None:
    page.locator("#gateways tr", has_text="Authentica").get_by_role("button", name="Put first").click()
    dialog = page.locator("dialog#choose")
    expect(dialog.locator("select[name=provider]")).to_have_value("authentica")
    dialog.locator("input[name=note]").fill("Incident #123")
    dialog.get_by_role("button", name="Put it first").click()
    expect(page.locator("#toast")).to_contain_text("Authentica goes first")
    expect(page.locator("#doing")).to_contain_text("nora put Authentica first (“Incident #123”)", timeout=SOON)
    expect(page.locator("#events")).to_contain_text("nora put Authentica first until")
    expect(page.locator("#events")).to_contain_text("Incident #123")
    assert state(page, "Authentica") == "put first"
    assert "set aside by the choice" in page.locator("#gateways tbody tr", has_text="Twilio").inner_text()
    eventually(lambda: _gateway_of_the_next_code(stage), "authentica")
    page.get_by_role("button", name="Lift the choice").first.click()
    page.locator("dialog#unchoose input[name=note]").fill("Over")
    page.locator("dialog#unchoose .strong").click()
    expect(page.locator("#events")).to_contain_text("nora lifted the choice of Authentica", timeout=SOON)
    eventually(lambda: _gateway_of_the_next_code(stage), "twilio")


def test_a_number_is_blocked_and_lifted_from_the_page(page: Page, stage: Stage) -> None:
    phone = new_phone()
    page.get_by_role("button", name="Block…").click()
    dialog = page.locator("dialog#block")
    dialog.locator("input[name=value]").fill("05012")
    dialog.locator("input[name=note]").fill("Incident #124")
    dialog.locator(".strong").click()
    expect(dialog.locator(".fault")).to_have_text(
        "Value: Use a whole number in the international format, such as +9665XXXXXXXX."
    )
    dialog.locator("select[name=expires_in]").select_option(label="until it is lifted")
    dialog.locator("input[name=value]").fill(phone)
    dialog.locator(".strong").click()
    expect(page.locator("#blocks")).to_contain_text("Incident #124", timeout=SOON)
    expect(page.locator("#blocks tr", has_text="Incident #124").locator("[data-label=Until]")).to_have_text(
        "until lifted"
    )
    assert phone not in page.content()
    eventually(lambda: ask(stage, phone), 403)
    page.locator("#blocks tr", has_text="Incident #124").get_by_role("button", name="Lift…").click()
    page.locator("dialog#lift input[name=note]").fill("Checked")
    page.locator("dialog#lift .strong").click()
    expect(page.locator("#blocks")).to_contain_text("Nothing is blocked.", timeout=SOON)
    eventually(lambda: ask(stage, phone), 200)


def test_notices_lower_no_share_and_a_choice_that_ended_by_itself_is_an_event(page: Page) -> None:
    def told(route: Route) -> None:
        answer = route.fetch()
        now = answer.json()
        row = next(one for one in now["providers"] if one["name"] == "twilio" and one["channel"] == "sms")
        row |= {"sent": 8, "codes_sent": 4, "verified": 3}
        told = {
            "kind": "operator",
            "event": "gateway.expired",
            "subject": "twilio",
            "by": "nora",
            "note": "",
            "detail": {},
        }
        now["events"].insert(0, {"at": now["at"], **told})
        now["refusals"] = [{"code": "too_many_attempts", "scope": "phone_early", "count": 3}]
        route.fulfill(response=answer, json=now)

    page.route("**/admin/sms/otp/data*", told)
    expect(page.locator("#events")).to_contain_text("The choice of Twilio by nora ended by itself", timeout=SOON)
    twilio = page.locator("#gateways tbody tr", has_text="Twilio").first
    expect(twilio.locator("[data-label='Got in']")).to_have_text("75%")
    expect(page.locator("#refusals")).to_contain_text("Too many wrong codes, by number alone, too fast")


def test_a_gateway_that_fails_is_named_with_what_is_done_about_it(page: Page, stage: Stage) -> None:
    stage.fake.script("twilio", "unauthorized")
    log_in(stage)
    expect(page.locator("#sentence")).to_have_text("Login is working, without Twilio.", timeout=SOON)
    expect(page.locator("#because")).to_contain_text("Twilio is misconfigured since")
    expect(page.locator("#doing")).to_contain_text("Codes go by Authentica.")
    assert page.locator("#headline").get_attribute("data-level") == "degraded"
    expect(page.locator("#failures")).to_contain_text("misconfigured")
    stage.fake.lift("twilio")


def test_with_redis_gone_the_page_works_and_says_so(page: Page, stage: Stage) -> None:
    stage.redis.kill()
    try:
        log_in(stage)
        expect(page.locator("#because")).to_contain_text("Redis does not answer.", timeout=SOON)
        expect(page.locator("#doing")).to_contain_text("no limit is off")
        expect(page.locator("#live-text")).to_have_text("Live")
    finally:
        stage.redis.start()


def test_numbers_that_are_old_are_called_old(page: Page) -> None:
    page.route("**/admin/sms/otp/data*", lambda route: route.abort())
    expect(page.locator("#live-text")).to_contain_text("No connection; numbers of", timeout=SOON)


def test_with_the_database_gone_the_open_page_says_that_nobody_can_log_in(page: Page) -> None:
    page.route("**/admin/sms/otp/data*", lambda route: route.fulfill(status=503, json={"code": "service_unavailable"}))
    page.route("**/otp/status", lambda route: route.fulfill(json={"status": "down", "database": "unavailable"}))
    expect(page.locator("#sentence")).to_have_text("Login is not working: the database does not answer.", timeout=SOON)
    assert page.locator("#headline").get_attribute("data-level") == "down"
    expect(page.locator("#because")).to_have_text(re.compile("^PostgreSQL refuses the service or does not answer it"))
    expect(page.locator("#doing")).to_contain_text("docs/runbooks/database-loss-and-restore.md")
    expect(page.locator("#doing")).not_to_contain_text("Switch the gateway")
    page.unroute_all()
    expect(page.locator("#live-text")).to_have_text("Live", timeout=SOON)
    expect(page.locator("#sentence")).not_to_contain_text("database")


def test_a_page_that_is_opened_without_a_database_says_so_and_comes_back_by_itself(
    context: BrowserContext, stage: Stage
) -> None:
    page = context.new_page()
    stage.service.shut_database()
    try:
        page.goto(stage.service.url + PATH)
        expect(page.locator("h1")).to_have_text("Login is not working: the database does not answer.")
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        pale = [(text, contrast) for text, contrast in page.evaluate(browsing.CONTRASTS) if contrast < 4.5]
        assert pale == []
        keys = call(stage.service, "GET", "/.well-known/jwks.json")
        assert keys[0] == 200
    finally:
        stage.service.open_database()
    expect(page.locator("#live-text")).to_have_text("Live", timeout=2 * SOON)


def test_a_session_that_ended_leads_to_the_login(page: Page, context: BrowserContext) -> None:
    context.clear_cookies()
    page.wait_for_url("**/admin/login/**", timeout=SOON)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_text_can_be_read_and_nothing_sticks_out(
    browser: Browser, cookies: str, stage: Stage, scheme: str, width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, storage_state=cookies, locale="en-GB"  # type: ignore[arg-type]
    )  # fmt: skip
    page = context.new_page()
    look(page, stage)
    pale = [(text, round(contrast, 2)) for text, contrast in page.evaluate(browsing.CONTRASTS) if contrast < 4.5]
    assert pale == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_the_switch_between_light_and_dark_outlives_a_reload(page: Page, stage: Stage) -> None:
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    look(page, stage)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_another_window_is_asked_for_and_stays_in_the_address(page: Page, stage: Stage) -> None:
    page.get_by_role("button", name="24h").click()
    expect(page.locator("#per-codes")).to_have_text("per 15 minutes")
    assert page.url.endswith("?window=24h")


def test_the_charts_are_also_a_table(page: Page) -> None:
    page.get_by_text("The charts as numbers").click()
    expect(page.locator("#numbers tbody tr").first).to_be_visible()
    assert page.locator("#numbers tbody tr").count() >= 60


def _gateway_of_the_next_code(stage: Stage) -> str:
    phone = new_phone()
    assert ask(stage, phone) == 200
    return stage.fake.wait_for_message(phone).vendor
