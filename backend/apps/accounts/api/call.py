"""A request as a view sees it, an answer as a view says it, and how headers are read. It must not know any view."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest

from apps.accounts.api import client_ip, fields
from apps.accounts.errors import InvalidRequest, NotAuthenticated, TokenInvalid
from apps.accounts.messages import Language
from apps.accounts.services.idempotency import Ticket

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,4096}")
_DEVICE_ID: Final = fields.DeviceId()


@dataclass(slots=True)
class Call:
    """One request, parsed. Texts the caller left out are empty, members of `body` that were left out are absent."""

    request: HttpRequest
    method: str
    request_id: str
    language: Language  # a StrEnum: "en" or "ar"
    client_ip: str
    user_agent: str = ""  # at most 256 characters, no control characters
    device_id: str = ""  # the body's wins over X-Device-ID
    device_name: str = ""
    device_token: str = ""  # X-Device-Token as it came
    proof: str = ""  # the body's wins over X-Proof-Token
    body: dict[str, Any] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    principal: Any = None
    idempotency_key: str | None = None
    ticket: Ticket = field(default_factory=Ticket)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a view says. `data` of None: no body and no content type."""

    status: int
    data: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def ip_of(request: HttpRequest) -> str:
    """Return the client's address by the rule of the contract; nothing else reads these headers."""
    meta = request.META
    forwarded = meta.get("HTTP_X_FORWARDED_FOR", "")  # safe: the one place, and client_ip judges it
    return client_ip.client_ip(meta.get("REMOTE_ADDR", ""), forwarded, settings.OTP.trusted_proxies)


def bearer_token(request: HttpRequest) -> str:
    """Return the token of `Authorization: Bearer …`.

    Raises:
        NotAuthenticated: there is none.
        TokenInvalid: what follows cannot be a token.
    """
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated
    if not _TOKEN.fullmatch(token):
        raise TokenInvalid
    found: str = token
    return found


def header_device_id(request: HttpRequest, *, strict: bool = True) -> str:
    """Return the device that X-Device-ID names, or nothing.

    Raises:
        InvalidRequest: it is malformed and `strict`; what only reads has no use for it.
    """
    given = request.META.get("HTTP_X_DEVICE_ID", "")
    try:
        return read_device_id(given) if given else ""
    except InvalidRequest:
        if strict:
            raise
        return ""


def read_device_id(given: Any) -> str:
    """Return a device id as it was given. Raises InvalidRequest."""
    try:
        return _DEVICE_ID.read(given)
    except fields.Fault as fault:
        raise InvalidRequest(fields={"device_id": [fault.key]}) from None
