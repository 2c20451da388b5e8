"""The audit trail: sealed a few seconds later, without anybody waiting; what was changed afterwards is found."""

import io
import json
import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from apps.accounts.models import AuditEvent, AuditSeal
from apps.accounts.services import audit, audit_chain, statements
from apps.ops.housekeeping import Duty, Housekeeping
from conftest import needs_postgres, on_postgres

pytestmark = pytest.mark.django_db(transaction=True)


def write(number: int = 1, **more: Any) -> None:
    for place in range(number):
        with statements.durable():
            audit.record("block.added", actor="amal", subject=f"+966*****{place:03d}", note="ملاحظة", **more)


def tamper(sql: str) -> None:
    """Change what the trigger guards, as whoever owns the table can."""
    with connection.cursor() as cursor:
        if on_postgres():
            cursor.execute("ALTER TABLE accounts_auditevent DISABLE TRIGGER USER")
            cursor.execute("ALTER TABLE accounts_auditseal DISABLE TRIGGER USER")
        cursor.execute(sql)
        if on_postgres():
            cursor.execute("ALTER TABLE accounts_auditevent ENABLE TRIGGER USER")
            cursor.execute("ALTER TABLE accounts_auditseal ENABLE TRIGGER USER")


def test_records_are_sealed_into_a_chain_that_verifies() -> None:
    write(3)
    assert audit_chain.seal() == 3
    write(2)
    assert audit_chain.seal() == 2
    assert audit_chain.seal() == 0
    write(1)
    found = audit_chain.verify()
    assert (found.links, found.records, found.breaks) == (2, 5, ())
    assert found.tail.count == 1
    first, second = AuditSeal.objects.order_by("last")
    assert second.previous == first.digest
    assert found.head == second.digest


def test_an_empty_trail_verifies() -> None:
    found = audit_chain.verify()
    assert (found.links, found.breaks, found.head) == (0, (), audit_chain.GENESIS)
    assert audit_chain.verify(head=found.head).breaks == ()
    assert audit_chain.seal() == 0


def test_a_long_tail_is_sealed_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_chain, "BATCH", 4)
    write(11)
    assert audit_chain.seal() == 11
    assert AuditSeal.objects.count() == 3
    assert audit_chain.verify().breaks == ()


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("UPDATE accounts_auditevent SET note = 'x' WHERE id = {0}", "are not as they were sealed"),
        ("UPDATE accounts_auditevent SET actor = 'basim' WHERE id = {0}", "are not as they were sealed"),
        ("DELETE FROM accounts_auditevent WHERE id = {0}", "there are 1"),
        ("DELETE FROM accounts_auditseal WHERE first = {0}", "begins at record"),
        ("UPDATE accounts_auditevent SET id = -5 WHERE id = {0}", "stand before the first"),
        ("UPDATE accounts_auditseal SET digest = 'x' WHERE first = {0}", "does not follow"),
    ],
)
def test_what_was_changed_afterwards_is_found(sql: str, sentence: str) -> None:
    write(2)
    audit_chain.seal()
    write(2)
    audit_chain.seal()
    tamper(
        sql.format(AuditEvent.objects.earliest("id").id if "event" in sql else AuditSeal.objects.earliest("id").first)
    )
    assert any(sentence in found for found in audit_chain.verify().breaks)


def test_a_chain_that_was_cut_off_lacks_the_head_that_was_noted() -> None:
    write(2)
    audit_chain.seal()
    write(2)
    audit_chain.seal()
    head = audit_chain.verify().head
    assert audit_chain.verify(head=head).breaks == ()
    last = AuditSeal.objects.latest("last")
    tamper(f"DELETE FROM accounts_auditseal WHERE last = {last.last}")
    tamper(f"DELETE FROM accounts_auditevent WHERE id >= {last.first}")
    assert audit_chain.verify().breaks == ()
    assert "not in the chain" in audit_chain.verify(head=head).breaks[0]


@needs_postgres()
@pytest.mark.parametrize(
    "sql",
    ["UPDATE accounts_auditevent SET note = 'x'", "DELETE FROM accounts_auditevent", "DELETE FROM accounts_auditseal"],
)
def test_the_database_refuses_to_change_or_delete(sql: str) -> None:
    write(1)
    audit_chain.seal()
    with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
        cursor.execute(sql)


@needs_postgres()
def test_a_record_that_is_committed_late_is_never_left_out() -> None:
    written, go_on = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic():
            audit.record("block.added", actor="late")
            written.set()
            go_on.wait(60)
        connection.close()

    thread = threading.Thread(target=late)
    thread.start()
    assert written.wait(60)
    write(1)
    assert audit_chain.seal(patience_seconds=0.2) == 0
    write(1)  # who had to wait for the sealer, or for the one that is late, would be refused after `lock_timeout`
    go_on.set()
    thread.join()
    assert audit_chain.seal() == 3
    assert audit_chain.verify().breaks == ()


@needs_postgres()
def test_sealers_that_run_at_once_make_one_chain() -> None:
    stop = threading.Event()

    def sealing() -> None:
        while not stop.is_set():
            audit_chain.seal()
        connection.close()

    def writing() -> None:
        write(25)
        connection.close()

    sealers = [threading.Thread(target=sealing) for _ in range(3)]
    writers = [threading.Thread(target=writing) for _ in range(4)]
    for thread in (*sealers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in sealers:
        thread.join()
    audit_chain.seal()
    found = audit_chain.verify()
    assert (found.records, found.breaks, found.tail.count) == (100, (), 0)


def test_the_command_says_what_it_found_by_its_exit_status() -> None:
    write(2)
    call_command("otp_audit_log", "seal", stdout=io.StringIO())
    out = io.StringIO()
    call_command("otp_audit_log", "verify", "--json", stdout=out)
    assert json.loads(out.getvalue())["records"] == 2
    tamper("UPDATE accounts_auditevent SET note = 'x'")
    with pytest.raises(CommandError) as raised:
        call_command("otp_audit_log", "verify", stdout=io.StringIO())
    assert raised.value.returncode == 1


def test_records_can_be_listed() -> None:
    write(3)
    out = io.StringIO()
    call_command("otp_audit_log", "list", "--event", "block.added", "--limit", "2", "--json", stdout=out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["subject"] for line in lines] == ["+966*****001", "+966*****002"]
    out = io.StringIO()
    call_command("otp_audit_log", "list", "--actor", "nobody", stdout=out)
    assert out.getvalue() == ""


def test_a_duty_that_fails_is_tried_again_after_longer_pauses_and_stops_no_other() -> None:
    well, enough, ill = threading.Event(), threading.Event(), []

    def failing() -> None:
        ill.append(time.monotonic())
        if len(ill) == 5:
            enough.set()
        raise RuntimeError

    beside = Housekeeping([Duty("ill", 0.01, failing), Duty("well", 0.01, well.set)])
    beside.start()
    assert well.wait(60)
    assert enough.wait(60)
    beside.stop()
    pauses = [later - earlier for earlier, later in pairwise(ill[:5])]
    assert all(pause >= least for pause, least in zip(pauses, (0.02, 0.04, 0.08, 0.16), strict=True))
