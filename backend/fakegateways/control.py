"""The control API: orders from a test, a drill or a person, from this machine only; carries out, decides nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from fakegateways import config as settings
from fakegateways.catalogue import CATALOGUE, Fault
from fakegateways.config import BadConfig, ReceiptPlan, Vendor
from fakegateways.dialect import as_json, json_object
from fakegateways.faults import BadRule
from fakegateways.ledger import Entry
from fakegateways.signatures import Forgery
from fakegateways.wire import Reply, Request

if TYPE_CHECKING:
    from fakegateways.server import Gateways

_LOOPBACK: Final = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
_RECEIPT_FIELDS: Final = {
    "vendor",
    "id",
    "ids",
    "phone",
    "status",
    "statuses",
    "shuffle",
    "url",
    "batch",
    "forged",
    "copies",
} | {"error_code", "forgery", "shared_key", "without_recipient", "age_seconds"}


class BadOrder(ValueError):
    """An order that cannot be carried out as it stands."""


async def answer(house: Gateways, request: Request) -> Reply:
    """Carry out one order and answer in JSON; 400 says what is wrong with it."""
    if request.peer not in _LOOPBACK:
        return as_json(403, {"error": "orders are taken from this machine only"})
    body = json_object(request.body) if request.body else {}
    if body is None:
        return as_json(400, {"error": "the body is not a JSON object"})
    query = {name: values[0] for name, values in parse_qs(request.query).items()}
    try:
        return await _dispatch(house, f"{request.method} {request.path.removeprefix('/_control/')}", query, body)
    except (BadOrder, BadRule, BadConfig) as problem:
        return as_json(400, {"error": str(problem)})


async def _dispatch(house: Gateways, order: str, query: dict[str, str], body: dict[str, Any]) -> Reply:
    match order:
        case "POST script":
            return as_json(201, add_rule(house, body))
        case "GET script":
            return as_json(200, {"rules": [rule.as_json() for rule in house.book.in_force()]})
        case "DELETE script":
            rule_id = _whole(query["id"], "id") if "id" in query else None
            chosen = _vendor(query["vendor"]) if "vendor" in query else None
            return as_json(200, {"lifted": house.book.clear(chosen, rule_id=rule_id)})
        case "GET messages":
            found = select(house, query)
            return as_json(200, {"messages": [entry.as_json() for entry in found]})
        case "POST reset":
            house.reset()
            return as_json(200, {"reset": True})
        case "POST receipt":
            return as_json(200, {"posted": await send_receipt(house, body)})
        case "POST handshake":
            return as_json(200, await shake_hands(house, body))
        case "PUT config":
            settings.apply(house.config, body)
            return as_json(200, {"changed": sorted(f"{part}.{name}" for part in body for name in body[part])})
        case "GET stats":
            return as_json(200, stats(house))
        case "GET faults":
            return as_json(200, {"faults": _catalogue()})
    return as_json(404, {"error": f"there is no order {order}"})


def add_rule(house: Gateways, body: Mapping[str, Any]) -> dict[str, Any]:
    """Put a rule in force and return it. Raises `BadOrder`, `BadRule`."""
    unknown = set(body) - {"vendor", "fault", "prefix", "suffix", "times", "share", "params"}
    if unknown:
        raise BadOrder(f"a rule has no {', '.join(sorted(unknown))}")
    try:
        fault = Fault(body.get("fault", ""))
    except ValueError as problem:
        raise BadOrder(f"fault must be one of {', '.join(Fault)}") from problem
    share, times, params = body.get("share", 1.0), body.get("times"), body.get("params", {})
    if isinstance(share, bool) or not isinstance(share, int | float):
        raise BadOrder("share must be a number")
    if not isinstance(params, Mapping):
        raise BadOrder("params must be an object")
    rule = house.book.add(
        _vendor(body.get("vendor")),
        fault=fault,
        prefix=_text(body.get("prefix", ""), "prefix"),
        suffix=_text(body.get("suffix", ""), "suffix"),
        times=None if times is None else _whole(times, "times"),
        share=float(share),
        params=params,
    )
    return rule.as_json()


def select(house: Gateways, query: Mapping[str, str]) -> list[Entry]:
    """Return the messages that fit, newest last. A `+` that the query string turned into a space is understood."""
    vendor = _vendor(query["vendor"]).value if query.get("vendor") else ""
    phone = query.get("phone", "").replace(" ", "+")
    return house.ledger.select(vendor=vendor, phone=phone, since=_whole(query.get("since", "0"), "since"))


async def send_receipt(house: Gateways, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Post chosen receipts at once and return how the service answered each. Raises `BadOrder`."""
    unknown = set(body) - _RECEIPT_FIELDS
    if unknown:
        raise BadOrder(f"a receipt has no {', '.join(sorted(unknown))}")
    vendor = _vendor(body.get("vendor"))
    if vendor is Vendor.AUTHENTICA:
        raise BadOrder("Authentica has no delivery reports")
    dialect = house.dialects[vendor]
    statuses = body.get("statuses") or [body.get("status", "delivered")]
    entries = _entries(house, vendor, body)
    plan = _plan(house, vendor, body)
    url = _text(body.get("url", ""), "url")
    if not url and not dialect.callback_url(entries[0]):
        raise BadOrder("there is no callback URL: none was given with the message, in the configuration or here")
    pairs = [(entry, _text(status, "status")) for entry in entries for status in statuses]
    if body.get("shuffle"):
        house.book.random.shuffle(pairs)
    for entry, status in pairs:
        entry.steps.append((time.time(), status))
    posted = await house.postman.post_now(pairs, dialect, plan, url=url, batch=bool(body.get("batch")))
    return [{"status": one.status, "answer": one.answer, "genuine": one.genuine} for one in posted]


