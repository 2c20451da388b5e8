"""What each gateway makes of an order: the fields that the vendor gets, and what it refuses to send at all."""

import json
import time
from typing import Any

import pytest

from apps.accounts.providers.base import (
    Carries,
    Channel,
    CheckOutcome,
    OutcomeUnknown,
    Provider,
    Receipt,
    Rejected,
    Unavailable,
)
from apps.accounts.tests.providers.contract import (
    BY_ID,
    CALLBACK,
    CODE,
    CONTENT,
    PHONE,
    REFERENCE,
    SERVICE,
    TEXT,
    Case,
    build,
    gateway,
    order,
    values,
)
from fakegateways.handle import FakeGateways

OTP, SMS, VERIFY = (BY_ID[f"authentica-{mode}"] for mode in ("otp", "sms", "verify"))
TWILIO, TWILIO_WHATSAPP, META = BY_ID["twilio-sms"], BY_ID["twilio-whatsapp"], BY_ID["whatsapp"]


def got(case: Case, fakes: FakeGateways, *, overrides: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    gateway(case, fakes, **(overrides or {})).send(order(case, **changes))
    (message,) = fakes.messages()
    return {"endpoint": message.endpoint, **message.raw_fields}


def refused(provider: Provider, case: Case, **changes: Any) -> None:
    with pytest.raises(Rejected):
        provider.send(order(case, **changes))


def test_authentica_puts_our_code_into_its_template(fakes: FakeGateways) -> None:
    assert got(OTP, fakes) == {
        "endpoint": "send-otp", "method": "sms", "phone": PHONE, "template_id": 31, "otp": CODE,
    }  # fmt: skip


def test_authentica_uses_its_default_template_where_none_is_configured(fakes: FakeGateways) -> None:
    assert "template_id" not in got(OTP, fakes, overrides={"AUTHENTICA_TEMPLATE_ID": ""})


@pytest.mark.parametrize("overrides", [{}, {"AUTHENTICA_MODE": "sms"}, {"AUTHENTICA_SENDER_NAME": ""}])
def test_authentica_has_a_template_of_its_own_for_whatsapp(overrides: dict[str, Any], fakes: FakeGateways) -> None:
    assert got(BY_ID["authentica-otp-whatsapp"], fakes, overrides=overrides) == {
        "endpoint": "send-otp", "method": "whatsapp", "phone": PHONE, "template_id": 11, "otp": CODE,
    }  # fmt: skip


def test_authentica_sends_our_text_under_the_registered_name(fakes: FakeGateways) -> None:
    arabic = "048213 هو رمز الدخول"
    assert got(SMS, fakes, text=arabic) == {
        "endpoint": "send-sms", "phone": PHONE, "message": arabic, "sender_name": "Salon",
    }  # fmt: skip


def test_authentica_carries_a_notice_where_a_sender_name_is_configured(fakes: FakeGateways) -> None:
    fields = got(OTP, fakes, code=None, text="Your number was changed.")

    assert (fields["endpoint"], fields["message"]) == ("send-sms", "Your number was changed.")


def test_authentica_makes_the_code_itself_and_is_asked_about_it(fakes: FakeGateways) -> None:
    provider: Any = gateway(VERIFY, fakes)
    receipt = provider.send(order(VERIFY, code=None))
    (message,) = fakes.messages()

    def check(code: str) -> CheckOutcome:
        outcome = provider.check(to=PHONE, channel=Channel.SMS, code=code, deadline=time.monotonic() + 30)
        assert isinstance(outcome, CheckOutcome)
        return outcome

    assert receipt == Receipt()
    assert "otp" not in message.raw_fields
    wrong = "000000" if message.code != "000000" else "111111"
    assert check(wrong) is CheckOutcome.WRONG
    assert check(message.code) is CheckOutcome.RIGHT
    assert check(message.code) is CheckOutcome.WRONG


def test_our_own_code_is_not_given_to_a_vendor_that_makes_one(fakes: FakeGateways) -> None:
    assert "otp" not in got(VERIFY, fakes, code=CODE)


@pytest.mark.parametrize(
    ("fault", "params", "leaf"),
    [
        ("hang", {"seconds": 20}, OutcomeUnknown),
        ("html_500", {}, OutcomeUnknown),
        ("empty_object", {}, OutcomeUnknown),
        ("invalid", {}, Rejected),
        ("status", {"status": 200, "body": {"success": True}}, OutcomeUnknown),
        ("status", {"status": 200, "body": {"status": "true"}}, OutcomeUnknown),
    ],
)
def test_a_vendor_that_cannot_say_whether_a_code_is_right_is_not_taken_for_a_no(
    fault: str, params: dict[str, Any], leaf: type[Exception], fakes: FakeGateways
) -> None:
    provider: Any = gateway(VERIFY, fakes)
    fakes.script("authentica", fault, on="verify", **params)
    seconds = 1.5 if fault == "hang" else 30.0

    with pytest.raises(leaf):
        provider.check(to=PHONE, channel=Channel.SMS, code=CODE, deadline=time.monotonic() + seconds)


def test_twilio_gets_text_sender_lifetime_and_address_for_receipts(fakes: FakeGateways) -> None:
    assert got(TWILIO, fakes, valid_seconds=540, callback_url=CALLBACK) == {
        "endpoint": "messages",
        "To": PHONE,
        "From": "+15005550006",
        "Body": TEXT,
        "ValidityPeriod": "540",
        "RiskCheck": "enable",
        "StatusCallback": f"{CALLBACK}?reference={REFERENCE}#rc=5&rp=ct,rt,5xx",
    }


@pytest.mark.parametrize(("seconds", "sent"), [(0, "1"), (-5, "1"), (36_000, "36000"), (90_000, "36000")])
def test_a_lifetime_stays_within_what_twilio_takes(seconds: int, sent: str, fakes: FakeGateways) -> None:
    assert got(TWILIO, fakes, valid_seconds=seconds)["ValidityPeriod"] == sent


def test_without_an_address_for_receipts_twilio_is_asked_for_none(fakes: FakeGateways) -> None:
    assert "StatusCallback" not in got(TWILIO, fakes)


def test_an_address_with_a_query_keeps_it(fakes: FakeGateways) -> None:
    fields = got(TWILIO, fakes, callback_url=f"{CALLBACK}?a=1")

    assert fields["StatusCallback"].startswith(f"{CALLBACK}?a=1&reference={REFERENCE}#")


def test_a_messaging_service_goes_before_a_sender_number(fakes: FakeGateways) -> None:
    fields = got(BY_ID["twilio-service"], fakes)

    assert (fields["MessagingServiceSid"], "From" in fields) == (SERVICE, False)


def test_twilio_sends_whatsapp_by_a_content_template_with_the_code_in_it(fakes: FakeGateways) -> None:
    fields = got(TWILIO_WHATSAPP, fakes)

    assert fields["To"] == f"whatsapp:{PHONE}"
    assert fields["From"] == "whatsapp:+15005550006"
    assert fields["ContentSid"] == CONTENT
    assert json.loads(fields["ContentVariables"]) == {"1": CODE}
    assert "Body" not in fields


def test_a_whatsapp_sender_may_be_configured_with_its_prefix(fakes: FakeGateways) -> None:
    fields = got(TWILIO_WHATSAPP, fakes, overrides={"TWILIO_WHATSAPP_FROM": "whatsapp:+15005550006"})

    assert fields["From"] == "whatsapp:+15005550006"


@pytest.mark.parametrize("language", ["ar", "en"])
def test_meta_gets_the_code_twice_the_language_and_our_reference(language: str, fakes: FakeGateways) -> None:
    fields = got(META, fakes, language=language)
    given = [{"type": "text", "text": CODE}]

    assert (fields["to"], fields["biz_opaque_callback_data"]) == (PHONE.lstrip("+"), REFERENCE)
    assert fields["template"] == {
        "name": "otp_code",
        "language": {"code": language},
        "components": [
            {"type": "body", "parameters": given},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": given},
        ],
    }


def test_a_notice_is_not_sent_where_only_templates_go(fakes: FakeGateways) -> None:
    refused(gateway(META, fakes), META, code=None)
    refused(gateway(TWILIO_WHATSAPP, fakes), TWILIO_WHATSAPP, code=None)
    refused(gateway(BY_ID["authentica-otp-whatsapp"], fakes), BY_ID["authentica-otp-whatsapp"], code=None)
    refused(gateway(OTP, fakes, AUTHENTICA_SENDER_NAME=""), OTP, code=None)

    assert fakes.messages() == []


def test_a_channel_that_a_gateway_does_not_have_is_refused_without_a_call(fakes: FakeGateways) -> None:
    refused(gateway(META, fakes), META, channel=Channel.SMS)
    refused(gateway(TWILIO_WHATSAPP, fakes, TWILIO_CONTENT_SID=""), TWILIO_WHATSAPP)
    refused(gateway(TWILIO, fakes, TWILIO_PHONE_NUMBER=""), TWILIO)

    assert fakes.messages() == []


@pytest.mark.parametrize(
    ("name", "overrides", "channels", "carries"),
    [
        ("authentica", {}, "sms whatsapp", "code text"),
        ("authentica", {"AUTHENTICA_SENDER_NAME": ""}, "sms whatsapp", "code"),
        ("authentica", {"AUTHENTICA_WHATSAPP_TEMPLATE_ID": ""}, "sms", "code text"),
        ("authentica", {"AUTHENTICA_MODE": "sms", "AUTHENTICA_WHATSAPP_TEMPLATE_ID": ""}, "sms", "text"),
        ("authentica", {"AUTHENTICA_MODE": "verify"}, "sms whatsapp", "mint"),
        ("twilio", {}, "sms whatsapp", "code text"),
        ("twilio", {"TWILIO_CONTENT_SID": ""}, "sms", "text"),
        ("twilio", {"TWILIO_WHATSAPP_FROM": ""}, "sms", "text"),
        ("twilio", {"TWILIO_PHONE_NUMBER": ""}, "whatsapp", "code text"),
        ("whatsapp", {}, "whatsapp", "code"),
        ("whatsapp", {"OTP_WHATSAPP_TEMPLATE_APPROVED": False}, "", "code"),
        ("console", {}, "sms whatsapp", "code text"),
        ("console", {"OTP_WHATSAPP_TEMPLATE_APPROVED": False}, "sms", "code text"),
    ],
)
def test_channels_and_loads_follow_from_the_configuration(
    name: str, overrides: dict[str, Any], channels: str, carries: str
) -> None:
    provider = build(values(**overrides))[name]

    assert provider.channels() == {Channel(word) for word in channels.split()}
    assert provider.carries == {Carries(word) for word in carries.split()}


@pytest.mark.parametrize(
    ("overrides", "missing"),
    [
        ({"DEBUG": False}, "console"),
        ({"AUTHENTICA_API_KEY": ""}, "authentica"),
        ({"TWILIO_ENABLED": False}, "twilio"),
        ({"TWILIO_ACCOUNT_SID": ""}, "twilio"),
        ({"TWILIO_AUTH_TOKEN": ""}, "twilio"),
        ({"WHATSAPP_TOKEN": ""}, "whatsapp"),
        ({"WHATSAPP_PHONE_NUMBER_ID": ""}, "whatsapp"),
        ({"WHATSAPP_TEMPLATE_NAME": ""}, "whatsapp"),
    ],
)
def test_a_gateway_that_is_not_configured_is_not_built(overrides: dict[str, Any], missing: str) -> None:
    everything = {"console", "authentica", "twilio", "whatsapp"}

    assert set(build(values())) == everything
    assert set(build(values(**overrides))) == everything - {missing}


def test_a_file_of_authorities_that_cannot_be_read_is_named_by_its_variable() -> None:
    with pytest.raises(ValueError, match="AUTHENTICA_CA_BUNDLE cannot"):
        build(values(AUTHENTICA_CA_BUNDLE="/nowhere/authorities.pem"))


def test_the_console_shows_the_message_and_keeps_it(capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[Any] = []
    console = build(values(), outbox=lambda *given, **named: kept.append((given, named)))["console"]

    receipt = console.send(order(TWILIO, text=f"{TEXT}\n\n@example.org #{CODE}"))

    ((given, named),) = kept
    assert receipt == Receipt()
    assert given == (PHONE,)
    assert named.pop("sent_at").tzinfo is not None
    assert named == {"channel": "sms", "text": f"{TEXT}\n\n@example.org #{CODE}", "code": CODE}
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert TEXT in shown.err
    assert PHONE not in shown.err
    assert shown.out == ""


def test_a_message_that_the_console_cannot_keep_was_not_sent() -> None:
    def full(*given: Any, **named: Any) -> None:
        raise OSError("no space")

    console = build(values(), outbox=full)["console"]

    with pytest.raises(Unavailable):
        console.send(order(TWILIO))
