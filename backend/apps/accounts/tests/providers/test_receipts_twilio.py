"""Who may report a delivery of Twilio, and what a report says."""

import base64
import hmac
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apps.accounts.providers.base import DeliveryEvent, DeliveryStatus, FailureKind, WebhookCall
from apps.accounts.providers.twilio_receipts import TwilioListener
from apps.accounts.tests.providers.contract import BY_ID, CALLBACK, gateway, order
from apps.accounts.tests.providers.vendor_rows import TWILIO_RECEIPTS, TWILIO_ROWS, rows
from fakegateways.handle import FakeGateways

BASE = "https://otp.example.test"
PATH = "/v1/webhooks/twilio/status"
SID = "SM" + "0" * 32
DELIVERED = [
    ("MessageSid", SID),
    ("SmsSid", SID),
    ("MessageStatus", "delivered"),
    ("SmsStatus", "delivered"),
    ("AccountSid", "AC" + "0" * 32),
    ("From", "+15005550006"),
    ("To", "+966500000001"),
    ("ApiVersion", "2010-04-01"),
]
CALL = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
]
SEVERAL = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")]


def twilio(*, token: str = "12345", base: str = BASE, keys: list[tuple[str, str]] | None = None) -> TwilioListener:
    return TwilioListener(auth_token=token, webhook_keys=keys or [], public_base_url=base)


def posted(fields: Any, *, path: str = PATH, signature: str | None = None, settings: str | None = None) -> WebhookCall:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    if signature is not None:
        headers["x-twilio-signature"] = signature
    if settings is not None:
        headers["x-twilio-webhooks-signature-settings"] = settings
    return WebhookCall(method="POST", path=path, headers=headers, body=urlencode(fields).encode())


def signed(secret: str, url: str, fields: list[tuple[str, str]], algorithm: str = "sha1") -> str:
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), algorithm).digest()).decode()


