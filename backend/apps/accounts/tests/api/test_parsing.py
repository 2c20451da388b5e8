"""Bad input is refused at the door: 400, 413 or 415, never a 5xx, and nothing is coerced."""

import io
import json
from contextlib import suppress
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.api import fields, parsing
from apps.accounts.api.errors import BodyTooLarge
from apps.accounts.api.serializers import PhoneResendBody, PhoneVerifyBody
from apps.accounts.errors import InvalidRequest
from apps.accounts.tests.api.conftest import Send, problem

ECHO = "/api/auth/echo/"
GOOD = {"phone_number": "+966501234567"}

MALFORMED = {
    "truncated": b'{"phone_number": "+9665',
    "no json at all": b"phone_number=%2B966501234567",
    "nested lists": b"[" * 16_000,
    "nested objects": b'{"a":' * 3_000,
    "nested and closed": b'{"a":' + b"[" * 900 + b"]" * 900 + b"}",
    "deeper than the limit": b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
    "NaN": b'{"phone_number": "+966501234567", "x": NaN}',
    "Infinity": b'{"phone_number": "+966501234567", "x": -Infinity}',
    "a number that overflows": b'{"phone_number": "+966501234567", "x": 1e999}',
    "a number of 5000 digits": b'{"phone_number": "+966501234567", "x": ' + b"9" * 5000 + b"}",
    "duplicate keys": b'{"phone_number": "+966501234567", "phone_number": "+966501234568"}',
    "duplicate keys further in": b'{"phone_number": "+966501234567", "x": {"a": 1, "a": 2}}',
    "duplicate keys by escape": b'{"phone_number": "+966501234567", "phone\\u005fnumber": "+966501234568"}',
    "a list": b"[]",
    "a string": b'"+966501234567"',
    "null": b"null",
    "only white space": b"   ",
    "two objects": b"{}{}",
    "an escaped NUL": b'{"phone_number": "+966501234567\\u0000"}',
    "a NUL in an unknown member": b'{"phone_number": "+966501234567", "x": ["\\u0000"]}',
    "a NUL in a name": b'{"phone_number": "+966501234567", "x\\u0000": 1}',
    "a raw NUL": b'{"phone_number": "+966501234567\x00"}',
    "a lone surrogate": b'{"phone_number": "\\ud83d"}',
    "a lone surrogate in an unknown member": b'{"phone_number": "+966501234567", "x": {"y": "\\udc00"}}',
    "a raw surrogate": b'{"phone_number": "\xed\xa0\x80"}',
    "no UTF-8": b'{"phone_number": "\xff"}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "a comment": b'{"phone_number": "+966501234567"} // hi',
    "single quotes": b"{'phone_number': '+966501234567'}",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_body_that_is_not_one_plain_object_is_400(send: Send, raw: bytes) -> None:
    problem(send("POST", ECHO, raw), 400, "invalid_request")


@pytest.mark.parametrize(
    ("query", "named"), [("window=١h", True), ("window=1h&other=é", False), ("window=\ufffd", True)]
)
def test_a_query_with_raw_bytes_that_no_address_may_hold_is_400(send: Send, query: str, named: bool) -> None:
    assert ("window" in problem(send("GET", f"{ECHO}?{query}"), 400, "invalid_request").get("fields", {})) is named


def test_a_query_that_nobody_reads_refuses_nothing(send: Send) -> None:
    assert send("GET", "/api/auth/one/abc/?window=١h").status_code == 200


def test_a_surrogate_pair_is_text(send: Send) -> None:
    response = send("POST", ECHO, b'{"phone_number": "+966501234567", "device_name": "\\ud83d\\ude00"}')
    assert response.json()["body"]["device_name"] == "\U0001f600"


def test_unknown_members_are_ignored(send: Send) -> None:
    response = send("POST", ECHO, {**GOOD, "role": "admin", "id": 1, "nested": {"a": [1, 2]}})
    assert response.status_code == 200
    assert response.json()["body"] == GOOD


WRONG = {
    "a number": 966501234567,
    "a fraction": 1.5,
    "a list": ["+966501234567"],
    "an object": {"$ne": None},
    "true": True,
    "null": None,
}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("name", ["phone_number", "otp", "channel", "device_id", "device_name"])
def test_nothing_is_coerced_into_a_string(send: Send, name: str, value: Any) -> None:
    members = problem(send("POST", ECHO, {**GOOD, name: value}), 400, "invalid_request")
    assert list(members["fields"]) == [name]


@pytest.mark.parametrize("value", ["1", 1.0, True, None, 0, 10, [1]])
def test_a_whole_number_is_nothing_else(send: Send, value: Any) -> None:
    members = problem(send("POST", ECHO, {**GOOD, "count": value}), 400, "invalid_request")
    assert list(members["fields"]) == ["count"]


@pytest.mark.parametrize("value", ["true", 1, 0, None, []])
def test_a_flag_is_true_or_false(send: Send, value: Any) -> None:
    members = problem(send("POST", ECHO, {**GOOD, "force": value}), 400, "invalid_request")
    assert list(members["fields"]) == ["force"]


def test_all_faults_are_said_at_once(send: Send) -> None:
    members = problem(send("POST", ECHO, {"otp": 1, "channel": "pigeon"}), 400, "invalid_request")
    assert members["fields"] == {
        "phone_number": ["This field is required."],
        "otp": ["This field must be a string."],
        "channel": ["This is not one of the choices."],
    }


@pytest.mark.parametrize("body", [PhoneVerifyBody, PhoneResendBody])
def test_of_two_ways_to_name_a_challenge_one_is_needed_beside_what_else_is_wrong(body: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        fields.parse(body, {})
    assert (refused.value.fields or {})["phone_number"] == ["required"]
    assert fields.parse(body, {"challenge_id": "abc", "otp": "123456"})["challenge_id"] == "abc"


@pytest.mark.parametrize("otp", ["12345", "1234567", "", "12 456", "12345a", "²23456"])
def test_a_malformed_code_is_refused_at_the_door(send: Send, otp: str) -> None:
    members = problem(send("POST", ECHO, {**GOOD, "otp": otp}), 400, "invalid_request")
    assert members["fields"] == {"otp": ["The code has 6 digits."]}


@pytest.mark.parametrize("otp", ["١٢٣٤٥٦", " 123456\n", "１２３４５６", "۱۲۳۴۵۶"])
def test_digits_of_any_script_and_space_around_a_code_are_fine(send: Send, otp: str) -> None:
    assert send("POST", ECHO, {**GOOD, "otp": otp}).json()["body"]["otp"] == "123456"


@pytest.mark.parametrize("device_id", ["", "a" * 129, "a b", "é", "a\n", "a/b"])
def test_a_malformed_device_id_is_400_wherever_it_stands(send: Send, device_id: str) -> None:
    assert list(problem(send("POST", ECHO, {**GOOD, "device_id": device_id}), 400, "invalid_request")["fields"]) == [
        "device_id"
    ]
    assert list(
        problem(send("POST", "/api/auth/optional/", {"device_id": device_id}), 400, "invalid_request")["fields"]
    )
    if device_id:
        problem(send("POST", ECHO, GOOD, x_device_id=device_id), 400, "invalid_request")


def test_the_bodys_device_id_wins_over_the_header(send: Send) -> None:
    assert send("POST", ECHO, {**GOOD, "device_id": "body"}, x_device_id="header").json()["device_id"] == "body"
    assert send("POST", ECHO, GOOD, x_device_id="header").json()["device_id"] == "header"
    assert send("POST", "/api/auth/optional/", {"device_id": "body"}).json()["device_id"] == "body"


@pytest.mark.parametrize("name", ["with\x1bescape", "line\nbreak", "x" * 17])
def test_a_text_has_no_control_characters_and_an_end(send: Send, name: str) -> None:
    members = problem(send("POST", ECHO, {**GOOD, "device_name": name}), 400, "invalid_request")
    assert list(members["fields"]) == ["device_name"]


def test_white_space_around_a_number_is_not_trimmed(send: Send) -> None:
    assert send("POST", ECHO, {"phone_number": " +966501234567"}).json()["body"]["phone_number"] == " +966501234567"


def test_a_body_of_16_kib_passes_and_one_byte_more_is_413(send: Send) -> None:
    frame = len(b'{"phone_number":"+966501234567","x":""}')
    for length, status in ((parsing.MAX_BODY, 200), (parsing.MAX_BODY + 1, 413)):
        raw = b'{"phone_number":"+966501234567","x":"' + b"y" * (length - frame) + b'"}'
        assert len(raw) == length
        assert send("POST", ECHO, raw).status_code == status


class Untouchable(io.RawIOBase):
    """A body that nobody may start to read."""

    def readinto(self, buffer: Any) -> int:
        raise AssertionError("the body was read")


def request_with(stream: Any, **meta: str) -> WSGIRequest:
    return WSGIRequest({**RequestFactory().generic("POST", ECHO).META, "wsgi.input": stream, **meta})


def test_a_large_body_is_refused_by_its_length_alone() -> None:
    request = request_with(Untouchable(), CONTENT_LENGTH="999999999", CONTENT_TYPE="application/json")
    with pytest.raises(BodyTooLarge):
        parsing.read_object(request)


@pytest.mark.parametrize("length", ["-1", "1_0", "+2", "two", "9" * 30])
def test_a_length_that_is_no_number_is_400(length: str) -> None:
    with pytest.raises(InvalidRequest):
        parsing.read_object(request_with(io.BytesIO(b"{}"), CONTENT_LENGTH=length, CONTENT_TYPE="application/json"))


def test_a_body_shorter_than_announced_is_400_even_if_it_parses() -> None:
    with pytest.raises(InvalidRequest):
        parsing.read_object(request_with(io.BytesIO(b"{}"), CONTENT_LENGTH="10", CONTENT_TYPE="application/json"))


def test_a_chunked_body_is_read_and_bounded() -> None:
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": "", "CONTENT_TYPE": "application/json"}
    assert parsing.read_object(request_with(io.BytesIO(b'{"a": 1}'), **chunked)) == {"a": 1}
    endless = io.BytesIO(b" " * 10_000_000)
    with pytest.raises(BodyTooLarge):
        parsing.read_object(request_with(endless, **chunked))
    assert endless.tell() == parsing.MAX_BODY + 1


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; version=1",
        "application/json, text/plain",
        "application/jsonp",
        "application/problem+json",
        "",
    ],
)
def test_any_other_content_type_is_415(send: Send, content_type: str) -> None:
    problem(send("POST", ECHO, GOOD, content_type=content_type), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"']
)
def test_json_in_utf_8_is_the_one_content_type(send: Send, content_type: str) -> None:
    assert send("POST", ECHO, GOOD, content_type=content_type).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "identity", "br"])
