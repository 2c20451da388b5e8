"""The vendor makes the code: messages of one challenge carry different codes, and the vendor may be out of reach."""

from typing import Any

import pytest

from apps.accounts import codes
from apps.accounts.models import Code, FailureLane
from apps.accounts.services.policy import Policy
from apps.accounts.tests.minting import MintingGateway, minting_rooms
from apps.accounts.tests.services.session_world import at_once
from apps.accounts.tests.stories.people import OTP_REQUEST, OTP_VERIFY, VERIFY, problem, wrong
from conftest import PHONE, Api, BuildRooms, Rooms, needs_postgres

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, RESEND = "/api/auth/phone/request/", "/api/auth/phone/resend/"
MOST, GIVEN_BACK = 5, 2


@pytest.fixture
def rooms(build_rooms: BuildRooms) -> Rooms:
    return minting_rooms(build_rooms)


def vendor(rooms: Rooms) -> MintingGateway:
    found = rooms.gateways["authentica"]
    assert isinstance(found, MintingGateway)
    return found


def both(rooms: Rooms, api: Api, **more: str) -> tuple[str, str, str]:
    """Send the vendor's code, then ours by a resend; return challenge, the vendor's code and ours."""
    sent = api.post(REQUEST, {"phone_number": PHONE, **more})
    assert sent.status_code == 200, sent.content
    challenge, theirs = sent.json()["challenge_id"], vendor(rooms).known[PHONE]
    rooms.clock.advance(seconds=61)
    again = api.post(RESEND, {"challenge_id": challenge})
    assert (again.status_code, again.json()["challenge_id"]) == (200, challenge), again.content
    return challenge, theirs, rooms.gateway.last_code


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was compared with a code of our own."""
    seen: list[str] = []
    equal = codes.equal

    def noted(one: str, other: str) -> bool:
        seen.append(other)
        return equal(one, other)

    monkeypatch.setattr(codes, "equal", noted)
    return seen


# --- several codes of one challenge -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["challenge", "device", "phone"])
@pytest.mark.parametrize("which", ["theirs", "ours"])
def test_whichever_message_of_a_challenge_is_read_its_code_is_good(rooms: Rooms, api: Api, by: str, which: str) -> None:
    challenge, theirs, ours = both(rooms, api, device_id="device-1")
    assert Code.objects.filter(state="open").count() == 2
    whom = {
        "phone": {"phone_number": PHONE},
        "challenge": {"challenge_id": challenge},
        "device": {"phone_number": PHONE, "device_id": "device-1"},
    }[by]
    answer = api.post(VERIFY, {**whom, "otp": {"theirs": theirs, "ours": ours}[which]})
    assert answer.status_code == 200, answer.content
    found = rooms.services.sessions.authenticate(answer.json()["access"])
    assert found.session_id == answer.json()["session_id"]
    if by != "phone":
        assert api.get(f"/api/auth/phone/challenge/{challenge}/").json()["status"] == "verified"


@pytest.mark.parametrize("which", ["theirs", "ours"])
def test_a_vendor_that_took_the_message_and_never_answered_may_have_made_a_code(
    rooms: Rooms, api: Api, which: str
) -> None:
    vendor(rooms).says_nothing = True
    sent = api.post(REQUEST, {"phone_number": PHONE})
    assert (sent.status_code, sent.json()["challenge"]["delivery"]) == (200, "accepted")
    code = {"theirs": vendor(rooms).known[PHONE], "ours": rooms.gateway.last_code}[which]
    answer = api.post(VERIFY, {"challenge_id": sent.json()["challenge_id"], "otp": code})
    assert answer.status_code == 200, answer.content


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_the_other_codes_of_a_challenge_end_with_it(rooms: Rooms, api: Api, first: str) -> None:
    challenge, theirs, ours = both(rooms, api)
    one, other = (theirs, ours) if first == "theirs" else (ours, theirs)
    assert api.post(VERIFY, {"challenge_id": challenge, "otp": one}).status_code == 200
    vendor(rooms).asked.clear()
    for whom in ({"phone_number": PHONE}, {"challenge_id": challenge}):
        assert problem(api.post(VERIFY, {**whom, "otp": other})) == (400, "invalid_otp")
    assert vendor(rooms).asked == []
    assert sorted(Code.objects.values_list("state", flat=True)) == ["dead", "used"]


@pytest.mark.parametrize("then", ["phone", "challenge"])
@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_a_login_by_phone_alone_ends_the_challenge_and_its_other_codes(
    rooms: Rooms, api: Api, first: str, then: str
) -> None:
    challenge, theirs, ours = both(rooms, api)
    one, other = (theirs, ours) if first == "theirs" else (ours, theirs)
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": one}).status_code == 200
    assert api.get(f"/api/auth/phone/challenge/{challenge}/").json()["status"] == "verified"
    whom = {"phone": {"phone_number": PHONE}, "challenge": {"challenge_id": challenge}}[then]
    assert problem(api.post(VERIFY, {**whom, "otp": other})) == (400, "invalid_otp")
    assert sorted(Code.objects.values_list("state", flat=True)) == ["dead", "used"]


def moved_beside_another(build_rooms: BuildRooms, api: Api) -> tuple[Rooms, str, str]:
    """Two ask for one vendor's code, and the first one's resend leaves with ours; return both challenges."""
    rooms = minting_rooms(build_rooms, seconds=200)
    mine = api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"]
    rooms.clock.advance(seconds=61)
    theirs = api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"]
    rooms.clock.advance(seconds=61)
    assert api.post(RESEND, {"challenge_id": mine}).status_code == 200
    return rooms, mine, theirs


def test_a_login_by_phone_alone_leaves_the_code_of_another_who_asked_for_it(build_rooms: BuildRooms, api: Api) -> None:
    rooms, mine, theirs = moved_beside_another(build_rooms, api)
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).status_code == 200
    assert api.get(f"/api/auth/phone/challenge/{mine}/").json()["status"] == "verified"
    assert api.get(f"/api/auth/phone/challenge/{theirs}/").json()["status"] == "pending"
    assert api.post(VERIFY, {"challenge_id": theirs, "otp": vendor(rooms).known[PHONE]}).status_code == 200


def test_an_earlier_code_lives_on_for_others_who_asked_for_it(build_rooms: BuildRooms, api: Api) -> None:
    rooms, mine, theirs = moved_beside_another(build_rooms, api)
    assert api.post(VERIFY, {"challenge_id": mine, "otp": rooms.gateway.last_code}).status_code == 200
    assert api.post(VERIFY, {"challenge_id": theirs, "otp": vendor(rooms).known[PHONE]}).status_code == 200


def test_a_guess_at_several_codes_is_one_try(rooms: Rooms, api: Api) -> None:
    challenge, _, ours = both(rooms, api)
    refused = api.post(VERIFY, {"challenge_id": challenge, "otp": wrong(ours)})
    assert (problem(refused), refused.json()["challenge"]["attempts_left"]) == ((400, "invalid_otp"), MOST - 1)
    assert [lane.stamps.count(",") for lane in FailureLane.objects.all()] == [0]


def test_our_code_is_good_though_a_resend_carried_it_beside_the_vendors_in_one_row(
    build_rooms: BuildRooms, api: Api
) -> None:
    rooms = minting_rooms(build_rooms, seconds=600)
    challenge, theirs, ours = both(rooms, api)
    assert Code.objects.count() == 1
    assert problem(api.post(VERIFY, {"challenge_id": challenge, "otp": wrong(ours)})) == (400, "invalid_otp")
    assert theirs != ours
    assert api.post(VERIFY, {"challenge_id": challenge, "otp": ours}).status_code == 200


def test_our_own_code_is_not_compared_where_no_gateway_carried_it(rooms: Rooms, api: Api, compared: list[str]) -> None:
    challenge = api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"]
    assert problem(api.post(VERIFY, {"challenge_id": challenge, "otp": "123456"})) == (400, "invalid_otp")
    assert compared == []
    assert vendor(rooms).asked == ["123456"]


def test_where_we_make_the_codes_a_challenge_that_moved_takes_the_new_one(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms()
    challenge = api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"]
    old = rooms.gateway.last_code
    rooms.clock.advance(seconds=500)
    assert api.post(RESEND, {"challenge_id": challenge}).status_code == 200
    assert rooms.gateway.last_code != old
    assert problem(api.post(VERIFY, {"challenge_id": challenge, "otp": old})) == (400, "invalid_otp")
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": old}).status_code == 200


# --- the vendor judges by number alone --------------------------------------------------------------------------------


def test_a_vendors_code_for_one_purpose_proves_no_other(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    login = api.post(VERIFY, {"phone_number": PHONE, "otp": vendor(rooms).known[PHONE]})
    assert login.status_code == 200, login.content
    bearer = {"authorization": f"Bearer {login.json()['access']}"}
    rooms.clock.advance(seconds=61)
    assert api.post(OTP_REQUEST, {"purpose": "step_up"}, **bearer).status_code == 200
    for_step_up = vendor(rooms).known[PHONE]
    assert problem(api.post(VERIFY, {"phone_number": PHONE, "otp": for_step_up})) == (400, "invalid_otp")
    rooms.clock.advance(seconds=61)
    sent = api.post(REQUEST, {"phone_number": PHONE})
    assert sent.status_code == 200, sent.content
    for_login = vendor(rooms).known[PHONE]
    assert for_login != for_step_up
    vendor(rooms).asked.clear()
    tried = api.post(OTP_VERIFY, {"purpose": "step_up", "otp": for_login}, **bearer)
    assert problem(tried) == (400, "invalid_otp")
    assert vendor(rooms).asked == []
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": for_login}).status_code == 200


def test_a_vendors_code_proves_what_it_was_asked_for(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    login = api.post(VERIFY, {"phone_number": PHONE, "otp": vendor(rooms).known[PHONE]}).json()
    rooms.clock.advance(seconds=61)
    bearer = {"authorization": f"Bearer {login['access']}"}
    assert api.post(OTP_REQUEST, {"purpose": "step_up"}, **bearer).status_code == 200
    done = api.post(OTP_VERIFY, {"purpose": "step_up", "otp": vendor(rooms).known[PHONE]}, **bearer)
    assert done.status_code == 200, done.content


# --- the vendor cannot be asked ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["phone", "challenge"])
def test_while_the_vendor_is_out_of_reach_our_own_code_takes_no_more_guesses(
    rooms: Rooms, api: Api, compared: list[str], by: str
) -> None:
    challenge, _, ours = both(rooms, api)
    whom = {"phone_number": PHONE} if by == "phone" else {"challenge_id": challenge}
    vendor(rooms).out_of_reach = True
    compared.clear()
    answers = [problem(api.post(VERIFY, {**whom, "otp": wrong(ours)})) for _ in range(12)]
    assert answers[: MOST + GIVEN_BACK] == [(503, "service_unavailable")] * (MOST + GIVEN_BACK)
    assert answers[MOST + GIVEN_BACK :] == [(429, "too_many_attempts")] * 5
    assert len(vendor(rooms).asked) == MOST + GIVEN_BACK
    assert problem(api.post(VERIFY, {**whom, "otp": ours})) == (429, "too_many_attempts")
    assert [len(lane.stamps.split(",")) for lane in FailureLane.objects.all()] == [MOST]


def test_what_stays_claimed_counts_for_the_address_and_the_service(
    rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Any] = []
    monkeypatch.setattr(Policy, "count_wrong", lambda self, asker, by_phone_alone: counted.append(by_phone_alone))
    _, _, ours = both(rooms, api)
    vendor(rooms).out_of_reach = True
    for _ in range(12):
        api.post(VERIFY, {"phone_number": PHONE, "otp": wrong(ours)})
    assert counted == [True] * MOST


def test_a_try_that_nothing_was_compared_with_is_no_wrong_code(
    rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Any] = []
    monkeypatch.setattr(Policy, "count_wrong", lambda self, asker, by_phone_alone: counted.append(by_phone_alone))
    challenge = api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"]
    vendor(rooms).out_of_reach = True
    answers = [problem(api.post(VERIFY, {"challenge_id": challenge, "otp": "123456"}))[0] for _ in range(9)]
    assert answers == [503] * (MOST + GIVEN_BACK) + [429] * 2
    assert counted == []


def test_a_short_outage_costs_the_person_nothing(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    vendor(rooms).out_of_reach = True
    for _ in range(GIVEN_BACK):
        assert problem(api.post(VERIFY, {"phone_number": PHONE, "otp": vendor(rooms).known[PHONE]}))[0] == 503
    assert (Code.objects.get().bare_attempts, FailureLane.objects.get().stamps) == (0, "[]")
    vendor(rooms).out_of_reach = False
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": vendor(rooms).known[PHONE]}).status_code == 200


@needs_postgres()
@pytest.mark.parametrize("by", ["phone", "challenge", "device"])
def test_parallel_guesses_are_compared_no_more_often_than_tries_and_those_given_back(
    rooms: Rooms, api: Api, compared: list[str], by: str
) -> None:
    challenge, _, ours = both(rooms, api, device_id="device-1")
    whom = {
        "phone": {"phone_number": PHONE},
        "challenge": {"challenge_id": challenge},
        "device": {"phone_number": PHONE, "device_id": "device-1"},
    }[by]
    vendor(rooms).out_of_reach = True
    compared.clear()

    def guess(number: int) -> None:
        for _ in range(4):
            Api().post(VERIFY, {**whom, "otp": wrong(ours)})

    assert at_once(guess, count=16) == [None] * 16
    # A try given back after all others were refused is left over, and is used up here; one given back while the last
    # is being judged is lost, as that one locks the challenge.
    for _ in range(GIVEN_BACK):
        api.post(VERIFY, {**whom, "otp": wrong(ours)})
    assert 0 < len(vendor(rooms).asked) <= MOST + GIVEN_BACK
    assert 0 < compared.count(wrong(ours)) <= MOST + GIVEN_BACK
    counted = sum(lane.stamps.count(",") + 1 for lane in FailureLane.objects.all())
    assert MOST - GIVEN_BACK <= counted <= MOST
    assert problem(api.post(VERIFY, {**whom, "otp": ours})) == (429, "too_many_attempts")
