"""What a rule does to one call: to the vendor's work, to its answer, and to the answer's way; knows no socket."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from fakegateways.catalogue import Fault
from fakegateways.config import Receipts, Vendor
from fakegateways.dialect import Dialect
from fakegateways.faults import Rule
from fakegateways.wire import AT_ONCE, Manner, Reply

HTML_PAGE: Final = b"<!DOCTYPE html><html><head><title>Oops</title></head><body><h1>Something broke</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Effect:
    """The consequences of one rule. `accepted` False means that the vendor never gets to work on the call."""

    fault: Fault | None = None
    params: dict[str, Any] | None = None
    reply: Reply | None = None
    manner: Manner = AT_ONCE
    accepted: bool = True
    reaches_handset: bool = True
    receipts: dict[str, Any] | None = None

    @property
    def outcome(self) -> str:
        """Return how the ledger names a call that met this effect."""
        return f"fault:{self.fault}" if self.fault else "accepted"

    def param(self, name: str) -> Any:
        """Return one parameter of the rule."""
        return (self.params or {})[name]


NONE: Final = Effect()
_NO_RECEIPTS: Final = {"mode": Receipts.NONE.value}


def of(rule: Rule, dialect: Dialect, *, dice: random.Random) -> Effect:
    """Return what a rule does to the call that has just met it."""
    params = rule.params
    effect = Effect(
        fault=rule.fault,
        params=params,
        accepted=True if rule.accepted is None else rule.accepted,
        reply=_REPLIES[rule.fault](dialect, params) if rule.fault in _REPLIES else None,
        manner=_MANNERS[rule.fault](params, dice) if rule.fault in _MANNERS else AT_ONCE,
    )
    if rule.fault in _BEHAVIOURS:
        effect = _BEHAVIOURS[rule.fault](effect, rule)
    if params["latency_ms"]:
        waited = effect.manner.wait_before + params["latency_ms"] / 1000
        effect = replace(effect, manner=replace(effect.manner, wait_before=waited))
    if not effect.accepted and effect.reply is None:
        effect = replace(effect, reply=dialect.at_status(503))
    return effect


def _any_status(dialect: Dialect, params: dict[str, Any]) -> Reply:
    body = params["body"]
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = [(str(name), str(value)) for name, value in params["headers"].items()]
    if params["retry_after"]:
        headers.append(("Retry-After", params["retry_after"]))
    return Reply(params["status"], raw, params["content_type"], tuple(headers))


def _problem(dialect: Dialect, params: dict[str, Any]) -> Reply:
    status, code = params["status"], params["code"]
    body = {
        "type": f"https://www.twilio.com/docs/api/errors/{code}",
        "title": "Invalid",
        "status": status,
        "code": code,
    }
    return Reply(status, json.dumps(body).encode(), "application/problem+json")


def _deep(dialect: Dialect, params: dict[str, Any]) -> Reply:
    depth = params["depth"]
    return Reply(200, b'{"data":' + b"[" * depth + b"]" * depth + b"}")


def _huge(dialect: Dialect, params: dict[str, Any]) -> Reply:
    frame = b'{"success":true,"padding":"%s"}'
    return Reply(200, frame % (b"x" * max(0, params["bytes"] - len(frame) + 2)))


def _wrong_charset(dialect: Dialect, params: dict[str, Any]) -> Reply:
    text = '{"success":true,"message":"تم الإرسال"}'
    return Reply(200, text.encode("cp1256"), "application/json; charset=utf-8")


_REPLIES: Final[dict[Fault, Callable[[Dialect, dict[str, Any]], Reply]]] = {
    Fault.STATUS: _any_status,
    Fault.UNAUTHORIZED: lambda dialect, params: dialect.at_status(401),
    Fault.NO_CREDIT: lambda dialect, params: dialect.at_status(402),
    Fault.FORBIDDEN: lambda dialect, params: dialect.at_status(403),
    Fault.INVALID: lambda dialect, params: dialect.at_status(422),
    Fault.THROTTLED: lambda dialect, params: dialect.at_status(429, retry_after=params["retry_after"]),
    Fault.UNAVAILABLE: lambda dialect, params: dialect.at_status(503, retry_after=params["retry_after"]),
    Fault.HTML_500: lambda dialect, params: Reply(500, HTML_PAGE, "text/html; charset=UTF-8"),
    Fault.BAD_GATEWAY: lambda dialect, params: Reply(502, HTML_PAGE, "text/html"),
    Fault.PROBLEM_JSON: _problem,
    Fault.VENDOR_ERROR: lambda dialect, params: dialect.with_code(
        params["code"], status=params["status"], retry_after=params["retry_after"]
    ),
    Fault.REDIRECT: lambda dialect, params: Reply(302, HTML_PAGE, "text/html", (("Location", params["location"]),)),
    Fault.HTML_200: lambda dialect, params: Reply(200, HTML_PAGE, "text/html; charset=UTF-8"),
    Fault.BAD_JSON: lambda dialect, params: Reply(200, b'{"success":true,"sid":"SM'),
    Fault.EMPTY_OBJECT: lambda dialect, params: Reply(200, b"{}"),
    Fault.EMPTY_BODY: lambda dialect, params: Reply(200, b""),
    Fault.DEEP_JSON: _deep,
    Fault.HUGE: _huge,
    Fault.WRONG_CHARSET: _wrong_charset,
    Fault.SUCCESS_FALSE: lambda dialect, params: dialect.refusing(params["message"]),
}

_MANNERS: Final[dict[Fault, Callable[[dict[str, Any], random.Random], Manner]]] = {
    Fault.HANG: lambda params, dice: Manner(wait_before=params["seconds"]),
    Fault.HANG_BODY: lambda params, dice: Manner(wait_after_headers=params["seconds"]),
    Fault.DRIP: lambda params, dice: Manner(
        bytes_per_second=params["bytes_per_second"] or 1.0, drip_headers=params["headers"]
    ),
    Fault.RESET: lambda params, dice: Manner(cut_at=0, cut_gently=params["gently"]),
    Fault.CUT: lambda params, dice: Manner(cut_at=params["at"], cut_gently=params["gently"]),
    Fault.SLOW: lambda params, dice: Manner(wait_before=(params["ms"] + dice.uniform(0, params["jitter_ms"])) / 1000),
}


def _swallowed(effect: Effect, rule: Rule) -> Effect:
    return replace(effect, reaches_handset=False, receipts=_NO_RECEIPTS)


def _every_second(effect: Effect, rule: Rule) -> Effect:
    return _swallowed(effect, rule) if rule.met % 2 == 0 else effect


def _fails_later(effect: Effect, rule: Rule) -> Effect:
    fallback = Receipts.FAILED if rule.vendor is Vendor.META or rule.params["code"] >= 63000 else Receipts.UNDELIVERED
    story = {"mode": rule.params["status"] or fallback.value, "error_code": rule.params["code"]}
    return replace(effect, reaches_handset=False, receipts=story)


def _other_receipts(effect: Effect, rule: Rule) -> Effect:
    return replace(effect, receipts=rule.params["plan"])


_BEHAVIOURS: Final[dict[Fault, Callable[[Effect, Rule], Effect]]] = {
    Fault.SWALLOW: _swallowed,
    Fault.HALF: _every_second,
    Fault.HELD: _swallowed,
    Fault.ASYNC_ERROR: _fails_later,
    Fault.RECEIPTS: _other_receipts,
}
