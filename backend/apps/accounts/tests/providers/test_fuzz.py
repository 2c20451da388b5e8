"""Whatever bytes a vendor answers: a receipt, or one leaf of the error tree."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from apps.accounts.providers import authentica, twilio, whatsapp
from apps.accounts.providers.base import LEAVES, CheckOutcome, OutcomeUnknown, Receipt
from apps.accounts.providers.http import Answer
from apps.accounts.tests.providers.contract import BY_ID, CASES, CODE, PHONE, Case, build, order, values
from apps.accounts.tests.providers.raw_server import RawServer
from apps.accounts.tests.providers.raw_server import http as reply

WORDS = some.sampled_from(
    [
        "success",
        "status",
        "sid",
        "code",
        "error",
        "error_code",
        "messages",
        "id",
        "message",
        "errors",
        "data",
        "type",
        "title",
        "message_status",
    ]
)
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=12),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(WORDS, inner, max_size=5),
    max_leaves=15,
)
BODIES = some.binary(max_size=300) | JSON.map(lambda said: json.dumps(said).encode())
STATUSES = some.sampled_from([200, 201, 202, 204, 301, 302, 400, 401, 402, 404, 422, 429, 500, 503]) | some.integers(
    200, 999
)


def tried(call: Callable[[], Any]) -> Any:
    """Return what came back, or the leaf that was raised; anything else goes through."""
    try:
        return call()
    except LEAVES as error:
        return error


def judged(judge: Callable[[Answer], Any], answer: Answer) -> None:
    outcome = tried(lambda: judge(answer))
    if isinstance(outcome, LEAVES):
        assert re.fullmatch(r"(http_)?[0-9]{1,7}|held", outcome.vendor_code, re.ASCII)
    else:
        assert isinstance(outcome, Receipt)
        assert answer.ok


@given(STATUSES, BODIES, some.none() | some.floats(1, 300))
@settings(max_examples=300)
@example(201, b'{"sid": "SM1", "status": []}', None)
@example(201, b'{"sid": "SM1", "status": {}}', None)
@example(200, b'{"messages": [{"id": "wamid.1", "message_status": {}}]}', None)
@example(400, b'{"code": true}', None)
@example(400, b'{"error": {"code": []}}', None)
def test_any_answer_is_judged_by_every_vendors_tables(status: int, body: bytes, wait: float | None) -> None:
    answer = Answer(status, body, wait)

    judged(twilio.accepted, answer)
    judged(whatsapp.accepted, answer)
    judged(authentica.refusal, answer)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@given(status=STATUSES, body=BODIES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_answer_over_a_socket_is_a_receipt_or_a_leaf(case: Case, status: int, body: bytes) -> None:
    with RawServer(lambda request: reply(status, body)) as server:
        provider = build(pointed_at(server, case))[case.provider]
        outcome = tried(lambda: provider.send(order(case)))
        assert isinstance(outcome, (Receipt, *LEAVES))
        assert isinstance(outcome, LEAVES) or 200 <= status < 300
        assert len(server.seen) == 1


@pytest.mark.parametrize("case", [BY_ID["twilio-sms"], BY_ID["whatsapp"]], ids=lambda case: case.id)
@given(raw=some.binary(max_size=200))
@settings(max_examples=30, deadline=None)
def test_bytes_that_are_no_http_leave_the_outcome_open(case: Case, raw: bytes) -> None:
    with RawServer(lambda request: raw + b"\r\nConnection: close\r\n") as server:
        provider = build(pointed_at(server, case))[case.provider]
        with pytest.raises(OutcomeUnknown):
            provider.send(order(case))


@given(status=STATUSES, body=BODIES)
@settings(max_examples=40, deadline=None)
def test_any_answer_about_a_code_is_right_wrong_or_a_leaf_and_right_only_when_it_says_so(
    status: int, body: bytes
) -> None:
    case = BY_ID["authentica-verify"]
    with RawServer(lambda request: reply(status, body)) as server:
        provider: Any = build(pointed_at(server, case))["authentica"]
        deadline = order(case).deadline
        outcome = tried(lambda: provider.check(to=PHONE, channel=case.channel, code=CODE, deadline=deadline))
        said = Answer(status, body).object().get("status")
        assert isinstance(outcome, (CheckOutcome, *LEAVES))
        assert (outcome is CheckOutcome.RIGHT) == (said is True and 200 <= status < 300)


def pointed_at(server: RawServer, case: Case) -> dict[str, Any]:
    names = ("AUTHENTICA_BASE_URL", "TWILIO_BASE_URL", "WHATSAPP_BASE_URL")
    return values(None, **{**dict.fromkeys(names, server.url), **case.overrides})
