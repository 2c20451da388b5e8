"""The requests that our clients make fit the vendors' own descriptions, written by nobody here."""

import json
import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from apps.accounts.providers.base import Channel
from apps.accounts.tests.providers.contract import (
    ACCOUNT,
    BY_ID,
    CALLBACK,
    CASES,
    CODE,
    PHONE,
    Case,
    build,
    order,
    values,
)
from apps.accounts.tests.providers.official_description import FILES, FOLDER, faults
from apps.accounts.tests.providers.raw_server import RawServer, Seen
from apps.accounts.tests.providers.raw_server import http as reply

_MISSING = [name for name in FILES.values() if not (FOLDER / name).is_file()]
pytestmark = pytest.mark.skipif(
    bool(_MISSING),
    reason="the vendors' OpenAPI descriptions are not at hand: OTP_SPECS_DIR names the folder with "
    + ", ".join(_MISSING),
)

# What makes every question of an audit lead to the next one.
_ANSWER = {
    "success": True,
    "data": {"balance": "91"},
    "status": "active",
    "balance": "91",
    "id": "1",
    "sid": "SM" + "0" * 32,
    "incoming_phone_numbers": [1],
    "whatsapp": {"status": "approved"},
    "messages": [{"id": "wamid.1"}],
}


def requests_of(case: Case, **overrides: Any) -> tuple[list[Seen], list[Seen]]:
    """Return what a case sends for a message, and what it sends for an audit, as it left."""
    with RawServer(lambda request: reply(201, json.dumps(_ANSWER).encode())) as server:
        addresses = {
            "AUTHENTICA_BASE_URL": f"{server.url}/api/v2",
            "TWILIO_BASE_URL": server.url,
            "WHATSAPP_BASE_URL": server.url,
        }
        provider: Any = build(values(None, **{**addresses, **case.overrides, **overrides}))[case.provider]
        provider.send(order(case, callback_url=CALLBACK))
        sent = list(server.seen)
        provider.audit(deadline=time.monotonic() + 30)
        return sent, server.seen[len(sent) :]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_message_is_ordered_as_described(case: Case) -> None:
    (sent,), _ = requests_of(case)

    assert faults(case.provider, sent) == []


@pytest.mark.parametrize("language", ["ar", "en"])
def test_a_template_of_meta_is_ordered_as_described_in_every_language(language: str) -> None:
    with RawServer(lambda request: reply(200, json.dumps(_ANSWER).encode())) as server:
        provider = build(values(None, WHATSAPP_BASE_URL=server.url))["whatsapp"]
        provider.send(order(BY_ID["whatsapp"], language=language))

        assert faults("whatsapp", server.seen[0]) == []


def test_a_notice_is_ordered_as_described() -> None:
    with RawServer(lambda request: reply(201, json.dumps(_ANSWER).encode())) as server:
        gateways = build(values(None, TWILIO_BASE_URL=server.url, AUTHENTICA_BASE_URL=f"{server.url}/api/v2"))
        for name in ("twilio", "authentica"):
            gateways[name].send(order(BY_ID["twilio-sms"], code=None, text="Your number was changed."))

        assert [faults(name, seen) for name, seen in zip(("twilio", "authentica"), server.seen, strict=True)] == [
            [],
            [],
        ]


def test_a_code_is_asked_about_as_described() -> None:
    case = BY_ID["authentica-verify"]
    with RawServer(lambda request: reply(200, b'{"status": true}')) as server:
        read = values(None, AUTHENTICA_BASE_URL=f"{server.url}/api/v2", **case.overrides)
        provider: Any = build(read)["authentica"]
        provider.check(to=PHONE, channel=Channel.SMS, code=CODE, deadline=time.monotonic() + 30)

        assert faults("authentica", server.seen[0]) == []


@pytest.mark.parametrize("name", ["authentica-otp", "twilio-sms", "whatsapp"])
def test_an_audit_asks_as_described(name: str) -> None:
    case = BY_ID[name]
    _, asked = requests_of(case)

    # Content and Messaging Services are other products of Twilio, described elsewhere.
    within = [one for one in asked if not one.path.startswith(("/v1/Content/", "/v1/Services/"))]
    assert len(within) == {"authentica-otp": 1, "twilio-sms": 3, "whatsapp": 2}[name]
    assert [faults(case.provider, one) for one in within] == [[]] * len(within)


def form(**changes: Any) -> bytes:
    usual = {"To": PHONE, "From": "+15005550006", "Body": "x", "ValidityPeriod": "600", "RiskCheck": "enable"}
    return urlencode({name: value for name, value in (usual | changes).items() if value is not None}).encode()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"body": form(To=None)}, "'To' is a required property"),
        ({"body": form(Colour="red")}, "Unevaluated properties"),
        ({"body": form(ValidityPeriod="soon")}, "is not of type 'integer'"),
        ({"body": form(RiskCheck="maybe")}, "is not one of"),
        ({"body": form(MessagingServiceSid="MG1")}, "does not match"),
        ({"path": "/2010-04-01/Accounts/AC1/Messages.json"}, "path AccountSid"),
        ({"path": f"/2010-04-01/Accounts/{ACCOUNT}/Message.json"}, "no operation"),
        ({"method": "PUT"}, "no operation"),
        ({"headers": {"content-type": "application/json"}}, "content type"),
    ],
)
def test_the_description_of_twilio_is_really_asked(changes: dict[str, Any], fault: str) -> None:
    good = Seen(
        "POST",
        f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        "",
        {"content-type": "application/x-www-form-urlencoded"},
        form(),
    )

    assert faults("twilio", good) == []
    assert fault in "\n".join(faults("twilio", replace(good, **changes)))


@pytest.mark.parametrize(
    ("vendor", "name", "changes"),
    [
        ("authentica", "authentica-otp", {"phone": "966501234567"}),
        ("authentica", "authentica-otp", {"method": "pigeon"}),
        ("authentica", "authentica-otp", {"template_id": "31"}),
        ("authentica", "authentica-otp", {"otp": 48213}),
        ("authentica", "authentica-sms", {"message": None}),
        ("authentica", "authentica-sms", {"sender": "Salon"}),
        ("whatsapp", "whatsapp", {"messaging_product": None}),
        ("whatsapp", "whatsapp", {"type": "pigeon"}),
        ("whatsapp", "whatsapp", {"to": 966501234567}),
    ],
)
def test_the_other_descriptions_are_really_asked(vendor: str, name: str, changes: dict[str, Any]) -> None:
    (sent,), _ = requests_of(BY_ID[name])
    body = {key: value for key, value in (json.loads(sent.body) | changes).items() if value is not None}

    assert faults(vendor, replace(sent, body=json.dumps(body).encode())) != []


def test_meta_needs_a_token_and_a_named_client() -> None:
    (sent,), _ = requests_of(BY_ID["whatsapp"])
    bare = {name: value for name, value in sent.headers.items() if name not in ("authorization", "user-agent")}

    assert len(faults("whatsapp", replace(sent, headers=bare))) >= 1
