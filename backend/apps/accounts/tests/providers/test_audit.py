"""An audit finds what is wrong with a configuration, says what to do, and never spends a message."""

import time
from decimal import Decimal
from typing import Any

import pytest

from apps.accounts.providers.base import AuditLine, Finding
from apps.accounts.tests.providers.contract import BY_ID, ONE_OF_EACH, SECRETS, Case, gateway
from fakegateways.handle import FakeGateways
from fakegateways.tls import Certificate

AUTHENTICA, TWILIO, META = ONE_OF_EACH


def audited(case: Case, fakes: FakeGateways, *, seconds: float = 30, **overrides: Any) -> dict[str, AuditLine]:
    provider: Any = gateway(case, fakes, **overrides)
    lines = provider.audit(deadline=time.monotonic() + seconds)
    assert len({line.check for line in lines}) == len(lines)
    assert fakes.messages() == []
    for line in lines:
        assert line.advice.endswith(".")
        assert not any(secret in f"{line.advice}{line.value}" for secret in SECRETS)
    return {line.check: line for line in lines}


def findings(lines: dict[str, AuditLine]) -> dict[str, str]:
    return {name: line.finding.value for name, line in lines.items()}


def faults(lines: dict[str, AuditLine]) -> set[str]:
    return {name for name, line in lines.items() if line.finding is Finding.FAULT}


def test_all_is_well_at_authentica(fakes: FakeGateways) -> None:
    lines = audited(AUTHENTICA, fakes, AUTHENTICA_MIN_BALANCE=50)

    assert findings(lines) == {
        "tls": "note", "credentials": "ok", "balance": "ok", "receipts": "note", "own_code": "note",
    }  # fmt: skip
    assert lines["balance"].value == Decimal("91.00")


def test_all_is_well_at_twilio(fakes: FakeGateways) -> None:
    assert findings(audited(TWILIO, fakes)) == {
        "tls": "note", "credentials": "ok", "balance": "ok", "sender": "ok", "whatsapp_template": "ok",
        "callbacks": "ok",
    }  # fmt: skip


def test_all_is_well_at_meta(fakes: FakeGateways) -> None:
    lines = audited(META, fakes)

    assert findings(lines) == {
        "tls": "note", "credentials": "ok", "sender": "ok", "template_en": "ok", "template_ar": "ok",
        "template_en_body_sha256": "ok", "template_ar_body_sha256": "ok", "callbacks": "ok",
    }  # fmt: skip
    assert lines["template_ar"].value == "APPROVED"
    assert len(str(lines["template_ar_body_sha256"].value)) == 64


@pytest.mark.parametrize(
    ("case", "overrides"),
    [
        (AUTHENTICA, {"AUTHENTICA_API_KEY": "wrong"}),
        (TWILIO, {"TWILIO_AUTH_TOKEN": "wrong"}),
        (TWILIO, {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32}),
        (META, {"WHATSAPP_TOKEN": "wrong"}),
        (META, {"WHATSAPP_API_VERSION": "latest"}),
    ],
)
def test_wrong_credentials_are_a_fault(case: Case, overrides: dict[str, Any], fakes: FakeGateways) -> None:
    assert faults(audited(case, fakes, **overrides)) == {"credentials"}


def test_a_suspended_account_is_a_fault(fakes: FakeGateways) -> None:
    fakes.configure(twilio={"account_status": "suspended"})

    line = audited(TWILIO, fakes)["credentials"]

    assert (line.finding, line.value) == (Finding.FAULT, "suspended")


@pytest.mark.parametrize("case", [AUTHENTICA, TWILIO], ids=lambda case: case.id)
@pytest.mark.parametrize(
    ("balance", "finding"), [("0.50", "warning"), ("0", "fault"), ("-3.00", "fault"), ("soon", "warning")]
)
def test_little_money_is_a_warning_and_none_a_fault(
    case: Case, balance: str, finding: str, fakes: FakeGateways
) -> None:
    fakes.script(case.vendor, "low_balance", balance=balance)

    assert audited(case, fakes)["balance"].finding.value == finding


@pytest.mark.parametrize("said", [None, True, [1], {"a": 1}, "NaN", "1e999999999", "Infinity", ""])
def test_a_balance_that_is_no_amount_is_a_warning(said: Any, fakes: FakeGateways) -> None:
    body = {"success": True, "data": {"balance": said}}
    fakes.script("authentica", "status", on="balance", status=200, body=body)

    finding = audited(AUTHENTICA, fakes)["balance"].finding

    assert finding is (Finding.OK if said == "1e999999999" else Finding.WARNING)


def test_a_balance_may_be_a_number(fakes: FakeGateways) -> None:
    fakes.configure(authentica={"balance_is_number": True, "balance": "250"})

    assert audited(AUTHENTICA, fakes)["balance"].finding is Finding.OK


@pytest.mark.parametrize(
    "overrides", [{"TWILIO_PHONE_NUMBER": "+15005550099"}, {"TWILIO_MESSAGING_SERVICE_SID": "MG" + "1" * 32}]
)
def test_a_sender_that_is_not_ours_is_a_fault(overrides: dict[str, Any], fakes: FakeGateways) -> None:
    assert faults(audited(TWILIO, fakes, **overrides)) == {"sender"}


