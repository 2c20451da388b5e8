"""Staff pages have what browsers need; every other path has none of it."""

import pytest
from django.test import Client


@pytest.mark.django_db
def test_a_staff_page_may_not_be_framed() -> None:
    answer = Client().get("/admin/login/")
    assert answer.status_code == 200
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/otp/status", "/admin/otp/dashboard", "/nowhere"])
def test_an_api_answer_sets_no_cookie_even_for_somebody_who_sends_one(path: str) -> None:
    client = Client()
    client.cookies["sessionid"] = "x" * 32
    assert not client.get(path).cookies
