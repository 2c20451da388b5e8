"""Turns a result into a table for people and a document for programs.

It must not measure.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from bench.phases import Phase
from bench.rounds import Result
from bench.sizing import FloorGateway
from bench.stats import median_of, paired_ratio

Figure = Callable[[Phase], float | None]

_MILLI = 1000.0


def _call_latency(name: str, share: str) -> Figure:
    return lambda phase: getattr(phase.latency[name], share) * _MILLI if name in phase.latency else None


def _login_latency(share: str) -> Figure:
    return lambda phase: getattr(phase.login_latency, share) * _MILLI if phase.login_latency else None


FIGURES: dict[str, Figure] = {
    "per_second": lambda phase: phase.rate,
    "requests_per_second": lambda phase: phase.calls / phase.seconds,
    "cpu": lambda phase: phase.per_thousand(phase.cpu.total),
    "cpu_app": lambda phase: phase.per_thousand(phase.cpu.app),
    "cpu_postgres": lambda phase: phase.per_thousand(phase.cpu.postgres),
    "cpu_redis": lambda phase: phase.per_thousand(phase.cpu.redis),
    "cpu_driver": lambda phase: phase.per_thousand(phase.driver_cpu),
    "memory_mb": lambda phase: phase.memory,
    **{f"login_{share}": _login_latency(share) for share in ("p50", "p95", "p99")},
    **{
        f"{name}_{share}": _call_latency(name, share)
        for name in ("request", "verify", "refresh", "status")
        for share in ("p50", "p95", "p99")
    },
}


def groups(phases: Sequence[Phase]) -> list[tuple[str, int]]:
    """Return the (kind, in flight) pairs in the order they were driven."""
    return list(dict.fromkeys((phase.kind, phase.in_flight) for phase in phases))


def medians(phases: Sequence[Phase]) -> dict[str, float | None]:
    """Return the median over rounds of every figure that exists for these phases."""
    found = {name: median_of([figure(phase) for phase in phases]) for name, figure in FIGURES.items()}
    return {name: value for name, value in found.items() if value is not None}


def pairs(targets: Sequence[str]) -> list[tuple[str, str]]:
    """Return which targets are compared, as (over, under): each with the floor, and the service with each peer."""
    if len(targets) < 2:
        return []
    peers = [name for name in targets if name not in ("floor", "service")]
    return [
        ("service", "floor"),
        *((name, "floor") for name in peers),
        *(("service", name) for name in peers),
    ]


def ratios(over: Sequence[Phase], *, under: Sequence[Phase]) -> dict[str, float | None]:
    """Return one target over another, round by round, then the median."""
    names = ("per_second", "cpu", "cpu_app", "cpu_postgres", "cpu_redis", "login_p50", "login_p99")
    found = {
        name: paired_ratio([FIGURES[name](one) for one in over], under=[FIGURES[name](one) for one in under])
        for name in names
    }
    return {name: value for name, value in found.items() if value is not None}


def select(result: Result, *, target: str, kind: str, in_flight: int) -> list[Phase]:
    """Return one target's phases of one group, in order of rounds."""
    chosen = [one for one in result.phases if (one.target, one.kind, one.in_flight) == (target, kind, in_flight)]
    return sorted(chosen, key=lambda one: one.number)


