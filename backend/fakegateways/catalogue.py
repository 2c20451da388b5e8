"""The closed set of faults with what each takes; knows no rule, no wire format and no vendor's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from fakegateways.config import Vendor


class Operation(StrEnum):
    """What a call wants of the vendor. `ANY` is for rules only."""

    SEND = "send"
    VERIFY = "verify"
    BALANCE = "balance"
    READ = "read"
    ANY = "any"


class Fault(StrEnum):
    """Everything that can be ordered to go wrong."""

    STATUS = "status"
    UNAUTHORIZED = "unauthorized"
    NO_CREDIT = "no_credit"
    FORBIDDEN = "forbidden"
    INVALID = "invalid"
    THROTTLED = "throttled"
    HTML_500 = "html_500"
    BAD_GATEWAY = "bad_gateway"
    UNAVAILABLE = "unavailable"
    PROBLEM_JSON = "problem_json"
    VENDOR_ERROR = "vendor_error"
    REDIRECT = "redirect"
    HTML_200 = "html_200"
    BAD_JSON = "bad_json"
    EMPTY_OBJECT = "empty_object"
    EMPTY_BODY = "empty_body"
    DEEP_JSON = "deep_json"
    HUGE = "huge"
    WRONG_CHARSET = "wrong_charset"
    SUCCESS_FALSE = "success_false"
    HANG = "hang"
    HANG_BODY = "hang_body"
    DRIP = "drip"
    RESET = "reset"
    CUT = "cut"
    SLOW = "slow"
    SWALLOW = "swallow"
    HALF = "half"
    OTHER_CODE = "other_code"
    LOW_BALANCE = "low_balance"
    HELD = "held"
    BARE_ANSWER = "bare_answer"
    ASYNC_ERROR = "async_error"
    RECEIPTS = "receipts"


EVERY_VENDOR: Final = frozenset(Vendor)


@dataclass(frozen=True, slots=True)
class Spec:
    """What a fault takes: its parameters with their defaults, and whether the vendor does its work all the same.

    `accepted` None means that the question does not arise: the call is answered in the usual way.
    """

    summary: str
    params: Mapping[str, Any] = field(default_factory=dict)
    accepted: bool | None = False
    vendors: frozenset[Vendor] = EVERY_VENDOR
    on: Operation = Operation.SEND


_CALLBACK_VENDORS: Final = frozenset({Vendor.TWILIO, Vendor.META})

CATALOGUE: Final[dict[Fault, Spec]] = {
    Fault.STATUS: Spec(
        "any status and body",
        {"status": 500, "body": "", "content_type": "application/json", "headers": {}, "retry_after": ""},
    ),
    Fault.UNAUTHORIZED: Spec("401 in the vendor's shape"),
    Fault.NO_CREDIT: Spec("402, the account has no money"),
    Fault.FORBIDDEN: Spec("403 in the vendor's shape"),
    Fault.INVALID: Spec("422 (Laravel's shape at Authentica, problem+json at Twilio)"),
    Fault.THROTTLED: Spec("429; Retry-After when `retry_after` is given (seconds or a date)", {"retry_after": ""}),
    Fault.HTML_500: Spec("500 with an HTML page"),
    Fault.BAD_GATEWAY: Spec("502 with an HTML page"),
    Fault.UNAVAILABLE: Spec("503 in the vendor's shape", {"retry_after": ""}),
    Fault.PROBLEM_JSON: Spec(
        "400 as problem+json with a code", {"code": 20001, "status": 400}, vendors=frozenset({Vendor.TWILIO})
    ),
    Fault.VENDOR_ERROR: Spec("an error code of the vendor as the answer", {"code": 0, "status": 0, "retry_after": ""}),
    Fault.REDIRECT: Spec("302", {"location": "http://127.0.0.1:9/elsewhere"}),
    Fault.HTML_200: Spec("200 with an HTML page"),
    Fault.BAD_JSON: Spec("200 with JSON that breaks off"),
    Fault.EMPTY_OBJECT: Spec("200 with {}"),
    Fault.EMPTY_BODY: Spec("200 with nothing"),
    Fault.DEEP_JSON: Spec("200 with JSON nested `depth` deep", {"depth": 100_000}),
    Fault.HUGE: Spec("200 with JSON of `bytes` bytes", {"bytes": 10_000_000}),
    Fault.WRONG_CHARSET: Spec("200 that says UTF-8 and is not"),
    Fault.SUCCESS_FALSE: Spec("200 with the vendor's own word for no", {"message": "Failed to send"}),
    Fault.HANG: Spec("`seconds` of silence before the first byte", {"seconds": 60.0}, accepted=True),
    Fault.HANG_BODY: Spec("headers, then `seconds` of silence", {"seconds": 60.0}, accepted=True),
    Fault.DRIP: Spec("the body byte by byte", {"bytes_per_second": 1.0, "headers": False}, accepted=True),
    Fault.RESET: Spec("a TCP reset after the request was read, before any answer", {"gently": False}, accepted=True),
    Fault.CUT: Spec("a TCP reset after `at` bytes of the answer", {"at": 20, "gently": False}, accepted=True),
    Fault.SLOW: Spec("a late answer", {"ms": 1000.0, "jitter_ms": 0.0}, accepted=None),
    Fault.SWALLOW: Spec("accepted, then nothing: no handset, no receipt", accepted=None),
    Fault.HALF: Spec("every second message is swallowed", accepted=None),
    Fault.OTHER_CODE: Spec(
        "our `otp` is ignored and another code goes out", accepted=None, vendors=frozenset({Vendor.AUTHENTICA})
    ),
    Fault.LOW_BALANCE: Spec(
        "the balance endpoint says this",
        {"balance": "0.50"},
        accepted=None,
        vendors=frozenset({Vendor.AUTHENTICA, Vendor.TWILIO}),
        on=Operation.BALANCE,
    ),
    Fault.HELD: Spec(
        "accepted, but kept back: the answer's message_status says so and no handset gets it",
        {"message_status": "held_for_quality_assessment"},
        accepted=None,
        vendors=frozenset({Vendor.META}),
    ),
    Fault.BARE_ANSWER: Spec(
        "accepted; the answer has neither contacts nor message_status", accepted=None, vendors=frozenset({Vendor.META})
    ),
    Fault.ASYNC_ERROR: Spec(
        "accepted, then a receipt with this code",
        {"code": 0, "status": ""},
        accepted=None,
        vendors=_CALLBACK_VENDORS,
    ),
    Fault.RECEIPTS: Spec(
        "accepted, with receipts of another plan", {"plan": {}}, accepted=None, vendors=_CALLBACK_VENDORS
    ),
}

EVERYWHERE: Final[Mapping[str, Any]] = {"latency_ms": 0.0, "accepted": None, "on": ""}
