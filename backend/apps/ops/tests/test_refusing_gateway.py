"""A gateway that is up and says no to everybody, as to a wrong template: no state tells it, so the headline must."""

import pytest

from apps.accounts.providers.base import Receipt, Rejected
from apps.ops.board import board
from apps.ops.dashboard import dashboard
from apps.ops.staff import situation
from apps.ops.staff.headline import Headline, Level, headline
from conftest import Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST = "/api/auth/phone/request/"


def told() -> Headline:
    dashboard().forget()
    return headline(situation.read(dashboard(), board()))


def ask(api: Api, *numbers: int) -> list[int]:
    return [api.post(REQUEST, {"phone_number": f"+9665012340{number:02}"}).status_code for number in numbers]


@pytest.fixture
def main(build_rooms: BuildRooms) -> Rooms:
    return build_rooms(
        OTP_PROVIDER="authentica", AUTHENTICA_API_KEY="k", OTP_FALLBACK_PROVIDERS="twilio",
        PHONE_AUTH_IP_MAX_PER_WINDOW="0",
        gateways=[RecordingGateway("authentica"), RecordingGateway("twilio")],
    )  # fmt: skip


def test_it_is_named_once_it_has_said_no_eight_times_in_a_row(main: Rooms, api: Api) -> None:
    main.gateways["authentica"].always = Rejected("http_302")
    assert ask(api, *range(7)) == [200] * 7
    assert told().sentence == "Login is working."
    assert ask(api, 7) == [200]
    found = told()
    assert (found.level, found.sentence) == (Level.DEGRADED, "Login is working, without Authentica.")
    assert "says no to every code" in found.because[0]
    assert "8 tries" in found.because[0]


def test_one_yes_between_the_noes_says_that_single_numbers_are_refused(main: Rooms, api: Api) -> None:
    no, yes = Rejected("http_422"), Receipt(vendor_id="")
    main.gateways["authentica"].script = [*[no] * 5, yes, *[no] * 5]
    ask(api, *range(11))
    assert told().sentence == "Login is working."


def test_it_is_forgotten_with_the_first_yes(main: Rooms, api: Api) -> None:
    main.gateways["authentica"].script = [Rejected("http_422")] * 9
    ask(api, *range(9))
    assert told().sentence == "Login is working, without Authentica."
    ask(api, 9)
    assert told().sentence == "Login is working."


def test_with_nobody_else_login_is_not_working_and_the_headline_does_not_wait_to_say_so(main: Rooms, api: Api) -> None:
    for name in ("authentica", "twilio"):
        main.gateways[name].always = Rejected("http_422")
    assert ask(api, *range(8)) == [503] * 8
    assert told().sentence == "Login is not working: Authentica and Twilio say no to every code."
