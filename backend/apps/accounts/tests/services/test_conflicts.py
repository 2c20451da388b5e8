"""Transactions that wait for each other: the database ends one, and it is done again."""

import re
import threading
from collections.abc import Callable

import pytest
from django.conf import settings
from django.db import connection

from apps.accounts.services import statements
from apps.accounts.tests.meeting import Aside
from conftest import needs_postgres

pytestmark = [pytest.mark.django_db(transaction=True), needs_postgres()]


def crossing(mine: str, theirs: str, both_hold_one: threading.Barrier) -> Callable[[], bool]:
    """Return a transaction that changes the row `mine` and then the row `theirs`."""
    seen: list[str] = []

    def act() -> bool:
        with statements.durable():
            for name in (mine, theirs):
                statements.run("UPDATE accounts_changecounter SET value = value + 1 WHERE name = %s", (name,))
                if not seen:
                    seen.append(name)
                    both_hold_one.wait(timeout=20)
        return True

    return act


def test_a_lock_is_waited_for_until_the_server_has_looked_for_circles() -> None:
    # The service's own; the suite puts a longer one behind it, for busy machines.
    own = re.search(r"lock_timeout=(\d+)", settings.DATABASES["default"]["OPTIONS"]["options"])
    assert own is not None
    found = statements.row("SELECT %s::interval > current_setting('deadlock_timeout')::interval", (f"{own[1]} ms",))
    assert found == (True,)


def test_of_two_that_wait_for_each_other_the_one_that_is_ended_is_done_again() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO accounts_changecounter (name, value) VALUES ('one', 0), ('other', 0)")
    meeting = threading.Barrier(2)
    acts = (crossing("one", "other", meeting), crossing("other", "one", meeting))
    both = [Aside(lambda act=act: statements.retried(act)) for act in acts]  # type: ignore[misc]
    assert [one.wait() for one in both] == [True, True]
    assert statements.rows("SELECT DISTINCT value FROM accounts_changecounter") == [(2,)]
