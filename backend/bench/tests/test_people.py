"""Every login comes from a number and an address of its own, and every number can receive a text."""

import phonenumbers
import pytest

from bench.floor.codes import derive, digest
from bench.people import Crowd, person


def test_people_of_one_run_share_neither_number_nor_address() -> None:
    crowd = [person(index) for index in range(20_000)]
    assert len({one.phone for one in crowd}) == 20_000
    assert len({one.address for one in crowd}) == 20_000


@pytest.mark.parametrize("index", [*range(40), 123_456, 9_999_999, 79_999_999])
def test_a_number_is_a_valid_canonical_saudi_mobile(index: int) -> None:
    phone = person(index).phone
    parsed = phonenumbers.parse(phone, None)
    assert phonenumbers.is_valid_number(parsed)
    assert phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE
    assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == phone


def test_an_address_stays_in_the_benchmark_range() -> None:
    assert person(0).address == "198.18.0.0"
    assert person(65_536).address == "198.19.0.0"
    assert person(131_072).address == person(0).address


def test_a_crowd_never_sends_the_same_person_twice() -> None:
    crowd = Crowd()
    assert crowd.newcomer() != crowd.newcomer()


def test_a_floor_code_is_six_digits_and_follows_the_key() -> None:
    codes = {derive(b"key", phone=person(index).phone) for index in range(200)}
    assert all(len(code) == 6 and code.isdigit() for code in codes)
    assert len(codes) > 190
    assert derive(b"key", phone="+966501234567") != derive(b"other", phone="+966501234567")


def test_a_floor_digest_differs_with_the_code() -> None:
    assert digest(b"key", phone="+966501234567", code="123456") != digest(b"key", phone="+966501234567", code="123457")
