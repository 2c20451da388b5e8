"""Prices and budgets: what a message costs, and when the money is gone."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import phonenumbers
import pytest

from apps.accounts import config, prices
from apps.accounts.models import GuardDecision, GuardStanding
from apps.accounts.services import spend, statements
from apps.accounts.services.guard_policy import State
from apps.accounts.services.guard_stats import midnight
from apps.accounts.services.spend import Account, Budgets, budget_ruling
from apps.accounts.tests.guard.world import HOME, NEIGHBOUR, World, people
from conftest import BASE_ENVIRON, Api, BuildRooms

NOW = datetime(2027, 3, 1, 15, 30, tzinfo=UTC)
MIDNIGHT = datetime(2027, 3, 2, tzinfo=UTC)
REQUEST = "/api/auth/phone/request/"


def table(tmp_path: Path, text: str) -> str:
    path = tmp_path / "prices.csv"
    path.write_text("region,channel,price\n" + text)
    return str(path)


def test_the_shipped_table_has_every_region_and_says_how_sure_it_is() -> None:
    found = prices.load()
    regions = {region for region, channel in found.prices if channel == "sms"} - {"*"}
    assert regions == set(phonenumbers.SUPPORTED_REGIONS)
    assert all(10_000 <= price <= 500_000 for price in found.prices.values())
    assert "no vendor's prices" in re.sub(r"\n# ?", " ", prices.SHIPPED.read_text())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "must begin"),
        ("region,channel,price\n", r"needs a line \*,sms"),
        ("region,channel,price\n*,sms,0.1\n", r"needs a line \*,whatsapp"),
        ("region,channel,price\nSAU,sms,0.1\n", "line 2 must begin"),
        ("region,channel,price\nSA,fax,0.1\n", "line 2 must name a channel"),
        ("region,channel,price\nSA,sms,-1\n", "line 2 must end with a price"),
        ("region,channel,price\nSA,sms\n", "line 2 must hold three"),
        ("region,channel,price\nSA,sms,1\nsa,sms,2\n", "twice"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(text: str, fault: str) -> None:
    with pytest.raises(prices.BadPriceTable, match=fault):
        prices.parse(text)


def test_comments_and_blank_lines_are_passed_over() -> None:
    found = prices.parse("# ours\n\nregion,channel,price\n*,sms,0.1\n # more\n*,whatsapp,0.05\nSA,sms,0.2\n")
    assert (found.of("SA", "sms"), found.of("SA", "whatsapp"), found.of("ZW", "sms")) == (200_000, 50_000, 100_000)
    assert found.dearest("SA") == 200_000


def test_a_wrong_price_table_stops_the_start_by_name(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigurationError) as caught:
        config.load({**BASE_ENVIRON, "OTP_PRICE_TABLE": str(tmp_path / "nowhere.csv")})
    assert any(fault.startswith("OTP_PRICE_TABLE") for fault in caught.value.faults)


def account(**changes: int) -> Account:
    return replace(Account(spent=0, messages=0, since_counted=0, dearest=100_000), **changes)


def test_a_large_budget_is_left_alone_until_its_last_thousand_messages() -> None:
    budget = 1_000_000_000
    assert budget_ruling(None, "*", account(spent=500_000_000, messages=5000), budget, now=NOW) is None
    ends = budget_ruling(None, "*", account(spent=930_000_000, messages=9300), budget, now=NOW)
    assert ends is not None
    assert (ends.standing.state, ends.standing.cap, ends.standing.until) == (State.SLOW, 700, MIDNIGHT.timestamp())


def test_a_budget_that_is_gone_is_gone_until_midnight() -> None:
    gone = budget_ruling(None, "SA", account(spent=950_000, messages=10), 1_000_000, now=NOW)
    assert gone is not None
    assert (gone.standing.state, gone.standing.until) == (State.PAUSED, MIDNIGHT.timestamp())
    assert budget_ruling(gone.standing, "SA", account(spent=950_000, messages=10), 1_000_000, now=NOW) is None
    tomorrow = NOW + timedelta(days=1)
    assert budget_ruling(gone.standing, "SA", account(), 1_000_000, now=tomorrow) is None


def test_cheap_messages_that_left_money_over_are_counted_anew() -> None:
    held = budget_ruling(None, "*", account(spent=400_000, messages=10), 1_000_000, now=NOW)
    assert held is not None
    assert held.standing.cap == 6
    again = budget_ruling(held.standing, "*", account(spent=700_000, messages=16, since_counted=6), 1_000_000, now=NOW)
    assert again is not None
    assert (again.standing.state, again.standing.cap) == (State.SLOW, 3)


def test_a_raised_budget_opens_at_once() -> None:
    gone = budget_ruling(None, "*", account(spent=1_000_000, messages=10), 1_000_000, now=NOW)
    assert gone is not None
    opened = budget_ruling(gone.standing, "*", account(spent=1_000_000, messages=10), 900_000_000, now=NOW)
    assert opened is not None
    assert opened.standing.state is State.OPEN


def test_a_budget_that_was_raised_while_it_was_counted_is_counted_anew() -> None:
    held = budget_ruling(None, "*", account(spent=400_000, messages=10), 1_000_000, now=NOW)
    assert held is not None
    now = account(spent=500_000, messages=12, since_counted=2)
    assert budget_ruling(held.standing, "*", now, 1_000_000, now=NOW) is None
    again = budget_ruling(held.standing, "*", now, 50_000_000, now=NOW)
    assert again is not None
    assert again.standing.cap == 495


def test_a_countrys_own_budget_goes_before_that_of_all_others() -> None:
    budgets = Budgets(whole=5, countries={"SA": 3, "*": 1})
    assert (budgets.of("*"), budgets.of("SA"), budgets.of("AE")) == (5, 3, 1)
    assert spend.messages_left(1_000_000, 950_000, 100_000) == 0


@pytest.mark.django_db(transaction=True)
class TestSends:
    def test_a_gone_country_budget_refuses_that_country_only(
        self, build_rooms: BuildRooms, api: Api, tmp_path: Path
    ) -> None:
        rooms = build_rooms(
            OTP_GUARD_MODE="enforce",
            OTP_COUNTRY_SPEND_LIMITS="SA=1,*=50",
            OTP_PRICE_TABLE=table(tmp_path, "*,sms,0.5\n*,whatsapp,0.5\n"),
            PHONE_AUTH_IP_MAX_PER_WINDOW="0",
        )
        rooms.begin_a_stretch(86_400)
        answers = [api.post(REQUEST, {"phone_number": f"+96650123{n:04d}"}) for n in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 403, 403]
        assert answers[2].json()["code"] == "country_not_allowed"
        assert api.post(REQUEST, {"phone_number": "+971501234567"}).status_code == 200
        assert len(rooms.gateway.orders) == 3

    def test_a_gone_budget_of_the_service_is_service_unavailable_with_a_wait(
        self, build_rooms: BuildRooms, api: Api, tmp_path: Path
    ) -> None:
        rooms = build_rooms(
            OTP_GUARD_MODE="enforce",
            OTP_DAILY_SPEND_LIMIT="1.2",
            OTP_PRICE_TABLE=table(tmp_path, "*,sms,0.5\n*,whatsapp,0.5\n"),
            PHONE_AUTH_IP_MAX_PER_WINDOW="0",
        )
        rooms.begin_a_stretch(86_400)
        answers = [api.post(REQUEST, {"phone_number": f"+96650123{n:04d}"}) for n in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 503]
        assert answers[2].json()["code"] == "service_unavailable"
        assert 1 <= int(answers[2]["Retry-After"]) <= 3600
        rooms.services.guard_judge.judge()
        assert GuardStanding.objects.get(kind="budget").state == "paused"
        assert GuardDecision.objects.get(kind="budget").reason == "budget_gone"
        rooms.services.guard.forget()
        assert api.post(REQUEST, {"phone_number": "+966501239999"}).status_code == 503
        rooms.clock.advance(seconds=86_400)
        rooms.services.guard.forget()
        assert api.post(REQUEST, {"phone_number": "+966501239999"}).status_code == 200

    def test_observing_stops_nothing_and_writes_down_that_the_money_is_gone(
        self, build_rooms: BuildRooms, api: Api, tmp_path: Path
    ) -> None:
        rooms = build_rooms(
            OTP_DAILY_SPEND_LIMIT="1",
            OTP_PRICE_TABLE=table(tmp_path, "*,sms,0.5\n*,whatsapp,0.5\n"),
            PHONE_AUTH_IP_MAX_PER_WINDOW="0",
        )
        rooms.begin_a_stretch(86_400)
        for number in range(4):
            assert api.post(REQUEST, {"phone_number": f"+96650123{number:04d}"}).status_code == 200
            rooms.services.guard_judge.judge()
        assert (GuardDecision.objects.get().mode, GuardDecision.objects.get().after) == ("observe", "paused")

    def test_a_limiter_that_forgot_everything_does_not_double_the_budget(
        self, build_rooms: BuildRooms, api: Api, tmp_path: Path
    ) -> None:
        environ = {
            "OTP_GUARD_MODE": "enforce",
            "OTP_DAILY_SPEND_LIMIT": "2",
            "OTP_PRICE_TABLE": table(tmp_path, "*,sms,0.5\n*,whatsapp,0.5\n"),
            "PHONE_AUTH_IP_MAX_PER_WINDOW": "0",
        }
        rooms = build_rooms(**environ)
        rooms.begin_a_stretch(86_400)
        day = rooms.clock.offset_seconds
        for number in range(4):
            api.post(REQUEST, {"phone_number": f"+96650123{number:04d}"})
        rooms = build_rooms(**environ)  # a new limiter, as after a flushed Redis
        rooms.clock.advance(seconds=day)
        rooms.services.guard_judge.judge()
        assert api.post(REQUEST, {"phone_number": "+966501239999"}).status_code == 503

    def test_a_days_money_is_counted_across_hours(self, build_rooms: BuildRooms, tmp_path: Path) -> None:
        rooms = build_rooms(
            OTP_GUARD_MODE="enforce",
            OTP_COUNTRY_SPEND_LIMITS="SA=6",
            OTP_PRICE_TABLE=table(tmp_path, "*,sms,0.1\n*,whatsapp,0.1\n"),
        )
        noon = 12 * 3600 - (statements.now() - midnight(statements.now())).total_seconds() % 86_400
        rooms.clock.advance(seconds=noon % 86_400)
        world = World(rooms, judge_every=60)
        tallies = world.play(
            [
                *people(world.chance, until=5400, every=60, prefix=HOME),
                *people(world.chance, until=5400, every=400, prefix=NEIGHBOUR, who="neighbours"),
            ]
        )
        assert tallies["people"].asked > 70
        assert tallies["people"].sent == 60
        assert tallies["neighbours"].refused == {}
