"""From the bytes of a request to one JSON object or a query, strictly: whatever is not plainly that is refused.

It must not know which members a call takes.
"""

import json
import math
import re
from collections.abc import Mapping, Set
from typing import Any, Final, NoReturn
from urllib.parse import unquote_plus

from django.http import HttpRequest, UnreadablePostError

from apps.accounts.api.errors import BodyTooLarge, UnsupportedMediaType
from apps.accounts.errors import InvalidRequest

MAX_BODY: Final = 16 * 1024
MAX_DEPTH: Final = 32
_MAX_DIGITS: Final = 20  # more than a 64-bit number has
_JSON_TYPE: Final = re.compile(r'application/json(?:\s*;\s*charset\s*=\s*(?:utf-8|"utf-8"))?\s*', re.IGNORECASE)
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_BODILESS: Final = frozenset({"GET", "HEAD", "DELETE"})


def read_object(request: HttpRequest) -> dict[str, Any]:
    """Return the request's body as a JSON object; no body at all is an empty one.

    Raises:
        BodyTooLarge: over 16 KiB, said by the length alone where there is one.
        UnsupportedMediaType: any other content type than JSON in UTF-8, or any content coding.
        InvalidRequest: anything that is not one well-formed object of plain text, RFC 8259 read strictly.
    """
    meta = request.META
    raw = read_bytes(request)
    if raw or request.method not in _BODILESS:
        _check_type(meta, empty=not raw)
    return parse(raw) if raw else {}


def parse(raw: bytes) -> dict[str, Any]:
    """Return the object that `raw` spells.

    Raises:
        InvalidRequest: see `read_object`.
    """
    try:
        found = _DECODER.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(detail_key="malformed_json") from error
    if not isinstance(found, dict):
        raise InvalidRequest(detail_key="not_an_object")
    # Raw NUL and raw surrogates never get this far: only an escape can spell them.
    if b"\\u" in raw or raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        _check_tree(found)
    return found


def read_query(request: HttpRequest, *, names: Set[str] = frozenset()) -> dict[str, str]:
    """Return the parameters of the query string; of one that comes twice, the last.

    Raises:
        InvalidRequest: it holds what no address may hold unescaped (RFC 3986, 2); it says where, if that is in `names`.
    """
    parts = request.META.get("QUERY_STRING", "").split("&")
    odd = {unquote_plus(part.partition("=")[0]) for part in parts if not part.isascii()}
    if odd:
        raise InvalidRequest(fields={name: ["not_valid"] for name in odd & names})
    return {name: str(value) for name, value in request.GET.items()}


def canonical(members: dict[str, Any]) -> bytes:
    """Return the same bytes for the same members, in whatever order and spacing they came."""
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()


def read_bytes(request: HttpRequest, *, at_most: int = MAX_BODY) -> bytes:
    """Return the request's body as it came, whatever its type.

    Raises:
        BodyTooLarge: over `at_most` bytes.
        InvalidRequest: it is not as long as it said.
    """
    meta = request.META
    length = meta.get("CONTENT_LENGTH") or ""
    try:
        if not length:
            return _unannounced(meta, at_most) if meta.get("HTTP_TRANSFER_ENCODING") else b""
        if not _LENGTH.fullmatch(length):
            raise InvalidRequest(detail_key="malformed_json")
        if int(length) > at_most:
            raise BodyTooLarge
        raw = request.body
    except UnreadablePostError as error:
        raise InvalidRequest(detail_key="truncated_body") from error
    if len(raw) != int(length):
        raise InvalidRequest(detail_key="truncated_body")
    return raw


def _unannounced(meta: Mapping[str, Any], at_most: int) -> bytes:
    """Read a chunked body: Django takes a missing length for zero, and would leave it unread."""
    stream, total = meta["wsgi.input"], 0
    parts: list[bytes] = []
    try:
        while total <= at_most:
            part = stream.read(at_most + 1 - total)
            if not part:
                return b"".join(parts)
            parts.append(part)
            total += len(part)
    except OSError as error:
        raise InvalidRequest(detail_key="truncated_body") from error
    raise BodyTooLarge


def _check_type(meta: Mapping[str, Any], *, empty: bool) -> None:
    if meta.get("HTTP_CONTENT_ENCODING"):
        raise UnsupportedMediaType
    content_type = meta.get("CONTENT_TYPE") or ""
    if content_type == "application/json" or (empty and not content_type):
        return
    if not _JSON_TYPE.fullmatch(content_type):
        raise UnsupportedMediaType


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


def _whole(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("too long a number")
    return int(digits)


def _fraction(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("too large a number")
    return value


def _check_tree(found: Any) -> None:
    """Refuse NUL, lone surrogates and absurd depth, without recursion."""
    level, depth = [found], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidRequest(detail_key="malformed_json")
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, dict):
                below.extend(item.keys())
                below.extend(item.values())
        level = below


def _check_text(text: str) -> None:
    try:
        if b"\x00" not in text.encode("utf-8"):
            return
    except UnicodeEncodeError:
        pass
    raise InvalidRequest(detail_key="not_text")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole, parse_float=_fraction
)
