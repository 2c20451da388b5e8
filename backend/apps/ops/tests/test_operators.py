"""Operators are known by one header, compared in constant time; wrong tokens are counted, right ones always pass."""

import json
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from apps.accounts.api import docs
from apps.accounts.api.endpoint import Answer, Call
from apps.accounts.phones import mask
from apps.accounts.services import audit, statements
from apps.ops import operators
from apps.ops.api.endpoint import OperatorEndpoint
from apps.ops.tests.conftest import TOKEN, OperatorApi
from conftest import PHONE, BuildRooms, Rooms

pytestmark = pytest.mark.django_db(transaction=True)


class WhoAmI(OperatorEndpoint):
    def get(self, call: Call) -> Answer:
        return Answer(200, {"name": call.principal.name})


def ask(rf: object, shown: str | None, *, ip: str = "192.0.2.1", **meta: str) -> object:
    headers = {} if shown is None else {"HTTP_X_ADMIN_TOKEN": shown}
    return WhoAmI.as_view()(rf.get("/admin/otp/who", REMOTE_ADDR=ip, **headers, **meta))  # type: ignore[attr-defined]


def test_the_right_token_names_its_operator(build_rooms: BuildRooms, rf: object) -> None:
    build_rooms(ADMIN_TOKENS="amal:" + "a" * 40 + ",basim:" + "b" * 40)
    assert [ask(rf, token).content for token in ("a" * 40, "b" * 40, TOKEN)] == [  # type: ignore[attr-defined]
        b'{"name":"amal"}',
        b'{"name":"basim"}',
        b'{"name":"operator"}',
    ]


def test_without_a_configured_token_there_is_nothing_here(build_rooms: BuildRooms, rf: object) -> None:
    build_rooms(ADMIN_TOKEN="")
    assert ask(rf, "anything").status_code == 404  # type: ignore[attr-defined]


@pytest.mark.parametrize("shown", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], TOKEN.upper(), f"{TOKEN},{TOKEN}"])
def test_anything_but_the_token_is_401(rooms: Rooms, rf: object, shown: str | None) -> None:
    answer = ask(rf, shown)
    assert answer.status_code == 401  # type: ignore[attr-defined]
    assert answer["WWW-Authenticate"] == "Bearer"  # type: ignore[index]


@pytest.mark.parametrize("shown", ["\xff\xfe", "رمز", "\u0000", "a" * 70_000, "\udcff"])
def test_any_bytes_are_only_a_wrong_token(rooms: Rooms, rf: object, shown: str) -> None:
    assert ask(rf, shown).status_code == 401  # type: ignore[attr-defined]


def test_a_token_of_more_than_ascii_is_known_by_its_bytes(build_rooms: BuildRooms, rf: object) -> None:
    token = "مفتاح-" + "k" * 40
    build_rooms(ADMIN_TOKEN=token)
    assert ask(rf, token.encode().decode("latin-1")).status_code == 200  # type: ignore[attr-defined]


def test_the_token_is_read_from_no_other_place(rooms: Rooms, rf: object) -> None:
    request = rf.get(f"/admin/otp/who?token={TOKEN}", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")  # type: ignore[attr-defined]
    assert WhoAmI.as_view()(request).status_code == 401


def test_ten_wrong_tokens_a_minute_are_told_so_and_the_next_are_429(rooms: Rooms, rf: object) -> None:
    found = [ask(rf, f"wrong-{place}").status_code for place in range(12)]  # type: ignore[attr-defined]
    assert found == [401] * operators.WRONG_PER_MINUTE + [429, 429]
    refused = ask(rf, "wrong")
    assert 1 <= int(refused["Retry-After"]) <= 60  # type: ignore[index]
    assert ask(rf, TOKEN).status_code == 200  # type: ignore[attr-defined]
    assert ask(rf, "wrong", ip="192.0.2.2").status_code == 401  # type: ignore[attr-defined]
    rooms.clock.advance(seconds=61)
    assert ask(rf, "wrong").status_code == 401  # type: ignore[attr-defined]


def test_missing_tokens_are_no_guesses(rooms: Rooms, rf: object) -> None:
    assert [ask(rf, None).status_code for _ in range(15)] == [401] * 15  # type: ignore[attr-defined]
    assert ask(rf, "wrong").status_code == 401  # type: ignore[attr-defined]


def test_wrong_tokens_of_one_v6_network_count_together(rooms: Rooms, rf: object) -> None:
    for place in range(10):
        ask(rf, "wrong", ip=f"2001:db8::{place:x}")
    assert ask(rf, "wrong", ip="2001:db8::ffff").status_code == 429  # type: ignore[attr-defined]


def test_the_document_describes_every_operators_path() -> None:
    paths = json.loads(docs.document())["paths"]
    described = {path: sorted(methods) for path, methods in paths.items() if path.startswith("/admin/otp/")}
    assert described["/admin/otp/blacklist"] == ["delete", "get", "post"]
    assert described["/admin/otp/provider"] == ["delete", "get", "post"]
    assert described["/admin/otp/sessions"] == ["delete", "get", "post"]
    assert described["/admin/otp/explain"] == ["get", "post"]
    assert described["/admin/otp/affected"] == ["get"]
    assert paths["/admin/otp/blacklist"]["post"]["requestBody"]["required"] is True
    assert paths["/admin/otp/provider"]["delete"]["requestBody"]["required"] is False
    assert paths["/admin/otp/blacklist"]["get"]["security"] == [{"adminToken": []}]


def test_an_operators_act_is_a_line_of_the_log_once_it_is_committed(rooms: Rooms, operator: OperatorApi) -> None:
    with capture_logs() as logged:
        block = {"type": "phone", "value": PHONE, "note": f"Incident #123 of {PHONE}"}
        assert operator.post("/admin/otp/blacklist", block).status_code == 201
        operator.delete("/admin/otp/blacklist", block)
        with suppress(ZeroDivisionError), statements.durable():
            audit.record("gateway.chosen", actor="nora", subject="twilio")
            raise ZeroDivisionError
    told = [(line["act"], line["actor"], line["subject"]) for line in logged if line["event"] == "otp.operated"]
    assert told == [(act, "operator", mask(PHONE)) for act in ("block.added", "block.lifted")]
    assert PHONE not in str(logged)