def test_any_content_coding_is_415(send: Send, coding: str) -> None:
    problem(send("POST", ECHO, GOOD, content_encoding=coding), 415, "unsupported_media_type")


def test_a_call_without_required_members_needs_no_body_and_no_content_type(send: Send) -> None:
    assert send("POST", "/api/auth/optional/").json()["body"] == {}
    assert send("POST", "/api/auth/nothing/").status_code == 204
    assert send("DELETE", "/api/auth/nothing/", content_type="text/plain").status_code == 204


def test_a_call_with_required_members_and_no_body_says_what_is_missing(send: Send) -> None:
    members = problem(send("POST", ECHO), 400, "invalid_request")
    assert list(members["fields"]) == ["phone_number"]


def test_a_body_that_nobody_asked_for_obeys_the_same_rules(send: Send) -> None:
    problem(send("POST", "/api/auth/nothing/", b"{"), 400, "invalid_request")
    problem(send("DELETE", "/api/auth/nothing/", b"a=1", content_type="text/plain"), 415, "unsupported_media_type")
    problem(send("DELETE", "/api/auth/nothing/", b" " * 20_000), 413, "body_too_large")


def test_a_query_string_is_read_only_where_it_is_named(send: Send) -> None:
    assert send("GET", ECHO + "?window=1h&phone_number=%2B966501234567").json()["query"] == {"window": "1h"}
    assert send("POST", "/api/auth/optional/?channel=sms").json()["body"] == {}
    assert send("POST", ECHO + "?window=%00", {"phone_number": "+966501234567"}).json()["query"] == {}


