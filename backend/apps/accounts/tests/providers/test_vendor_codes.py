"""Every code that a vendor documents becomes the leaf that its meaning asks for."""

import json
from typing import Any

import pytest

from apps.accounts.providers import twilio_codes, whatsapp_codes
from apps.accounts.providers.base import (
    FailureKind,
    Misconfigured,
    OutcomeUnknown,
    OutOfCredit,
    ProviderError,
    Rejected,
    Throttled,
)
from apps.accounts.tests.providers.contract import BY_ID, Case, gateway, order
from apps.accounts.tests.providers.vendor_rows import (
    ELSEWHERE,
    LEAF_OF,
    META_CHOICES,
    META_RECEIPTS,
    META_ROWS,
    TWILIO_CHOICES,
    TWILIO_RECEIPTS,
    TWILIO_ROWS,
    rows,
)
from fakegateways.handle import FakeGateways

AUTHENTICA = BY_ID["authentica-otp"]


def answered(case: Case, fakes: FakeGateways, *, status: int, said: Any, **params: Any) -> ProviderError:
    fakes.script(
        case.vendor, "status", status=status, body=said if isinstance(said, str) else json.dumps(said), **params
    )
    with pytest.raises(ProviderError) as caught:
        gateway(case, fakes).send(order(case))
    return caught.value


@pytest.mark.parametrize(("code", "status", "kind"), rows(TWILIO_ROWS))
@pytest.mark.parametrize("shape", ["classic", "problem"])
def test_a_code_of_twilio_becomes_its_leaf(code: int, status: int, kind: str, shape: str, fakes: FakeGateways) -> None:
    said: dict[str, Any] = {"code": code, "message": "Words of theirs", "more_info": "https://x", "status": status}
    if shape == "problem":
        said = {"type": "https://x", "title": "Words of theirs", "status": status, "code": code}

    error = answered(BY_ID["twilio-sms"], fakes, status=status, said=said)

    assert type(error) is TWILIO_CHOICES.get(code, LEAF_OF[kind])
    assert error.vendor_code == str(code)
    assert error.not_on_channel == (code in ELSEWHERE["twilio"])


@pytest.mark.parametrize(("code", "status", "kind"), rows(META_ROWS))
def test_a_code_of_meta_becomes_its_leaf(code: int, status: int, kind: str, fakes: FakeGateways) -> None:
    said = {"error": {"message": "Words of theirs", "type": "OAuthException", "code": code, "fbtrace_id": "A1"}}

    error = answered(BY_ID["whatsapp"], fakes, status=status, said=said)

    assert type(error) is META_CHOICES.get(code, LEAF_OF[kind])
    assert error.vendor_code == str(code)
    assert error.not_on_channel == (code in ELSEWHERE["whatsapp"])


@pytest.mark.parametrize(
    ("status", "said", "leaf"),
    [
        (400, {"message": "Bad request"}, Rejected),
        (401, {"errors": [{"message": "Unauthorized"}]}, Misconfigured),
        (402, {"message": "no"}, OutOfCredit),
        (403, {"message": "Forbidden"}, Misconfigured),
        (404, "<html>", Misconfigured),
        (405, "<html>", Misconfigured),
        (422, {"message": "no", "errors": {"phone": ["The phone field format is invalid."]}}, Rejected),
        (422, {"message": "no", "errors": {"template_id": ["The selected template id is invalid."]}}, Misconfigured),
        (400, {"message": "no", "errors": {"sender_name": ["Not registered."], "phone": ["x"]}}, Misconfigured),
        (429, {"message": "Too Many Attempts."}, Throttled),
        (418, {}, Rejected),
        (500, "<html>", OutcomeUnknown),
        (503, {"success": False, "message": "balance service down"}, OutcomeUnknown),
        (302, "<html>", Rejected),
        (301, "<html>", Misconfigured),
        (304, "", Misconfigured),
        (200, {"success": False, "data": None, "message": "Failed to send"}, Rejected),
        (200, {"success": False, "message": "Insufficient Balance"}, OutOfCredit),
        (400, {"message": "You have no credit left"}, OutOfCredit),
        (403, {"errors": [{"message": "لا يوجد رصيد كاف"}]}, OutOfCredit),
        (422, {"message": "رصيد غير كاف"}, OutOfCredit),
        (401, {"errors": [{"message": "Invalid credit key"}]}, Misconfigured),
        (200, {"success": "true"}, OutcomeUnknown),
        (200, {"success": 1}, OutcomeUnknown),
        (200, {"status": True}, OutcomeUnknown),
        (200, [True], OutcomeUnknown),
        (200, "true", OutcomeUnknown),
        (200, {"success": None}, OutcomeUnknown),
    ],
)
def test_an_answer_of_authentica_becomes_its_leaf(
    status: int, said: Any, leaf: type[ProviderError], fakes: FakeGateways
) -> None:
    error = answered(AUTHENTICA, fakes, status=status, said=said)

    assert (type(error), error.vendor_code) == (leaf, f"http_{status}")


