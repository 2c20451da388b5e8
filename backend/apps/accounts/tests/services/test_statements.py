"""Hand-written statements: the same on both databases, to the last digit."""

from datetime import timedelta

import pytest

from apps.accounts.services import statements

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("offset", [timedelta(), timedelta(hours=1)])
def test_a_time_of_the_clock_is_the_same_one_when_it_is_handed_in(offset: timedelta) -> None:
    read = statements.row(f"SELECT {statements.shifted_now_sql(offset)}")
    assert read is not None
    found = statements.row("SELECT %s = %s", (read[0], statements.as_time(read[0])))
    assert found is not None
    assert found[0]
