"""Signatures come out as the published vectors say."""

from __future__ import annotations

import pytest
from twilio.request_validator import HMAC_SHA256, RequestValidator

from fakegateways import signatures

_CALL = {
    "CallSid": "CA1234567890ABCDE",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
    "Caller": "+14158675309",
}
_REPEATED = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")]
_STATUS = {
    "MessageSid": "SM" + "0" * 32,
    "SmsSid": "SM" + "0" * 32,
    "MessageStatus": "delivered",
    "SmsStatus": "delivered",
    "AccountSid": "AC" + "0" * 32,
    "From": "+15005550006",
    "To": "+966500000001",
    "ApiVersion": "2010-04-01",
}


@pytest.mark.parametrize(
    ("url", "fields", "expected"),
    [
        ("https://mycompany.com/myapp.php?foo=1&bar=2", list(_CALL.items()), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("https://mycompany.com:443/myapp.php?foo=1&bar=2", list(_CALL.items()), "kvajT1Ptam85bY51eRf/AJRuM3w="),
        ("http://mycompany.com:80/myapp.php?foo=1&bar=2", list(_CALL.items()), "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        ("http://mycompany.com/myapp.php?foo=1&bar=2", list(_CALL.items()), "OyGYPqTF6ztdbRNCvuQO/oPvqQ4="),
        ("https://mycompany.com/myapp.php?foo=1&bar=2", _REPEATED, "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
        ("https://otp.example.test/v1/webhooks/twilio/status", list(_STATUS.items()), "S+KrWsGSCtCY+UefQO0nebbtoIk="),
    ],
)
def test_a_twilio_signature_equals_the_published_vector(url: str, fields: list[tuple[str, str]], expected: str) -> None:
    assert signatures.twilio("12345", url=url, fields=fields) == expected


def test_the_fragment_of_a_callback_url_is_not_signed() -> None:
    plain = signatures.twilio("12345", url="https://a.test/b?c=1", fields=_STATUS.items())
    assert signatures.twilio("12345", url="https://a.test/b?c=1#rc=2&rp=all", fields=_STATUS.items()) == plain


def test_a_shared_key_signature_is_accepted_by_the_official_reader() -> None:
    url = "https://otp.example.test/api/webhooks/twilio/"
    signature = signatures.twilio("a-shared-secret", url=url, fields=_STATUS.items(), sha256=True)
    reader = RequestValidator("a-shared-secret")
    assert reader.validate(url, _STATUS, signature, HMAC_SHA256)
    assert not reader.validate(url, _STATUS, signature)


def test_a_meta_signature_equals_the_known_vector() -> None:
    body = b'{"object":"whatsapp_business_account","entry":[]}'
    expected = "sha256=5d4a1124b075cf092476e6677b89ce220ec42f3593e0c842f738827622e0c143"
    assert signatures.meta("app-secret-test", body=body) == expected
