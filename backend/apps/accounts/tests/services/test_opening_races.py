"""A send beside the end of the code that it would carry: it carries one that works, or says that nothing is open."""

import pytest

from apps.accounts.models import Challenge, Code
from apps.accounts.providers.base import Order, Receipt, Unavailable
from apps.accounts.tests.meeting import meet
from conftest import PHONE, Api, BuildRooms, RecordingGateway, Rooms, needs_postgres

pytestmark = [pytest.mark.django_db(transaction=True), needs_postgres()]
REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"


@pytest.fixture
def rooms(build_rooms: BuildRooms) -> Rooms:
    return build_rooms(OTP_RESEND_COOLDOWN_SECONDS="0")


def asked(api: Api) -> str:
    return str(api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"])


def cancel(challenge_id: str) -> None:
    assert Api().delete(f"/api/auth/phone/challenge/{challenge_id}/").status_code == 204


def resent(challenge_id: str) -> int:
    return int(Api().post(RESEND, {"challenge_id": challenge_id}).status_code)


@pytest.mark.parametrize("others", [0, 1])
def test_a_challenge_that_is_canceled_at_this_moment_stays_so(rooms: Rooms, api: Api, others: int) -> None:
    own = asked(api)
    for _ in range(others):
        asked(api)
    before = len(rooms.gateway.orders)
    assert meet(lambda: cancel(own), lambda: resent(own)) == 400
    assert Challenge.objects.get(id=own).status == "canceled"
    assert len(rooms.gateway.orders) == before


def test_a_code_that_is_used_at_this_moment_is_not_sent_again(rooms: Rooms, api: Api) -> None:
    own = asked(api)
    right = {"challenge_id": own, "otp": rooms.gateway.last_code}
    assert meet(lambda: Api().post(VERIFY, right), lambda: resent(own)) == 400
    assert Challenge.objects.get(id=own).status == "verified"
    assert len(rooms.gateway.orders) == 1


def test_whoever_joins_a_code_that_dies_at_this_moment_gets_one_that_works(rooms: Rooms, api: Api) -> None:
    own = asked(api)
    joined = meet(lambda: cancel(own), lambda: asked(Api()))
    assert Code.objects.get(state="open").challenges.get().id == joined
    right = {"challenge_id": joined, "otp": rooms.gateway.last_code}
    assert api.post(VERIFY, right).status_code == 200


class Overtaken(RecordingGateway):
    """A gateway that refuses a message while the same person's next one is taken already."""

    def send(self, order: Order) -> Receipt:
        if not self.orders:
            self.orders.append(order)
            again = Api().post(REQUEST, {"phone_number": PHONE, "device_id": "the-device"})
            assert again.status_code == 200
            raise Unavailable("connect")
        return super().send(order)


def test_a_challenge_whose_second_send_went_out_outlives_the_first_one(build_rooms: BuildRooms, api: Api) -> None:
    gateway = Overtaken()
    build_rooms(gateways=[gateway], OTP_RESEND_COOLDOWN_SECONDS="0")
    assert api.post(REQUEST, {"phone_number": PHONE, "device_id": "the-device"}).status_code == 503
    assert Challenge.objects.get().status == "pending"
    right = {"challenge_id": Challenge.objects.get().id, "otp": gateway.last_code}
    assert api.post(VERIFY, right).status_code == 200