@pytest.mark.parametrize(
    ("base", "path", "fields", "signature"),
    [
        ("https://mycompany.com", "/myapp.php?foo=1&bar=2", CALL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("https://mycompany.com:443", "/myapp.php?foo=1&bar=2", CALL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        ("http://mycompany.com:80", "/myapp.php?foo=1&bar=2", CALL, "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        ("http://mycompany.com", "/myapp.php?foo=1&bar=2", CALL, "OyGYPqTF6ztdbRNCvuQO/oPvqQ4="),
        ("https://mycompany.com", "/myapp.php?foo=1&bar=2", SEVERAL, "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
        (BASE, PATH, DELIVERED, "S+KrWsGSCtCY+UefQO0nebbtoIk="),
    ],
)
def test_the_published_signatures_of_twilio_are_accepted(
    base: str, path: str, fields: list[tuple[str, str]], signature: str
) -> None:
    assert twilio(base=base).authenticate(posted(fields, path=path, signature=signature))


@pytest.mark.parametrize(
    "call",
    [
        posted(DELIVERED),
        posted(DELIVERED, signature=""),
        posted(DELIVERED, signature="S+KrWsGSCtCY+UefQO0nebbtoIk"),
        posted(DELIVERED, signature="é" * 28),
        posted([*DELIVERED, ("ErrorCode", "30003")], signature="S+KrWsGSCtCY+UefQO0nebbtoIk="),
        posted(DELIVERED[:-1], signature="S+KrWsGSCtCY+UefQO0nebbtoIk="),
        posted(DELIVERED, path=PATH + "?a=1", signature="S+KrWsGSCtCY+UefQO0nebbtoIk="),
        posted(DELIVERED, signature=signed("", BASE + PATH, DELIVERED)),
        WebhookCall("POST", PATH, {"x-twilio-signature": "S+KrWsGSCtCY+UefQO0nebbtoIk="}, b"\xff\xfe"),
    ],
)
def test_what_twilio_did_not_sign_is_refused(call: WebhookCall) -> None:
    assert not twilio().authenticate(call)


def test_a_host_header_has_no_say_in_what_was_signed() -> None:
    call = posted(DELIVERED, signature=signed("12345", "https://evil.example" + PATH, DELIVERED))
    told = WebhookCall(call.method, call.path, {**call.headers, "host": "evil.example"}, call.body)

    assert not twilio().authenticate(told)


@pytest.mark.parametrize("listener", [twilio(token=""), twilio(base="")])
def test_without_a_token_or_a_configured_address_nobody_is_believed(listener: TwilioListener) -> None:
    assert not listener.authenticate(posted(DELIVERED, signature=signed("", BASE + PATH, DELIVERED)))
    assert not listener.authenticate(posted(DELIVERED, signature=signed("12345", PATH, DELIVERED)))


SHARED = [("key-1", "first secret"), ("key-2", "second secret")]


@pytest.mark.parametrize(
    ("settings", "secret", "algorithm", "accepted"),
    [
        ("key=key-1,algorithm=HMAC_SHA256", "first secret", "sha256", True),
        ("key=key-2, algorithm=HMAC_SHA256", "second secret", "sha256", True),
        ("key=key-2,algorithm=HMAC_SHA256", "first secret", "sha256", False),
        ("key=key-3,algorithm=HMAC_SHA256", "first secret", "sha256", False),
        ("key=key-3,algorithm=HMAC_SHA256", "", "sha256", False),
        ("key=key-1,algorithm=HMAC_SHA1", "first secret", "sha1", False),
        ("key=key-1,algorithm=HMAC_SHA1", "12345", "sha1", False),
        ("key=key-1,algorithm=NONE", "first secret", "sha256", False),
        ("key=key-1", "first secret", "sha256", False),
        ("", "12345", "sha1", False),
        (None, "first secret", "sha256", False),
        (None, "12345", "sha256", False),
        ("key=key-1,algorithm=HMAC_SHA256", "12345", "sha256", False),
    ],
)
def test_a_named_shared_key_must_be_ours_and_must_have_signed_with_sha256(
    settings: str | None, secret: str, algorithm: str, *, accepted: bool
) -> None:
    signature = signed(secret, BASE + PATH, DELIVERED, algorithm)

    assert twilio(keys=SHARED).authenticate(posted(DELIVERED, signature=signature, settings=settings)) is accepted


@pytest.mark.parametrize(
    ("body", "claimed", "accepted"),
    [
        (b'{"property": "value", "boolean": true}', None, True),
        (b'{"property": "value", "boolean": false}', None, False),
        (b'{"property": "value", "boolean": true}', "", False),
    ],
)
def test_a_json_body_is_believed_only_with_its_hash_in_the_signed_address(
    body: bytes, claimed: str | None, *, accepted: bool
) -> None:
    known = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
    path = f"{PATH}?bodySHA256={known if claimed is None else claimed}"
    headers = {"content-type": "application/json", "x-twilio-signature": signed("12345", BASE + path, [])}

    assert twilio().authenticate(WebhookCall("POST", path, headers, body)) is accepted


def test_a_signed_form_may_have_as_many_fields_as_its_bytes_hold() -> None:
    fields = [*DELIVERED, *((f"Field{number:04d}", "v") for number in range(3000))]
    call = posted(fields, signature=signed("12345", BASE + PATH, fields))
    assert len(call.body) < 64 * 1024
    assert twilio().authenticate(call)
    assert [event.status for event in twilio().events(call)] == [DeliveryStatus.DELIVERED]
    assert not twilio().authenticate(posted(fields[:-1], signature=call.headers["x-twilio-signature"]))
    repeated = [("a", "b")] * 5000
    assert twilio().authenticate(posted(repeated, signature=signed("12345", BASE + PATH, repeated)))


def test_the_time_that_a_form_takes_grows_with_its_bytes() -> None:
    few, many = (posted([(f"{number:x}", "") for number in range(count)], signature="x") for count in (1000, 16_000))

    def once(call: WebhookCall) -> float:
        started = time.thread_time()
        assert not twilio().authenticate(call)
        return time.thread_time() - started

    def seconds(call: WebhookCall) -> float:
        """Return the least of three: a collection of garbage that falls into one is not the form's."""
        return min(once(call) for _ in range(3))

    seconds(few)
    assert seconds(many) < 100 * max(seconds(few), 0.0003)  # sixteen times the fields


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("read", "delivered"),
        ("undelivered", "failed"),
        ("failed", "failed"),
        ("canceled", "failed"),
        ("partially_delivered", "unknown"),
    ],
)
def test_a_status_of_twilio_becomes_ours(word: str, status: str) -> None:
    (event,) = twilio().events(posted([("MessageSid", SID), ("MessageStatus", word)]))

    assert (event.vendor_id, event.status) == (SID, DeliveryStatus(status))


@pytest.mark.parametrize(
    "fields",
    [
        [("MessageStatus", word), ("MessageSid", SID)]
        for word in ("queued", "sending", "accepted", "received", "new", "")
    ]
    + [[("MessageStatus", "sent")], [("MessageStatus", "sent"), ("MessageSid", "x y")], [], [("MessageSid", SID)]],
)
def test_what_says_nothing_about_a_message_of_ours_is_passed_over(fields: list[tuple[str, str]]) -> None:
    assert twilio().events(posted(fields)) == []


@pytest.mark.parametrize("code", [code for code, _, _ in rows(TWILIO_ROWS)] + [99999, 0])
def test_a_failure_that_twilio_reports_decides_what_happens_next(code: int) -> None:
    (event,) = twilio().events(
        posted([("MessageSid", SID), ("MessageStatus", "undelivered"), ("ErrorCode", str(code))])
    )

    assert event.failure == TWILIO_RECEIPTS.get(code, FailureKind.GATEWAY)
    assert event.error_code == str(code)


def test_an_error_code_beside_a_delivery_is_no_failure_and_a_text_is_no_code() -> None:
    (delivered,) = twilio().events(posted([*DELIVERED, ("ErrorCode", "30005")]))
    (failed,) = twilio().events(posted([("MessageSid", SID), ("MessageStatus", "failed"), ("ErrorCode", "+96650")]))

    assert (delivered.failure, delivered.error_code) == (FailureKind.NONE, "")
    assert (failed.failure, failed.error_code) == (FailureKind.GATEWAY, "")


def test_a_callback_brings_back_our_reference_and_the_carriers_time() -> None:
    (event,) = twilio().events(posted([*DELIVERED, ("RawDlrDoneDate", "2611200759")], path=PATH + "?reference=abc123"))

    assert (event.reference, event.at) == ("abc123", datetime(2026, 11, 20, 7, 59, tzinfo=UTC))


@given(some.binary(max_size=400), some.text(max_size=60))
def test_no_body_breaks_the_listener_of_twilio(body: bytes, path: str) -> None:
    call = WebhookCall("POST", f"/x?{path}", {"x-twilio-signature": path}, body)

    assert twilio().authenticate(call) is False
    assert all(isinstance(event, DeliveryEvent) for event in twilio().events(call))


def test_what_the_fake_twilio_signs_is_accepted_end_to_end(fakes: FakeGateways) -> None:
    case = BY_ID["twilio-sms"]
    provider: Any = gateway(case, fakes)
    receipt = provider.send(order(case, callback_url=CALLBACK))

    (got,) = fakes.messages()
    address, _, wishes = got.raw_fields["StatusCallback"].partition("#")
    fields = [("MessageSid", receipt.vendor_id), ("MessageStatus", "delivered")]
    call = posted(fields, path=address.removeprefix(BASE), signature=signed("fake-twilio-token", address, fields))

    assert address == f"{CALLBACK}?reference={order(case).reference}"
    assert wishes == "rc=5&rp=ct,rt,5xx"
    assert provider.authenticate(call)
    (event,) = provider.events(call)
    assert (event.vendor_id, event.reference) == (receipt.vendor_id, order(case).reference)
