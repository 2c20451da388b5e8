"""The rules that are in force, and which rule meets a call; knows no wire format."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fakegateways import codes
from fakegateways.catalogue import CATALOGUE, EVERYWHERE, Fault, Operation
from fakegateways.config import BadConfig, ReceiptPlan, Vendor, plan_from

_TABLES: dict[Vendor, Mapping[int, object]] = {
    Vendor.AUTHENTICA: codes.AUTHENTICA,
    Vendor.TWILIO: codes.TWILIO,
    Vendor.META: codes.META,
}


class BadRule(ValueError):
    """A rule that asks for something no fault can do."""


@dataclass(slots=True)
class Rule:
    """One order in force; `left` counts down, None means without end."""

    id: int
    vendor: Vendor
    fault: Fault
    on: Operation
    prefix: str
    suffix: str
    left: int | None
    share: float
    accepted: bool | None
    params: dict[str, Any]
    met: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the rule as the control API shows it."""
        names = ("id", "vendor", "fault", "on", "prefix", "suffix", "left", "share", "accepted", "params", "met")
        return {name: getattr(self, name) for name in names}


class FaultBook:
    """The rules in force; the oldest that fits a call meets it, so a list of rules reads as a sequence of events."""

    def __init__(self, seed: int) -> None:
        self._rules: list[Rule] = []
        self._next_id = 1
        self.random = random.Random(seed)

    def add(
        self,
        vendor: Vendor,
        *,
        fault: Fault,
        prefix: str = "",
        suffix: str = "",
        times: int | None = None,
        share: float = 1.0,
        params: Mapping[str, Any] | None = None,
    ) -> Rule:
        """Put a rule in force and return it. Raises `BadRule`."""
        spec = CATALOGUE[fault]
        if vendor not in spec.vendors:
            raise BadRule(f"{vendor} has no fault called {fault}")
        if times is not None and times < 1:
            raise BadRule("times must be at least 1")
        if not 0.0 < share <= 1.0:
            raise BadRule("share must be above 0 and at most 1")
        given = dict(params or {})
        common = {name: given.pop(name, default) for name, default in EVERYWHERE.items()}
        unknown = sorted(set(given) - set(spec.params))
        if unknown:
            raise BadRule(f"{fault} takes no {', '.join(unknown)}")
        accepted = spec.accepted if common["accepted"] is None else _flag(common["accepted"])
        settings = {name: _like(name, given.get(name, default), default) for name, default in spec.params.items()}
        if "code" in settings and settings["code"] not in _TABLES[vendor]:
            raise BadRule(f"{vendor} has no error code {settings['code']}")
        _check_receipts(fault, settings)
        settings["latency_ms"] = _like("latency_ms", common["latency_ms"], 0.0)
        rule = Rule(
            id=self._next_id,
            vendor=vendor,
            fault=fault,
            on=_operation(common["on"] or spec.on),
            prefix=prefix,
            suffix=suffix,
            left=times,
            share=share,
            accepted=accepted,
            params=settings,
        )
        self._next_id += 1
        self._rules.append(rule)
        return rule

    def meet(self, vendor: Vendor, *, operation: Operation, phone: str) -> Rule | None:
        """Return the rule that this call meets and count it, or None."""
        for rule in self._rules:
            if rule.vendor is not vendor or (rule.on is not operation and rule.on is not Operation.ANY):
                continue
            if not phone.startswith(rule.prefix) or not phone.endswith(rule.suffix):
                continue
            if rule.share < 1.0 and self.random.random() >= rule.share:
                continue
            rule.met += 1
            if rule.left is not None:
                rule.left -= 1
                if rule.left == 0:
                    self._rules.remove(rule)
            return rule
        return None

    def clear(self, vendor: Vendor | None = None, *, rule_id: int | None = None) -> int:
        """Lift all rules, those of one vendor, or one rule; return how many went."""
        kept = [
            rule
            for rule in self._rules
            if (vendor is not None and rule.vendor is not vendor) or (rule_id is not None and rule.id != rule_id)
        ]
        gone = len(self._rules) - len(kept)
        self._rules = kept
        return gone

    def in_force(self) -> list[Rule]:
        """Return the rules in force, oldest first."""
        return list(self._rules)


def _check_receipts(fault: Fault, settings: Mapping[str, Any]) -> None:
    plan: Mapping[str, Any] = {}
    if fault is Fault.RECEIPTS:
        plan = settings["plan"]
    elif fault is Fault.ASYNC_ERROR and settings["status"]:
        plan = {"mode": settings["status"]}
    try:
        plan_from(plan, base=ReceiptPlan())
    except BadConfig as problem:
        raise BadRule(str(problem)) from problem


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadRule("accepted must be true or false")
    return value


def _operation(value: Any) -> Operation:
    try:
        return Operation(value)
    except ValueError as problem:
        raise BadRule(f"on must be one of {', '.join(Operation)}") from problem


def _like(name: str, value: Any, default: Any) -> Any:
    """Return the value as its default's type; a text parameter takes a number, a body takes any JSON."""
    if name == "body":
        return value
    if isinstance(default, bool):
        return _flag(value)
    if isinstance(default, int | float):
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise BadRule(f"{name} must be a number that is not negative")
        return type(default)(value)
    if isinstance(default, dict):
        if not isinstance(value, Mapping):
            raise BadRule(f"{name} must be an object")
        return dict(value)
    if not isinstance(value, str | int | float):
        raise BadRule(f"{name} must be a text")
    return str(value)
