"""The staff's login: passwords cannot be guessed without end, nor the machine be kept busy with judging them."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.ops.staff import login
from conftest import Rooms

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = "/admin/login/"
PASSWORD = "a-long-password"


@pytest.fixture(autouse=True)
def nora(rooms: Rooms) -> User:
    return User.objects.create_user("nora", PASSWORD, is_staff=True, role="staff")


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every password that was really judged: that is what costs."""
    found: list[str] = []
    real = User.check_password

    def check(self: User, raw_password: str) -> Any:
        found.append(raw_password)
        return real(self, raw_password)

    monkeypatch.setattr(User, "check_password", check)
    return found


def attempt(password: str, *, ip: str = "127.0.0.1") -> Any:
    return Client(REMOTE_ADDR=ip).post(LOGIN, {"username": "nora", "password": password})


def test_the_right_password_opens_the_pages() -> None:
    assert attempt(PASSWORD).status_code == 302


def test_after_ten_tries_in_a_minute_an_address_is_not_judged_any_more(rooms: Rooms, judged: list[str]) -> None:
    for number in range(10):
        assert "Please enter the correct" in attempt(f"wrong-{number}").content.decode()
    assert len(judged) == 10
    told = attempt(PASSWORD)
    assert (told.status_code, len(judged)) == (200, 10)
    assert "Too many tries" in told.content.decode()
    assert attempt(PASSWORD, ip="198.51.100.7").status_code == 302
    rooms.clock.advance(seconds=61)
    assert attempt(PASSWORD).status_code == 302


def test_an_ipv6_client_counts_by_its_network(judged: list[str]) -> None:
    for number in range(12):
        attempt("wrong", ip=f"2001:db8:1:2::{number + 1:x}")
    assert len(judged) == 10


def test_one_password_is_judged_at_a_time_and_nobody_waits_for_it(judged: list[str]) -> None:
    with login._PLACE:
        told = attempt(PASSWORD)
    assert (told.status_code, judged) == (200, [])
    assert "Please try again" in told.content.decode()
    assert attempt(PASSWORD).status_code == 302


def test_a_form_without_a_password_takes_no_try(judged: list[str]) -> None:
    for _ in range(12):
        attempt("")
    assert attempt(PASSWORD).status_code == 302


@pytest.mark.parametrize(("origin", "status"), [("https://localhost", 302), ("https://localhost.example", 403)])
def test_a_proxy_that_ends_tls_before_a_host_of_ours_is_no_stranger(origin: str, status: int) -> None:
    client = Client(enforce_csrf_checks=True, headers={"host": "localhost"})
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get(LOGIN).content.decode())
    assert found is not None
    form = {"csrfmiddlewaretoken": found[1], "username": "nora", "password": PASSWORD}
    assert client.post(LOGIN, form, headers={"origin": origin}).status_code == status