async def shake_hands(house: Gateways, body: Mapping[str, Any]) -> dict[str, Any]:
    """Do Meta's verification of the webhook and report the status and whether the challenge came back."""
    url = _text(body.get("url", house.config.meta.webhook_url), "url")
    if not url:
        raise BadOrder("there is no webhook URL")
    challenge = _text(body.get("challenge", "1158201444"), "challenge")
    params = {
        "hub.mode": _text(body.get("mode", "subscribe"), "mode"),
        "hub.challenge": challenge,
        "hub.verify_token": _text(body.get("verify_token", house.config.meta.verify_token), "verify_token"),
    }
    status, text = await house.postman.fetch(url, params=params)
    return {"status": status, "body": text, "echoed": status == 200 and text == challenge}


def stats(house: Gateways) -> dict[str, Any]:
    """Return counts of everything; no phone and no code among them."""
    outcomes = {f"{vendor}:{outcome}": count for (vendor, outcome), count in sorted(house.ledger.outcomes.items())}
    return {
        "uptime_seconds": round(time.time() - house.started, 3),
        "connections": house.traffic.connections,
        "connections_open": house.traffic.open,
        "requests": house.traffic.requests,
        "calls": dict(sorted(house.calls.items())),
        "outcomes": outcomes,
        "messages": len(house.ledger),
        "messages_forgotten": house.ledger.forgotten,
        "receipts": dict(sorted(house.postman.counts.items())),
        "receipts_pending": house.postman.pending,
        "rules": len(house.book.in_force()),
    }


def _catalogue() -> list[dict[str, Any]]:
    return [
        {
            "fault": fault,
            "summary": spec.summary,
            "params": dict(spec.params),
            "accepted": spec.accepted,
            "vendors": sorted(spec.vendors),
            "on": spec.on,
        }
        for fault, spec in CATALOGUE.items()
    ]


def _entries(house: Gateways, vendor: Vendor, body: Mapping[str, Any]) -> list[Entry]:
    ids = body.get("ids") or ([body["id"]] if "id" in body else [])
    if not ids and "phone" in body:
        sent = house.ledger.select(vendor=vendor.value, phone=_text(body["phone"], "phone"))
        ids = [entry.id for entry in sent if entry.id][-1:]
    if not isinstance(ids, list) or not ids:
        raise BadOrder("say which message: id, ids or the phone of one that was accepted")
    return [house.ledger.find(str(one)) or _stranger(vendor, str(one), body) for one in ids]


def _stranger(vendor: Vendor, message_id: str, body: Mapping[str, Any]) -> Entry:
    """Return a message that was never sent, so that a receipt for an unknown id can be posted too."""
    to = _text(body.get("phone", "+966500000009"), "phone")
    return Entry(
        seq=0,
        at=time.time(),
        vendor=vendor.value,
        channel="whatsapp" if vendor is Vendor.META else "sms",
        to=to,
        code="",
        text="",
        endpoint="",
        outcome="",
        accepted=False,
        delivered=False,
        id=message_id,
        auth_ok=True,
        error="",
        raw_fields={"To": to},
    )


def _plan(house: Gateways, vendor: Vendor, body: Mapping[str, Any]) -> ReceiptPlan:
    base = house.config.twilio.receipts if vendor is Vendor.TWILIO else house.config.meta.receipts
    names = ("error_code", "copies", "forgery", "shared_key", "without_recipient", "age_seconds")
    plan = settings.plan_from({name: body[name] for name in names if name in body}, base=base)
    if body.get("forged") and plan.forgery is Forgery.NONE:
        plan = replace(plan, forgery=Forgery.WRONG)
    return plan


def _vendor(value: Any) -> Vendor:
    try:
        return Vendor(value)
    except ValueError as problem:
        raise BadOrder(f"vendor must be one of {', '.join(Vendor)}") from problem


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BadOrder(f"{name} must be a text")
    return value


def _whole(value: Any, name: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as problem:
        raise BadOrder(f"{name} must be a whole number") from problem
