"""The doctor's findings, each brought about by the configuration that deserves it."""

from collections.abc import Iterator
from datetime import date

import pytest

from apps.accounts import config
from apps.accounts.config import Config
from apps.accounts.models import Challenge, MinuteCount
from apps.accounts.providers.base import Carries
from apps.accounts.services import statements
from apps.ops.doctor import addresses, gateways, guessing, sending
from apps.ops.doctor.findings import Finding, Level
from conftest import BASE_ENVIRON, Api, BuildRooms, RecordingGateway

TODAY = date(2027, 1, 1)


def configured(**environ: str) -> Config:
    return config.load({**BASE_ENVIRON, **environ})


def by_code(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.code: finding for finding in findings}


class TestGuessing:
    def test_one_accounts_chance_follows_from_the_limits_and_shows_its_arithmetic(self) -> None:
        found = by_code(guessing.look(configured()))["guess_one_account"]
        assert found.level is Level.NOTE
        assert found.figures["chance"] == pytest.approx(1.4e-4, rel=0.01)
        assert "one in 7,143" in found.says
        assert any("1 - (1 - 1/1,000,000)^(100 + 2·20) = 1.40e-04" in line for line in found.lines)

    def test_fewer_sends_and_tries_make_it_less_likely(self) -> None:
        strict = guessing.of_one_account(
            configured(
                OTP_MAX_PER_WINDOW="1", OTP_WINDOW_MINUTES="1440", OTP_MAX_ATTEMPTS="3", OTP_MAX_FAILURES_PER_DAY="3"
            )
        )
        assert (strict.sends, strict.by_challenge, strict.by_phone) == (1, 3, 3)
        assert strict.chance == pytest.approx(9e-6, rel=0.01)

    def test_a_looser_count_of_wrong_codes_is_a_warning(self) -> None:
        found = by_code(guessing.look(configured(OTP_MAX_FAILURES_PER_DAY="90")))["guess_one_account"]
        assert found.level is Level.WARNING

    def test_no_send_limit_still_ends_at_a_shut_lane(self) -> None:
        one = guessing.of_one_account(configured(OTP_MAX_PER_WINDOW="0", OTP_RESEND_COOLDOWN_SECONDS="0"))
        assert one.by_challenge == 100

    def test_any_accounts_chance_is_sends_times_tries_over_codes(self) -> None:
        found = by_code(guessing.look(configured()))["guess_any_account"]
        # 864,000 sends x 5 tries by challenge, and 432,000 by phone alone, each compared with two codes
        assert found.figures["expected"] == pytest.approx((864_000 * 5 + 432_000 * 2) / 1e6)
        assert found.level is Level.WARNING
        assert any("OTP_GLOBAL_MAX_PER_MINUTE=46" in line for line in found.lines)

    def test_the_figure_it_names_is_enough(self) -> None:
        found = by_code(guessing.look(configured(OTP_GLOBAL_MAX_PER_MINUTE="46")))["guess_any_account"]
        assert found.figures["expected"] < 1
        assert found.level is Level.NOTE

    def test_an_enforced_budget_bounds_it_and_an_observed_one_does_not(self) -> None:
        environ = {"OTP_DAILY_SPEND_LIMIT": "200", "OTP_ALLOWED_COUNTRIES": "SA"}
        observed = guessing.of_all_accounts(configured(**environ))
        enforced = guessing.of_all_accounts(configured(**environ, OTP_GUARD_MODE="enforce"))
        assert observed.expected > 5
        assert enforced.sends == 2500  # by the cheapest channel, WhatsApp at 0.08
        assert enforced.expected == pytest.approx(2500 * 5 * 3 / 1e6)

    def test_without_a_limit_of_the_whole_service_nothing_bounds_it(self) -> None:
        found = by_code(guessing.look(configured(OTP_GLOBAL_MAX_PER_MINUTE="0")))["guess_any_account"]
        assert (found.level, found.figures["expected"]) == (Level.WARNING, None)


@pytest.mark.django_db(transaction=True)
class TestAddresses:
    @pytest.mark.parametrize("cidrs", ["0.0.0.0/0", "::/0", "10.0.0.0/8,0.0.0.0/0", "203.0.0.0/8"])
    def test_trusting_the_internet_lets_anybody_choose_an_address(self, cidrs: str) -> None:
        found = by_code(addresses.look(configured(TRUSTED_PROXY_CIDRS=cidrs)))["forged_forwarded_for"]
        assert found.level is Level.ERROR
        assert "changes a caller's bucket" in found.says

    def test_trusting_only_a_proxy_changes_nothing_for_callers(self) -> None:
        found = by_code(addresses.look(configured(TRUSTED_PROXY_CIDRS="10.1.2.3/32")))
        assert found["forged_forwarded_for"].level is Level.NOTE
        assert any("counts as 203.0.113.7" in line for line in found["forged_forwarded_for"].lines)
        assert "wide_trusted_proxies" not in found

    def test_a_wide_private_network_is_told(self) -> None:
        assert "wide_trusted_proxies" in by_code(addresses.look(configured(TRUSTED_PROXY_CIDRS="10.0.0.0/8")))

    def test_a_proxy_that_is_not_named_is_everybody(self) -> None:
        found = by_code(addresses.look(configured(PUBLIC_BASE_URL="https://login.example.com")))
        assert found["no_trusted_proxy"].level is Level.WARNING

    def test_without_a_proxy_the_header_is_not_read_and_underscores_are_explained(self) -> None:
        found = by_code(addresses.look(configured()))
        assert found["forged_forwarded_for"].level is Level.NOTE
        assert "X_Forwarded_For" in found["underscored_headers"].says

    def test_five_per_address_refuses_carriers_and_a_figure_is_named(self) -> None:
        found = by_code(addresses.look(configured()))["address_limit_refuses_carriers"]
        assert (found.level, found.figures["figure"]) == (Level.WARNING, 50)
        assert "CGNAT" in found.says
        assert "Set it to 50" in found.says

    def test_the_figure_follows_what_was_seen(self, build_rooms: BuildRooms, api: Api) -> None:
        rooms = build_rooms(PHONE_AUTH_IP_MAX_PER_WINDOW="0")
        rooms.begin_a_stretch(3600)  # people are counted by the hour
        for number in range(3):
            phone = f"+96650123{number:04d}"
            api.post("/api/auth/phone/request/", {"phone_number": phone})
            api.post("/api/auth/phone/verify/", {"phone_number": phone, "otp": rooms.gateway.last_code})
        Challenge.objects.filter(status="verified").update(ip="198.51.100.7")
        one = Challenge.objects.first()
        assert one is not None
        Challenge.objects.bulk_create(
            Challenge(
                code_id=one.code_id, phone=f"+9665099{n:05d}", purpose="login", status="verified", ip="198.51.100.7",
                support_code="X", created_at=one.created_at,
            )
            for n in range(57)
        )  # fmt: skip
        MinuteCount.objects.create(minute=statements.now(), name="refused", label="rate_limited/ip", count=8)
        found = by_code(addresses.look(configured(PHONE_AUTH_IP_MAX_PER_WINDOW="50")))
        told = found["address_limit_refuses_carriers"].figures
        assert (told["busiest"], told["figure"], told["refused"]) == (60, 120, 8)
        assert "address_limit" in by_code(addresses.look(configured(PHONE_AUTH_IP_MAX_PER_WINDOW="120")))


