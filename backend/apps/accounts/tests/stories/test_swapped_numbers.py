"""Two people who take each other's number at the same moment: nobody waits for ever, and nobody gets a 5xx."""

import pytest

from apps.accounts.models import User
from apps.accounts.services import numbers, statements
from apps.accounts.tests.meeting import meet
from apps.accounts.tests.stories.people import OTP_VERIFY, Visitor, problem
from conftest import OTHER_PHONE, PHONE, Api, Rooms, needs_postgres

pytestmark = [pytest.mark.django_db(transaction=True), needs_postgres()]


def test_who_waits_in_a_circle_for_a_number_is_told_that_it_is_in_use(rooms: Rooms, api: Api) -> None:
    sara, omar = Visitor(rooms, api).login(), Visitor(rooms, Api(), phone=OTHER_PHONE).login()
    omar.ask_to_change(PHONE)
    proven = {"purpose": "change_phone", "otp": rooms.gateway.last_code}
    taken: list[object] = []

    def begin() -> None:
        statements.run("UPDATE accounts_user SET last_seen_at = last_seen_at WHERE id = %s", (sara.user_id,))

    def go_on() -> None:
        holder = numbers.lock(sara.user_id)
        assert holder is not None
        taken.append(numbers.take(holder, OTHER_PHONE, now=statements.now()))

    answer = meet(begin, lambda: omar.api.post(OTP_VERIFY, proven, **omar.bearer), go_on)
    assert problem(answer) == (409, "phone_in_use")
    assert taken == [None]
    assert dict(User.objects.values_list("pk", "phone_number")) == {sara.user_id: PHONE, omar.user_id: OTHER_PHONE}
