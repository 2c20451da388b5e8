"""Which countries and kinds of number are texted: by region and not by calling code, and never a special number."""

import pytest

from apps.accounts.errors import InvalidPhoneNumber
from apps.accounts.phones import parse
from conftest import Api, BuildRooms

REQUEST = "/api/auth/phone/request/"
# One calling code, many countries, each with prices of its own.
PLUS_ONE = {
    "US": "+12015550123",
    "CA": "+15062345678",
    "JM": "+18762101234",
    "BB": "+12462501234",
    "DO": "+18092345678",
}
RUSSIA, KAZAKHSTAN = "+79123456789", "+77710009998"


@pytest.mark.parametrize(("region", "number"), PLUS_ONE.items())
def test_a_number_behind_plus_one_has_its_own_region(region: str, number: str) -> None:
    assert parse(number).region == region


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("allowed", ["US", "CA", "JM"])
def test_allowing_one_country_of_plus_one_allows_no_other(build_rooms: BuildRooms, api: Api, allowed: str) -> None:
    rooms = build_rooms(OTP_ALLOWED_COUNTRIES=f"SA,{allowed}", PHONE_AUTH_IP_MAX_PER_WINDOW="0")
    for region, number in PLUS_ONE.items():
        answer = api.post(REQUEST, {"phone_number": number})
        assert answer.status_code == (200 if region == allowed else 403), region
        if region != allowed:
            assert answer.json()["code"] == "country_not_allowed"
    assert [order.to for order in rooms.gateway.orders] == [PLUS_ONE[allowed]]


@pytest.mark.django_db(transaction=True)
def test_countries_that_share_seven_are_told_apart(build_rooms: BuildRooms, api: Api) -> None:
    build_rooms(OTP_ALLOWED_COUNTRIES="KZ")
    assert api.post(REQUEST, {"phone_number": KAZAKHSTAN}).status_code == 200
    assert api.post(REQUEST, {"phone_number": RUSSIA}).status_code == 403


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("premium rate", "+19002345678"),
        ("premium rate", "+449012345678"),
        ("premium rate", "+966925678901"),
        ("toll free", "+18002345678"),
        ("toll free", "+448001234567"),
        ("shared cost", "+448431234567"),
        ("voice over IP", "+445612345678"),
        ("personal", "+447012345678"),
        ("pager", "+447640123456"),
        ("universal access", "+445512345678"),
        ("fixed line", "+442079460018"),
        ("fixed line", "+966112345678"),
        ("satellite", "+881612345678"),
        ("satellite, Inmarsat", "+870773111632"),
        ("international premium", "+979123456789"),
        ("international toll free", "+80012345678"),
        ("international shared cost", "+80812345678"),
        ("international networks", "+882161234567"),
        ("international networks", "+883510012345"),
        ("telecommunications for disaster relief", "+888123456789"),
    ],
)
def test_a_number_that_no_phone_in_a_pocket_has_is_refused(kind: str, number: str) -> None:
    with pytest.raises(InvalidPhoneNumber):
        parse(number)