class TestSending:
    def test_an_empty_country_list_is_a_warning(self) -> None:
        assert by_code(sending.look(configured()))["every_country"].level is Level.WARNING
        assert "every_country" not in by_code(sending.look(configured(OTP_ALLOWED_COUNTRIES="SA,AE")))

    def test_the_life_of_a_code_is_held_against_nist(self) -> None:
        found = by_code(sending.look(configured()))["code_life"]
        assert (found.level, found.figures["seconds"], found.figures["nist"]) == (Level.NOTE, 600, 600)
        assert "phish" in found.says
        assert "phish" not in by_code(sending.look(configured(OTP_EXPIRY_MINUTES="5")))["code_life"].says

    def test_a_budget_that_nobody_enforces_is_a_warning(self) -> None:
        for environ in ({"OTP_DAILY_SPEND_LIMIT": "50"}, {"OTP_COUNTRY_SPEND_LIMITS": "SA=5"}):
            assert by_code(sending.look(configured(**environ)))["budget_not_enforced"].level is Level.WARNING
            enforced = configured(**environ, OTP_GUARD_MODE="enforce")
            assert "budget_not_enforced" not in by_code(sending.look(enforced))

    def test_the_worst_day_is_worked_out_from_the_dearest_country(self) -> None:
        found = by_code(sending.look(configured(OTP_ALLOWED_COUNTRIES="US")))["worst_day"]
        assert found.figures["worst"] == pytest.approx(600 * 1440 * 0.02)

    @pytest.mark.parametrize(
        "name",
        [
            "OTP_MAX_PER_WINDOW",
            "OTP_RESEND_COOLDOWN_SECONDS",
            "PHONE_AUTH_IP_MAX_PER_WINDOW",
            "PHONE_AUTH_DEVICE_MAX_PER_WINDOW",
            "OTP_GLOBAL_MAX_PER_MINUTE",
        ],
    )
    def test_each_limit_that_is_off_is_named(self, name: str) -> None:
        found = [one for one in sending.look(configured(**{name: "0"})) if one.code == "limit_off"]
        assert [one.figures["name"] for one in found] == [name]

    def test_telling_who_has_an_account_is_a_warning(self) -> None:
        assert "discloses_accounts" in by_code(sending.look(configured(OTP_DISCLOSE_NEW_USER="True")))


class TestGateways:
    def test_one_gateway_alone_is_a_warning_and_two_are_not(self, build_rooms: BuildRooms) -> None:
        alone = by_code(gateways.look(build_rooms().services))["no_fallback"]
        assert (alone.level, alone.figures["gateway"], alone.figures["regions"]) == (Level.WARNING, "twilio", ["*"])
        both = build_rooms(
            gateways=[RecordingGateway(), RecordingGateway(name="authentica")],
            OTP_FALLBACK_PROVIDERS="authentica",
            AUTHENTICA_API_KEY="key",
        )
        assert "fallbacks" in by_code(gateways.look(both.services))

    def test_a_country_whose_own_route_has_one_gateway_is_named(self, build_rooms: BuildRooms) -> None:
        rooms = build_rooms(
            gateways=[RecordingGateway(), RecordingGateway(name="authentica")],
            OTP_ROUTES="SA=authentica;*=twilio,authentica",
            AUTHENTICA_API_KEY="key",
        )
        assert by_code(gateways.look(rooms.services))["no_fallback"].figures["regions"] == ["SA"]

    def test_a_route_without_any_gateway_is_an_error(self, build_rooms: BuildRooms) -> None:
        rooms = build_rooms(gateways=[])
        assert by_code(gateways.look(rooms.services))["no_gateway"].level is Level.ERROR

    def test_no_gateway_for_notices_is_a_warning(self, build_rooms: BuildRooms) -> None:
        mute = RecordingGateway(carries=frozenset({Carries.CODE}))
        found = by_code(gateways.look(build_rooms(gateways=[mute]).services))
        assert found["no_notices"].level is Level.WARNING
        assert "no_notices" not in by_code(gateways.look(build_rooms().services))
