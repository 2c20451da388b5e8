"""What Twilio tells about an account: its state, money, numbers, services and templates; sends nothing."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qs

from fakegateways.catalogue import Operation
from fakegateways.config import TwilioConfig
from fakegateways.dialect import Call
from fakegateways.wire import Request

_DATE: Final = "Fri, 20 Nov 2026 07:00:00 +0000"
_PATHS: Final = (
    (re.compile(r"^/2010-04-01/Accounts/(?P<account>[^/.]+)\.json$"), Operation.READ, "account"),
    (re.compile(r"^/2010-04-01/Accounts/(?P<account>[^/]+)/Balance\.json$"), Operation.BALANCE, "balance"),
    (re.compile(r"^/2010-04-01/Accounts/(?P<account>[^/]+)/IncomingPhoneNumbers\.json$"), Operation.READ, "numbers"),
    (re.compile(r"^/v1/Services/(?P<sid>MG[^/]+)$"), Operation.READ, "service"),
    (re.compile(r"^/v1/Services/(?P<sid>MG[^/]+)/PhoneNumbers$"), Operation.READ, "service-numbers"),
    (re.compile(r"^/v1/Content/(?P<sid>HX[^/]+)$"), Operation.READ, "content"),
    (re.compile(r"^/v1/Content/(?P<sid>HX[^/]+)/ApprovalRequests$"), Operation.READ, "content-approval"),
)


def read(request: Request, path: str, *, auth_ok: bool, account_sid: str) -> Call | None:
    """Understand a reading call; None when Twilio has no such address."""
    for pattern, operation, endpoint in _PATHS:
        found = pattern.match(path)
        if found:
            parts = found.groupdict()
            target = parts.get("account", account_sid)
            return Call(request, operation, endpoint, "", {"sid": parts.get("sid", "")}, auth_ok, target)
    return None


def answer(call: Call, config: TwilioConfig, *, balance: str) -> dict[str, Any] | None:
    """Return the body for a reading call, None for something this account does not own."""
    sid = call.fields["sid"]
    match call.endpoint:
        case "account":
            return _account(config)
        case "balance":
            return {"account_sid": config.account_sid, "balance": balance, "currency": "USD"}
        case "numbers":
            wanted = parse_qs(call.request.query).get("PhoneNumber", [config.phone_number])[0]
            return _numbers(config, owned=wanted == config.phone_number)
        case "service":
            return _service(config) if sid == config.messaging_service_sid else None
        case "service-numbers":
            return _service_numbers(config) if sid == config.messaging_service_sid else None
        case "content":
            return {"sid": sid, "account_sid": config.account_sid, "friendly_name": "otp", "language": "ar"} | {
                "variables": {"1": "123456"},
                "types": {"whatsapp/authentication": {"actions": [{"type": "COPY_CODE", "copy_code_text": "Copy"}]}},
            }
        case _:
            return _approval(config, sid)


def _account(config: TwilioConfig) -> dict[str, Any]:
    return {
        "auth_token": "hidden",
        "date_created": _DATE,
        "date_updated": _DATE,
        "friendly_name": "Fake account",
        "owner_account_sid": config.account_sid,
        "sid": config.account_sid,
        "status": config.account_status,
        "subresource_uris": {"messages": f"/2010-04-01/Accounts/{config.account_sid}/Messages.json"},
        "type": "Full",
        "uri": f"/2010-04-01/Accounts/{config.account_sid}.json",
    }


def _numbers(config: TwilioConfig, *, owned: bool) -> dict[str, Any]:
    address = f"/2010-04-01/Accounts/{config.account_sid}/IncomingPhoneNumbers.json"
    number = {
        "sid": "PN" + "0" * 32,
        "account_sid": config.account_sid,
        "phone_number": config.phone_number,
        "friendly_name": config.phone_number,
        "capabilities": {"voice": False, "sms": True, "mms": False, "fax": False},
        "status": "in-use",
        "date_created": _DATE,
        "date_updated": _DATE,
    }
    return {
        "incoming_phone_numbers": [number] if owned else [],
        "page": 0,
        "page_size": 50,
        "start": 0,
        "end": 0,
        "first_page_uri": f"{address}?PageSize=50&Page=0",
        "next_page_uri": None,
        "previous_page_uri": None,
        "uri": f"{address}?PageSize=50&Page=0",
    }


def _service(config: TwilioConfig) -> dict[str, Any]:
    return {
        "sid": config.messaging_service_sid,
        "account_sid": config.account_sid,
        "friendly_name": "Fake messaging service",
        "smart_encoding": True,
        "validity_period": 36000,
        "usecase": "notifications",
        "us_app_to_person_registered": False,
        "status_callback": None,
    }


def _service_numbers(config: TwilioConfig) -> dict[str, Any]:
    number = {
        "sid": "PN" + "0" * 32,
        "account_sid": config.account_sid,
        "service_sid": config.messaging_service_sid,
        "phone_number": config.phone_number,
        "country_code": "US",
        "capabilities": ["SMS"],
    }
    return {"phone_numbers": [number], "meta": {"key": "phone_numbers", "page": 0, "page_size": 50}}


def _approval(config: TwilioConfig, sid: str) -> dict[str, Any]:
    status = config.content_statuses.get(sid, "approved")
    whatsapp = {
        "type": "whatsapp",
        "name": "otp",
        "category": "AUTHENTICATION",
        "content_type": "whatsapp/authentication",
        "status": status,
        "rejection_reason": "INVALID_FORMAT" if status == "rejected" else "",
        "allow_category_change": False,
    }
    return {"sid": sid, "account_sid": config.account_sid, "whatsapp": whatsapp}