@pytest.mark.parametrize(
    ("overrides", "finding"),
    [({"TWILIO_PHONE_NUMBER": "Salon"}, "note"), ({"TWILIO_MESSAGING_SERVICE_SID": "MG" + "0" * 32}, "ok")],
)
def test_a_sender_name_cannot_be_read_and_a_service_can(
    overrides: dict[str, Any], finding: str, fakes: FakeGateways
) -> None:
    assert audited(TWILIO, fakes, **overrides)["sender"].finding.value == finding


@pytest.mark.parametrize("state", ["rejected", "paused", "pending", "unsubmitted"])
def test_a_content_template_that_is_not_approved_is_a_fault_of_that_channel(state: str, fakes: FakeGateways) -> None:
    fakes.configure(twilio={"content_statuses": {"HX" + "0" * 32: state}})

    lines = audited(TWILIO, fakes)

    assert faults(lines) == {"whatsapp_template"}
    assert lines["whatsapp_template"].value == state


@pytest.mark.parametrize("state", ["PAUSED", "DISABLED", "REJECTED", "PENDING"])
def test_a_template_that_is_not_approved_in_one_language_is_named(state: str, fakes: FakeGateways) -> None:
    one = {"name": "otp_code", "language": "en", "status": "APPROVED"}
    other = {"name": "otp_code", "language": "ar", "status": state, "id": "3"}
    fakes.configure(meta={"templates": [one, other, {"name": "otp_code_old", "language": "ar", "id": "4"}]})

    lines = audited(META, fakes)

    assert faults(lines) == {"template_ar"}
    assert lines["template_ar"].value == state


def test_a_template_that_is_missing_or_of_another_category_is_named(fakes: FakeGateways) -> None:
    fakes.configure(meta={"templates": [{"name": "otp_code", "language": "en", "category": "MARKETING"}]})

    lines = audited(META, fakes)

    assert faults(lines) == {"template_ar"}
    assert lines["template_ar"].value == "missing"
    assert lines["template_en_category"].finding is Finding.WARNING


@pytest.mark.parametrize(
    ("overrides", "check", "finding"),
    [
        ({"WHATSAPP_PHONE_NUMBER_ID": "999"}, "sender", "fault"),
        ({"WHATSAPP_BUSINESS_ACCOUNT_ID": ""}, "template", "note"),
        ({"WHATSAPP_BUSINESS_ACCOUNT_ID": "999"}, "template", "warning"),
        ({"WHATSAPP_APP_SECRET": ""}, "webhook_secret", "warning"),
        ({"OTP_WHATSAPP_TEMPLATE_APPROVED": False}, "whatsapp_open", "note"),
    ],
)
def test_what_is_wrong_or_missing_at_meta_is_named(
    overrides: dict[str, Any], check: str, finding: str, fakes: FakeGateways
) -> None:
    assert audited(META, fakes, **overrides)[check].finding.value == finding


def test_a_number_that_people_report_is_a_warning(fakes: FakeGateways) -> None:
    fakes.configure(meta={"quality_rating": "RED"})

    assert audited(META, fakes)["sender"].finding is Finding.WARNING


@pytest.mark.parametrize("case", ONE_OF_EACH, ids=lambda case: case.id)
@pytest.mark.parametrize(
    ("fault", "params"),
    [
        ("hang", {"seconds": 20}),
        ("html_500", {}),
        ("html_200", {}),
        ("huge", {}),
        ("deep_json", {}),
        ("reset", {}),
        ("throttled", {}),
        ("bad_json", {}),
        ("redirect", {}),
        ("drip", {"headers": True}),
    ],
    ids=str,
)
def test_a_gateway_that_answers_badly_makes_no_fault_and_no_crash_and_holds_nobody_up(
    case: Case, fault: str, params: dict[str, Any], fakes: FakeGateways
) -> None:
    fakes.script(case.vendor, fault, on="any", **params)
    started = time.monotonic()

    lines = audited(case, fakes, seconds=0.4, timeout=60.0)  # by its own timeout it would be longer

    assert time.monotonic() - started < 15
    assert faults(lines) == set()
    assert lines["credentials"].finding is Finding.WARNING


@pytest.mark.parametrize("case", ONE_OF_EACH, ids=lambda case: case.id)
def test_a_gateway_that_is_gone_is_a_warning(case: Case) -> None:
    with FakeGateways() as gone:
        provider: Any = gateway(case, gone)

    lines = {line.check: line for line in provider.audit(deadline=time.monotonic() + 1)}

    assert lines["credentials"].finding is Finding.WARNING
    assert faults(lines) == set()


def test_a_certificate_that_is_not_trusted_is_a_fault() -> None:
    with FakeGateways(tls=Certificate.EXPIRED) as fakes:
        lines = audited(BY_ID["authentica-otp"], fakes, AUTHENTICA_CA_BUNDLE=fakes.ca_file)

    assert faults(lines) == {"tls"}


def test_a_trusted_certificate_is_told() -> None:
    with FakeGateways(tls=Certificate.GOOD) as fakes:
        assert audited(AUTHENTICA, fakes, AUTHENTICA_CA_BUNDLE=fakes.ca_file)["tls"].finding is Finding.OK