@pytest.mark.parametrize("case", [BY_ID["twilio-sms"], BY_ID["whatsapp"]], ids=lambda case: case.id)
@pytest.mark.parametrize(
    ("status", "leaf"),
    [
        (400, Rejected),
        (401, Misconfigured),
        (402, OutOfCredit),
        (403, Misconfigured),
        (404, Misconfigured),
        (405, Misconfigured),
        (407, Misconfigured),
        (408, OutcomeUnknown),
        (410, Misconfigured),
        (422, Rejected),
        (429, Throttled),
        (500, OutcomeUnknown),
        (501, OutcomeUnknown),
        (502, OutcomeUnknown),
        (504, OutcomeUnknown),
        (300, Misconfigured),
        (301, Misconfigured),
        (307, Misconfigured),
        (200, OutcomeUnknown),
        (202, OutcomeUnknown),
    ],
)
@pytest.mark.parametrize("said", ["<html>", {}, {"code": 999999}, {"error": {"code": 999999}}, {"error": "x"}], ids=str)
def test_where_no_known_code_is_given_the_status_decides(
    case: Case, status: int, leaf: type[ProviderError], said: Any, fakes: FakeGateways
) -> None:
    assert type(answered(case, fakes, status=status, said=said)) is leaf


@pytest.mark.parametrize(("code", "leaf"), [(30450, "F"), (21610, "R"), (30008, "S"), (None, "X"), (31999, "X")])
def test_a_message_of_twilio_that_has_failed_at_once_becomes_the_leaf_of_its_code(
    code: int | None, leaf: str, fakes: FakeGateways
) -> None:
    said = {"sid": "SM" + "0" * 32, "status": "failed", "error_code": code}

    assert type(answered(BY_ID["twilio-sms"], fakes, status=201, said=said)) is LEAF_OF[leaf]


@pytest.mark.parametrize("said", ["held_for_quality_assessment", "paused"])
def test_a_message_that_meta_keeps_back_may_never_arrive_so_its_outcome_is_open(said: str, fakes: FakeGateways) -> None:
    fakes.script("meta", "held", message_status=said)
    with pytest.raises(OutcomeUnknown) as caught:
        gateway(BY_ID["whatsapp"], fakes).send(order(BY_ID["whatsapp"]))

    assert caught.value.vendor_code == "held"


def test_meta_need_not_say_more_than_the_id(fakes: FakeGateways) -> None:
    fakes.script("meta", "bare_answer")

    assert gateway(BY_ID["whatsapp"], fakes).send(order(BY_ID["whatsapp"])).vendor_id


def test_the_tables_hold_what_the_vendors_document_and_nothing_else() -> None:
    assert set(twilio_codes.SEND) == {code for code, _, _ in rows(TWILIO_ROWS)}
    assert {code for code, _, _ in rows(META_ROWS)} <= set(whatsapp_codes.SEND)
    more = set(whatsapp_codes.SEND) - {code for code, _, _ in rows(META_ROWS)}
    assert more <= set(range(200, 300)) | set(range(133000, 133017))
    assert dict(twilio_codes.RECEIPT) == TWILIO_RECEIPTS
    assert dict(whatsapp_codes.RECEIPT) == META_RECEIPTS


def test_a_receipt_about_a_recipient_never_sends_the_message_on() -> None:
    permanent = {code for code, _, kind in rows(TWILIO_ROWS) if kind == "R"} - {21612}
    assert {code for code, kind in TWILIO_RECEIPTS.items() if kind is not FailureKind.FRAUD} == permanent


@pytest.mark.parametrize(
    ("phone", "code"),
    [
        ("+15005550001", 21211),
        ("+15005550002", 21612),
        ("+15005550003", 21408),
        ("+15005550004", 21610),
        ("+15005550009", 21614),
    ],
)
def test_twilios_magic_numbers_are_refused_as_documented(phone: str, code: int, fakes: FakeGateways) -> None:
    fakes.configure(twilio={"test_credentials": True})
    case = BY_ID["twilio-sms"]
    with pytest.raises(ProviderError) as caught:
        gateway(case, fakes).send(order(case, to=phone))

    assert caught.value.vendor_code == str(code)


@pytest.mark.parametrize(
    ("sender", "code"), [("+15005550001", 21212), ("+15005550007", 21606), ("+15005550008", 21611)]
)
def test_twilios_magic_senders_are_refused_as_documented(sender: str, code: int, fakes: FakeGateways) -> None:
    fakes.configure(twilio={"test_credentials": True})
    case = BY_ID["twilio-sms"]
    with pytest.raises(ProviderError) as caught:
        gateway(case, fakes, TWILIO_PHONE_NUMBER=sender).send(order(case))

    assert caught.value.vendor_code == str(code)