def document(result: Result) -> dict[str, Any]:
    """Return every figure as plain data: medians, ratios, counts and each phase."""
    summary: list[dict[str, Any]] = []
    for kind, in_flight in groups(result.phases):
        by_target = {
            name: select(result, target=name, kind=kind, in_flight=in_flight) for name in result.options.targets
        }
        entry: dict[str, Any] = {"kind": kind, "in_flight": in_flight}
        entry.update({name: medians(phases) for name, phases in by_target.items()})
        if compared := pairs(result.options.targets):
            entry["ratios"] = {
                f"{over}/{under}": ratios(by_target[over], under=by_target[under]) for over, under in compared
            }
        summary.append(entry)
    return {
        "machine": result.machine,
        "stores": result.stores,
        "peers": result.peers,
        "options": _plain(asdict(result.options)),
        "summary": summary,
        "calls": {name: {kind: asdict(one) for kind, one in kinds.items()} for name, kinds in result.counts.items()},
        "faults": result.faults,
        "disturbances": result.disturbances,
        "phases": [_plain(asdict(phase)) for phase in result.phases],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def write_json(result: Result, *, path: Path) -> None:
    """Write the document, readable by people too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(result), indent=1, ensure_ascii=False) + "\n")


def table(result: Result) -> str:
    """Return the readable report."""
    parts = [_head(result)]
    for kind, in_flight in groups(result.phases):
        parts.append(_section(result, kind=kind, in_flight=in_flight))
    if result.counts:
        parts.append(_counts(result))
    parts.append(_closing(result))
    return "\n\n".join(parts) + "\n"


def _head(result: Result) -> str:
    options = result.options
    sizing = options.sizing
    gateway = "HTTP, the same sink as the service" if options.floor_gateway is FloorGateway.HTTP else "none"
    answering = f", which answers after {options.gateway_latency * _MILLI:.0f} ms" if options.gateway_latency else ""
    about = {
        "floor": f"WSGI, {sizing.threads} threads, extended protocol, not prepared; it hands codes over: {gateway}",
        "service": f"its production start, limits {options.limits.value}{_changed(result)}, "
        f"Authentica to a sink inside the driver{answering}",
        **result.peers,
    }
    return "\n".join(
        (
            result.machine,
            f"stores: {result.stores}",
            f"{sizing.workers} processes each, on granian unless something else is said, pool {sizing.pool_max} each",
            *(f"{name}: {about[name]}" for name in options.targets),
            f"{options.rounds} interleaved rounds, medians; CPU is app + PostgreSQL + Redis, the driver's is beside it",
        )
    )


def _changed(result: Result) -> str:
    names = [f"{name}={value}" for name, value in result.options.service_settings]
    return ", " + ", ".join(names) if names else ""


_LABELS = {"login": "complete logins", "refresh": "refreshes", "status": "status reads", "request": "requests alone"}


def _section(result: Result, *, kind: str, in_flight: int) -> str:
    names = result.options.targets
    phases = {name: select(result, target=name, kind=kind, in_flight=in_flight) for name in names}
    figures = {name: medians(found) for name, found in phases.items()}
    compared = {
        "ratio" if len(names) == 2 else f"{over}/{under}": ratios(phases[over], under=phases[under])
        for over, under in pairs(names)
    }
    head = f"{_LABELS[kind]}, {in_flight} in flight"
    lines = [
        f"{head:44}"
        + "".join(f"{name:>12}" for name in names)
        + "".join(f"{title:>{_width(title)}}" for title in compared)
    ]
    for key, label in _rows(kind):
        values = [figures[name].get(key) for name in names]
        if all(value is None for value in values):
            continue
        cells = [_cell(value) for value in values]
        cells += [_ratio_cell(found.get(key), under=title) for title, found in compared.items()]
        lines.append(f"  {label:42}{''.join(cells)}".rstrip())
    return "\n".join(lines)


def _ratio_cell(value: float | None, *, under: str) -> str:
    width = _width(under)
    return " " * width if value is None else f"{value:{width - 1}.2f}x"


def _width(title: str) -> int:
    return max(12, len(title) + 2)


def _rows(kind: str) -> list[tuple[str, str]]:
    unit = "logins" if kind == "login" else "calls"
    rows = [("per_second", f"{unit}/s")]
    if kind == "login":
        rows.append(("requests_per_second", "HTTP requests/s"))
    rows += [
        ("cpu", f"server CPU s per 1,000 {unit}"),
        ("cpu_app", "  app"),
        ("cpu_postgres", "  PostgreSQL"),
        ("cpu_redis", "  Redis"),
        ("cpu_driver", "driver CPU s per 1,000 (not included)"),
    ]
    names = ("login", "request", "verify") if kind == "login" else (kind,)
    rows += [(f"{name}_{share}", f"{name} {share} ms") for name in names for share in ("p50", "p95", "p99")]
    return [*rows, ("memory_mb", "memory of the app, PSS MiB")]


def _cell(value: float | None) -> str:
    if value is None:
        return f"{'n/a':>12}"
    return f"{value:12.0f}" if value >= 100 else f"{value:12.2f}"


def _counts(result: Result) -> str:
    columns = f"{'per call':10}{'target':>12}{'SQL':>6}{'SQL waits':>11}{'Redis':>7}{'Redis waits':>13}{'gateway':>9}"
    lines = [f"{columns}  statements and commands"]
    kinds = dict.fromkeys(kind for found in result.counts.values() for kind in found)
    for kind in kinds:
        for name, found in result.counts.items():
            one = found.get(kind)
            if one is None:
                continue
            shapes = Counter(one.sql_shapes + one.redis_shapes)
            said = ", ".join(f"{count}x {shape}" if count > 1 else shape for shape, count in shapes.items())
            lines.append(
                f"{kind:10}{name:>12}{one.sql:6g}{one.sql_waits:11g}{one.redis:7g}{one.redis_waits:13g}"
                f"{one.gateway:9g}  {said}"
            )
    return "\n".join(lines)


def _closing(result: Result) -> str:
    lines = [f"errors: {result.faults}"]
    found: Counter[str] = Counter()
    for phase in result.phases:
        for text, count in phase.faults.items():
            found[f"{phase.target}: {text}"] += count
    lines += [f"  {count} x {text}" for text, count in found.most_common(10)]
    lines += [f"disturbed: {text}" for text in result.disturbances]
    return "\n".join(lines)
