"""Signing keys: made once, rotated without a gap, published, and never in clear."""

import json
import time
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from apps.accounts.models import AuditEvent, SigningKey
from apps.accounts.services import statements
from apps.accounts.services.keys import Keys
from apps.accounts.tests.services.session_world import SECRET, another_process, at_once, make_world, needs_threads

pytestmark = pytest.mark.django_db(transaction=True)


def kids(keys: Keys) -> set[str]:
    return {key["kid"] for key in json.loads(keys.document().body)["keys"]}


def test_a_database_without_a_key_gets_one_that_signs_and_one_that_waits() -> None:
    Keys(secret_key=SECRET).ensure()
    assert sorted(view.state for view in Keys(secret_key=SECRET).listing()) == ["signs", "standby"]


@needs_threads
def test_ten_processes_that_start_at_once_agree_on_one_key() -> None:
    def start(number: int) -> str:
        keys = Keys(secret_key=SECRET)
        keys.ensure()
        return keys.signer()[0].kid

    signers = at_once(start, count=10)
    assert len(signers) == 10
    assert len(set(signers)) == 1
    assert SigningKey.objects.count() == 2


def test_a_key_made_in_a_transaction_that_is_rolled_back_is_forgotten() -> None:
    keys = Keys(secret_key=SECRET)
    try:
        with statements.durable():
            lost = keys.signer()[0].kid
            raise RuntimeError("the login fails")
    except RuntimeError:
        pass
    assert keys.signer()[0].kid != lost
    assert lost not in set(SigningKey.objects.values_list("kid", flat=True))


def test_the_private_part_is_in_the_table_only_encrypted() -> None:
    make_world()
    for row in SigningKey.objects.all():
        assert "PRIVATE" not in row.private
        assert set(json.loads(row.public)) == {"crv", "kty", "x", "y", "kid", "alg", "use"}


def test_the_document_holds_public_parts_only() -> None:
    for key in json.loads(make_world().keys.document().body)["keys"]:
        assert "d" not in key


def test_the_key_that_a_rotation_brings_was_published_before_it_signs() -> None:
    keys = make_world().keys
    before = kids(keys)
    assert keys.rotate() in before


def test_after_a_rotation_the_former_key_is_still_published() -> None:
    keys = make_world().keys
    former = keys.signer()[0].kid
    assert keys.rotate() == keys.signer()[0].kid != former
    assert former in kids(keys)


def test_a_rotation_changes_the_etag_and_nothing_else_does() -> None:
    world = make_world()
    etag = world.keys.document().etag
    assert another_process(world).keys.document().etag == etag
    world.keys.rotate()
    assert world.keys.document().etag != etag


def test_a_retired_key_leaves_once_no_token_of_it_can_be_alive() -> None:
    world = make_world()
    former = world.keys.signer()[0].kid
    world.keys.rotate()
    world.clock.advance(seconds=19 * 60)
    assert former in kids(another_process(world).keys)
    world.clock.advance(seconds=2 * 60)
    assert former not in kids(another_process(world).keys)


def test_another_process_signs_with_the_new_key_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world()
    second = another_process(world)
    second.keys.signer()
    new = world.keys.rotate()
    moment = time.monotonic()
    monkeypatch.setattr("apps.accounts.services.keys.time.monotonic", lambda: moment + 3.1)
    assert second.keys.signer()[0].kid == new


def test_a_compromised_key_is_gone_at_once_and_its_standby_too() -> None:
    keys = make_world().keys
    before = kids(keys)
    keys.rotate(compromised=True)
    assert not before & kids(keys)


def test_unknown_keys_cause_a_read_every_tenth_of_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: object
) -> None:
    keys = make_world().keys
    keys.signer()
    assert keys._seen is not None
    moment = keys._seen.read_at
    monkeypatch.setattr("apps.accounts.services.keys.time.monotonic", lambda: moment)
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert keys.by_header("forged") is None
    monkeypatch.setattr("apps.accounts.services.keys.time.monotonic", lambda: moment + 0.11)
    with django_assert_num_queries(1):  # type: ignore[operator]
        for number in range(50):
            assert keys.by_header(f"forged{number}") is None


def test_a_process_with_another_secret_signs_with_a_key_of_its_own_and_trusts_the_rest() -> None:
    world = make_world()
    stranger = Keys(secret_key="another-secret-that-is-long-enough-too")
    stranger.ensure()
    assert stranger.signer()[0].kid != world.keys.signer()[0].kid
    assert world.keys.signer()[0].kid in kids(stranger)


def test_the_command_rotates_and_audits_it() -> None:
    out = StringIO()
    call_command("otp_keys", "rotate", "--by", "nora", "--note", "Incident #123: leaked", stdout=out)
    assert "signs in every process" in out.getvalue()
    events = AuditEvent.objects.order_by("id").values_list("event", "actor", "note")
    assert list(events)[-1] == ("key.rotated", "nora", "Incident #123: leaked")
    call_command("otp_keys", "rotate", stdout=out)
    assert list(events.all())[-1][1].startswith("shell")


def test_the_command_says_in_one_sentence_that_the_database_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: object) -> None:
        raise OperationalError("password in the driver's words")

    monkeypatch.setattr(Keys, "listing", gone)
    with pytest.raises(CommandError, match="The database does not answer: OperationalError") as told:
        call_command("otp_keys", "list")
    assert told.value.returncode == 2


def test_the_command_lists_kids_and_states_and_nothing_secret() -> None:
    out = StringIO()
    call_command("otp_keys", "rotate", stdout=StringIO())
    call_command("otp_keys", "list", stdout=out)
    lines = out.getvalue().splitlines()
    assert [line.split()[2] for line in lines] == ["standby", "signs", "retired"]
    secrets = SigningKey.objects.values_list("private", flat=True)
    assert not any(secret in out.getvalue() for secret in secrets)
