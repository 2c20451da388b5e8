"""The handset's two addresses, asked over a socket."""

import json
import re
import socket
from base64 import b64encode
from datetime import UTC, datetime
from email.message import Message
from hashlib import sha256
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from apps.accounts.messages import Language, TextOptions
from apps.accounts.tests.dev.stands import Stand, serve


def call(stand: Stand, path: str, *, method: str = "GET", **headers: str) -> tuple[int, Message, str]:
    request = Request(stand.url + path, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except HTTPError as error:
        return error.code, error.headers, error.read().decode()


def test_messages_are_json_newest_first_with_what_the_contract_names(stand: Stand) -> None:
    text = stand.send(code="000001")
    stand.send(code="000002", channel="whatsapp")
    status, headers, body = call(stand, "/dev/messages/")
    newest, oldest = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert newest["code"] == "000002"
    assert newest["channel"] == "whatsapp"
    assert (oldest["to"], oldest["channel"], oldest["text"], oldest["code"]) == ("+966501234567", "sms", text, "000001")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", oldest["sent_at"])
    assert abs((datetime.now(UTC) - datetime.fromisoformat(oldest["sent_at"])).total_seconds()) < 60


def test_an_empty_outbox_is_an_empty_list(stand: Stand) -> None:
    assert call(stand, "/dev/messages/")[2] == "[]"


@pytest.mark.parametrize("asked", ["%2B966501234568", "+966501234568", "966501234568"])
def test_a_number_filters_however_its_plus_was_written(stand: Stand, asked: str) -> None:
    stand.send("+966501234567")
    stand.send("+966501234568")
    found = json.loads(call(stand, f"/dev/messages/?phone_number={asked}")[2])
    assert [message["to"] for message in found] == ["+966501234568"]


def test_an_unknown_number_finds_nothing(stand: Stand) -> None:
    stand.send()
    assert call(stand, "/dev/messages/?phone_number=nobody")[2] == "[]"


def test_a_number_in_raw_bytes_is_400(stand: Stand) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(stand.url).port or 0), timeout=10) as wire:
        wire.sendall("GET /dev/messages/?phone_number=+٩٦٦ HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        assert b" 400 " in wire.makefile("rb").readline()


def test_delete_empties_the_outbox(stand: Stand) -> None:
    stand.send()
    assert call(stand, "/dev/messages/", method="DELETE")[0] == 204
    assert stand.outbox.list() == []
    assert call(stand, "/dev/messages/")[2] == "[]"


def test_an_unchanged_list_is_answered_304_and_a_changed_one_whole(stand: Stand) -> None:
    stand.send()
    etag = call(stand, "/dev/messages/")[1]["ETag"]
    assert call(stand, "/dev/messages/", If_None_Match=etag)[0] == 304
    stand.send()
    assert call(stand, "/dev/messages/", If_None_Match=etag)[0] == 200


def test_each_message_says_its_size_and_who_would_fill_it_in(bound_stand: Stand) -> None:
    bound_stand.send(language=Language.AR)
    [message] = json.loads(call(bound_stand, "/dev/messages/")[2])
    analysis = message["analysis"]
    assert (analysis["encoding"], analysis["segments"], analysis["capacity"]) == ("UCS-2", 1, 70)
    assert analysis["units"] == len(message["text"]) <= 70
    assert analysis["bytes"] == len(message["text"].encode())
    assert {name: verdict["fires"] for name, verdict in analysis["autofill"].items()} == {
        "android_sms_retriever": True,
        "android_user_consent": True,
        "webotp": True,
        "ios_autofill": True,
    }


@pytest.mark.parametrize(("path", "allowed"), [("/dev/phone/", "GET, HEAD"), ("/dev/messages/", "GET, HEAD, DELETE")])
def test_another_method_is_405_with_what_is_allowed(stand: Stand, path: str, allowed: str) -> None:
    status, headers, _ = call(stand, path, method="PUT")
    assert (status, headers["Allow"]) == (405, allowed)


def test_the_page_may_run_its_own_script_alone_and_loads_nothing(stand: Stand) -> None:
    status, headers, body = call(stand, "/dev/phone/")
    policy = headers["Content-Security-Policy"]
    [script] = re.findall(r"<script>(.*?)</script>", body, re.DOTALL)
    assert status == 200
    assert f"script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.search(r'(?:src|href)="(?:https?:)?//', body)


def test_the_app_name_is_escaped_in_the_page(tmp_path: Path) -> None:
    with serve(tmp_path, TextOptions('"><script>alert(1)</script>')) as stand:
        assert "<script>alert(1)" not in call(stand, "/dev/phone/")[2]
