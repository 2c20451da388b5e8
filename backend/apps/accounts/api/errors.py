"""THE place where an error becomes an answer: one literal table, and RFC 9457 problem details made from it.

It must not know what went wrong further in than the error says: no text of an exception ever leaves here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from zlib import crc32

from django.http import HttpResponse

from apps.accounts.api import texts
from apps.accounts.errors import AccountsError, DeliveryFailed, ProofRequired
from apps.accounts.services.idempotency import as_text

PROBLEM_TYPE: Final = "application/problem+json"


class MethodNotAllowed(AccountsError):
    """`allow` lists the methods that are there."""

    code = "method_not_allowed"

    def __init__(self, allow: str) -> None:
        super().__init__()
        self.allow = allow


class BodyTooLarge(AccountsError):
    code = "body_too_large"


class UnsupportedMediaType(AccountsError):
    code = "unsupported_media_type"


class Forbidden(AccountsError):
    """A staff page that this member of staff may not see, or a form without its token."""

    code = "forbidden"


@dataclass(frozen=True, slots=True)
class Row:
    """What a code answers with."""

    status: int
    title: str


ANSWERS: Final[Mapping[str, Row]] = {
    "invalid_request": Row(400, "Invalid request"),
    "invalid_phone_number": Row(400, "Invalid phone number"),
    "invalid_otp": Row(400, "Invalid or expired OTP"),
    "not_authenticated": Row(401, "Not authenticated"),
    "token_invalid": Row(401, "Token invalid"),
    "token_expired": Row(401, "Token expired"),
    "session_revoked": Row(401, "Session revoked"),
    "refresh_reused": Row(401, "Refresh token reused"),
    "blocked": Row(403, "Blocked"),
    "country_not_allowed": Row(403, "Country not allowed"),
    "account_disabled": Row(403, "Account disabled"),
    "step_up_required": Row(403, "Step-up required"),
    "proof_required": Row(403, "Proof required"),
    "forbidden": Row(403, "Forbidden"),
    "user_not_found": Row(404, "User not found"),
    "not_found": Row(404, "Not found"),
    "method_not_allowed": Row(405, "Method not allowed"),
    "phone_in_use": Row(409, "Phone number in use"),
    "request_in_progress": Row(409, "Request in progress"),
    "force_required": Row(409, "Force required"),
    "body_too_large": Row(413, "Body too large"),
    "unsupported_media_type": Row(415, "Unsupported media type"),
    "phone_unreachable": Row(422, "Phone unreachable"),
    "channel_unavailable": Row(422, "Channel unavailable"),
    "idempotency_key_reused": Row(422, "Idempotency key reused"),
    "resend_cooldown": Row(429, "Resend cooldown"),
    "rate_limited": Row(429, "Rate limited"),
    "too_many_attempts": Row(429, "Too many attempts"),
    "internal_error": Row(500, "Internal error"),
    "delivery_failed": Row(503, "Delivery failed"),
    "service_unavailable": Row(503, "Service unavailable"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it will be answered: its status, the members of its body, its headers."""

    status: int
    members: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def describe(
    error: AccountsError,
    *,
    language: str = "en",
    request_id: str = "",
    compatible: bool = False,
    challenge: Mapping[str, Any] | None = None,
) -> Problem:
    """Return the answer to `error`; `compatible` answers `delivery_failed` as the first mobile API did, with 500.

    `error.detail` is for our own logs and never part of it; the words come from api/texts.py.
    """
    row = ANSWERS.get(error.code, ANSWERS["internal_error"])
    code = error.code if error.code in ANSWERS else "internal_error"
    status = 500 if compatible and isinstance(error, DeliveryFailed) else row.status
    detail = texts.detail(code, detail_key=error.detail_key, scope=error.scope, language=language)
    members: dict[str, Any] = {
        "type": f"/errors/{code}",
        "title": row.title,
        "status": status,
        "detail": detail,
        "code": code,
        "error": detail,
        "request_id": request_id,
    }
    wait = _wait(error, row.status, request_id)
    if wait is not None:
        members["retry_after"] = wait
    if error.fields:
        members["fields"] = {
            name: [texts.field_fault(key, language=language) for key in keys] for name, keys in error.fields.items()
        }
    if challenge is not None:
        members["challenge"] = challenge
    if error.canonical is not None:
        members["canonical"] = error.canonical
    if error.scope is not None:
        members["scope"] = error.scope
    if isinstance(error, ProofRequired) and error.provider:
        members["provider"] = error.provider
    return Problem(status=status, members=members, headers=_headers(error, status, wait))


def answer(problem: Problem) -> HttpResponse:
    """Return `problem` as a response."""
    response = HttpResponse(to_json(problem.members), status=problem.status, content_type=PROBLEM_TYPE)
    for name, value in problem.headers.items():
        response.headers[name] = value
    return response


def to_json(data: Any) -> bytes:
    """Return `data` as compact JSON in UTF-8."""
    return as_text(data).encode()


def _wait(error: AccountsError, status: int, request_id: str) -> int | None:
    if error.retry_after is not None:
        return max(1, math.ceil(error.retry_after))
    if status == 429:
        return 1
    # Spread over 1 to 5 seconds, so that those who were turned away together do not come back together.
    return 1 + crc32(request_id.encode()) % 5 if status == 503 else None


def _headers(error: AccountsError, status: int, wait: int | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    if wait is not None:
        headers["Retry-After"] = str(wait)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = error.allow
    return headers