def test_a_control_character_in_a_query_is_400(send: Send) -> None:
    problem(send("GET", ECHO + "?window=%00"), 400, "invalid_request")


@given(raw=st.binary(max_size=200))
def test_no_bytes_at_all_raise_anything_else(raw: bytes) -> None:
    with suppress(InvalidRequest):
        assert isinstance(parsing.parse(raw), dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(st.characters(blacklist_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc\\u", max_size=4), inner, max_size=3),
    max_leaves=10,
)


@given(members=st.dictionaries(st.text("abcé", max_size=4), JSON, max_size=4))
def test_what_is_read_is_what_was_sent(members: dict[str, Any]) -> None:
    text = json.dumps(members)
    if "\\u0000" in text:
        with pytest.raises(InvalidRequest):
            parsing.parse(text.encode())
    else:
        assert parsing.parse(text.encode()) == members


def test_the_same_members_are_the_same_bytes_in_any_order_and_spacing() -> None:
    left = parsing.parse(b'{"a": 1, "b": {"d": "\\u0661", "c": []}}')
    right = parsing.parse('{"b":{"c":[],"d":"١"},"a":1}'.encode())
    assert parsing.canonical(left) == parsing.canonical(right)
    assert parsing.canonical(left) != parsing.canonical({**left, "a": 2})
