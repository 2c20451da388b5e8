"""The headers that the OpenAPI document tells of: those a call may carry, and those of its answers.

It must not know a view; it reads what a view class declares.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter

_ASKER: Final = (
    ("X-Device-ID", "1-128 characters of A-Z a-z 0-9 . _ -"),
    ("X-Device-Token", "The device token of an earlier login."),
    ("X-Proof-Token", "The token of the proof service, where one is asked for (proof_required)."),
)
_REQUEST: Final = (
    ("Accept-Language", "en or ar."),
    ("X-Request-ID", "1-64 characters of A-Z a-z 0-9 . _ -; comes back."),
)
_KEY: Final = (("Idempotency-Key", "16-128 visible ASCII characters; a repeat gets the first answer again."),)
_SHAPES: Final[Mapping[str, Mapping[str, str]]] = {
    "X-Device-ID": {"type": "string", "pattern": "^[A-Za-z0-9._-]{0,128}$"},
    "Idempotency-Key": {"type": "string", "pattern": "^[!-~]{16,128}$"},
}
_OF_LIMITS: Final = (
    ("RateLimit-Policy", "The caller's own limit that is nearest to refusing: q sends in w seconds."),
    ("RateLimit", "What is left of it: r sends, more of them in t seconds."),
)
_OF_OLD_PATHS: Final = (
    ("Deprecation", "Since when the path is old, as @ and seconds."),
    ("Link", "The path that takes its place, as rel=successor-version."),
)


def of_requests(view: Any, method: str) -> list[OpenApiParameter]:
    """Return the headers that a call of `method` may carry."""
    asks = method == "POST" and view.security_scheme != "adminToken"
    names = [*(_ASKER if asks else ()), *_REQUEST, *(_KEY if view.idempotent else ())]
    return [_header(name, about, type_=_SHAPES.get(name, str)) for name, about in names]


def of_answers(
    view: Any, *, good: Iterable[int], waits: Mapping[int, bool], own: Mapping[str, str]
) -> list[OpenApiParameter]:
    """Return the headers of the answers.

    `good` are the statuses of success; `waits` says of each status of failure whether it may name a wait; `own` are the
    call's own headers of success.
    """
    good, failing = list(good), sorted(waits)
    found = [_header("X-Request-ID", "Names this request in our log.", response=[*good, *failing])]
    found.append(_header("Retry-After", "Seconds.", response=[s for s in failing if waits[s]], type_=int))
    if 401 in failing:
        found.append(_header("WWW-Authenticate", "Bearer", response=[401]))
    if view.sends:
        found += [_header(name, about, response=[*good, 429]) for name, about in _OF_LIMITS]
    if view.successor:
        found += [_header(name, about, response=[*good, *failing]) for name, about in _OF_OLD_PATHS]
    found += [_header(name, about, response=good) for name, about in own.items()]
    if view.idempotent:
        found.append(_header("Idempotency-Replayed", "true where this answer was given before.", response=good))
    return found


def _header(name: str, about: str, *, response: Any = False, type_: Any = str) -> OpenApiParameter:
    return OpenApiParameter(name, type_, OpenApiParameter.HEADER, description=about, response=response)
