"""A statement by itself borrows a connection of the pool, and gives it back whatever happens."""

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.services import statements
from conftest import needs_postgres

pytestmark = [pytest.mark.django_db(transaction=True), needs_postgres()]


def idle() -> int:
    pool = connection.pool  # type: ignore[attr-defined]
    return int(pool.get_stats()["pool_available"])


@pytest.fixture(autouse=True)
def nothing_held() -> None:
    statements.row("SELECT 1")
    connection.close()


def test_a_statement_by_itself_leaves_no_connection_held() -> None:
    before = idle()
    assert statements.row("SELECT %s::int", (7,)) == (7,)
    assert statements.rows("SELECT generate_series(1, 3)") == [(1,), (2,), (3,)]
    assert connection.connection is None
    assert idle() == before


def test_a_statement_that_fails_gives_its_connection_back_and_raises_what_django_would() -> None:
    before = idle()
    with pytest.raises(DatabaseError):
        statements.row("SELECT 1 / 0")
    statements.run("INSERT INTO accounts_failurelane (phone, lane, stamps, since_login) VALUES ('+1', 'x', '[]', 0)")
    with pytest.raises(IntegrityError):
        statements.run(
            "INSERT INTO accounts_failurelane (phone, lane, stamps, since_login) VALUES ('+1', 'x', '[]', 0)"
        )
    assert idle() == before
    assert statements.row("SELECT 1") == (1,)


def test_a_statement_by_itself_is_committed_at_once() -> None:
    statements.run("INSERT INTO accounts_failurelane (phone, lane, stamps, since_login) VALUES ('+1', 'x', '[]', 0)")
    with connection.cursor() as other:
        other.execute("SELECT count(*) FROM accounts_failurelane")
        assert other.fetchone() == (1,)


def test_a_statement_in_a_transaction_is_rolled_back_with_it() -> None:
    with transaction.atomic():
        statements.run(
            "INSERT INTO accounts_failurelane (phone, lane, stamps, since_login) VALUES ('+1', 'x', '[]', 0)"
        )
        transaction.set_rollback(True)
    connection.close()
    assert statements.row("SELECT count(*) FROM accounts_failurelane") == (0,)


def test_who_counts_statements_sees_each() -> None:
    with CaptureQueriesContext(connection) as seen:
        statements.row("SELECT 1")
    assert len(seen) == 1
