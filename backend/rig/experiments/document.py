"""The table on the screen and docs/fault-experiments.md. It must not know how figures are got."""

import json
from pathlib import Path
from typing import Final

from rig.experiments.outcomes import Outcome, Round

DOCS: Final = Path(__file__).resolve().parents[3] / "docs"
_ABOUT: Final = """# Fault experiments

Made by `PYTHONPATH=backend .venv/bin/python -m rig.experiments [X27 …]` from real runs; the figures are kept in
[fault-experiments.json](fault-experiments.json). It is run by hand and not in CI: it mounts a small disk, needs
libfaketime (Debian: `faketime`) and PostgreSQL's server programs, and takes some ten minutes. Where a tool is missing
an experiment is `not run`, with the reason. The other faults (stores killed, frozen, refused; processes killed;
receipts repeated, out of order and early; full logs; silent clients) are tests of `backend/rig/tests`, run by CI.

In each round people log in over HTTP at a service of two processes with one fake gateway; something breaks and heals.
In the fault twelve requests, wrong codes, right codes and refreshes of one number arrive at the same moment. The
machine had two cores and did other things at the same time: times show the order of magnitude and are not promises.

**The base**, which every round must keep: no answer of 500 or above but 503 `service_unavailable`; no call above 5 s;
somebody logs in within 10 s after the fault; at most one message for twelve requests, five wrong codes compared, one
session a code, one child a refresh token; who was told to come back has used nothing up; what was used up, cooling or
ended before the fault stays so; each message has a row and in the end a final state, each session one audit record.
"""
_HEADING: Final = (
    "| round | calls | failed | median · p99 before, s | median · p99 in the fault, s | slowest, s | well after, s "
    "| messages a request |"
)


def table(outcomes: list[Outcome]) -> str:
    """Return one line for each round."""
    lines = [f"{'':4} {'round':32} {'calls':>6} {'failed':>6} {'slowest':>8} {'well after':>10}  verdict"]
    for outcome in outcomes:
        if outcome.not_run:
            lines.append(f"{outcome.name:4} not run: {outcome.not_run}")
        for one in outcome.rounds:
            well = "" if one.recovery is None else f"{one.recovery:.2f}"
            verdict = "; ".join(one.broken) or "held"
            failed = sum(one.failures.values())
            lines.append(
                f"{outcome.name:4} {one.label:32} {one.calls:>6} {failed:>6} {one.slowest:>8.2f} {well:>10}  {verdict}"
            )
    return "\n".join(lines)


def renew(outcomes: list[Outcome], *, order: list[str]) -> None:
    """Write the document anew, with the figures of earlier runs for what was not run now."""
    figures = DOCS / "fault-experiments.json"
    kept = json.loads(figures.read_text()) if figures.is_file() else {}
    kept |= {outcome.name: outcome.as_json() for outcome in outcomes}
    kept = {name: kept[name] for name in order if name in kept}
    figures.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    known = [Outcome.from_json(found) for found in kept.values()]
    (DOCS / "fault-experiments.md").write_text(_ABOUT + _summary(known) + "".join(map(_section, known)))


def _summary(outcomes: list[Outcome]) -> str:
    lines = ["\n| | fault | verdict | run on |", "|---|---|---|---|"]
    lines += [f"| [{one.name}](#{one.name.lower()}) | {one.title} | {one.verdict} | {one.on} |" for one in outcomes]
    return "\n".join(lines) + "\n"


def _section(outcome: Outcome) -> str:
    lines = [
        f"\n## {outcome.name}",
        "",
        f"**{outcome.title[:1].upper()}{outcome.title[1:]}: {outcome.verdict}.** {outcome.done}",
    ]
    lines += ["", f"Must hold, with the base: {outcome.must}"]
    if outcome.not_run:
        lines += ["", f"Not run: {outcome.not_run}."]
    timed = [one for one in outcome.rounds if one.calls]
    if timed:
        lines += [
            "",
            _HEADING,
            "|---|---|---|---|---|---|---|---|",
            *map(_row, timed),
        ]
    for one in outcome.rounds:
        words = [*one.limits, *one.notes]
        lines += ["", f"{one.label}: " + "; ".join(words) + "."] if words else []
        lines += [f"**Broken**: {sentence}." for sentence in one.broken]
    return "\n".join(lines) + "\n"


def _row(one: Round) -> str:
    failed = ", ".join(f"{count} × {name}" for name, count in one.failures.items()) or "none"
    well = "not" if one.recovery is None else f"{one.recovery:.2f}"
    per = "" if one.messages_per_request is None else f"{one.messages_per_request:.3f}"
    calm, fault = f"{one.calm_median:.3f} · {one.calm_p99:.3f}", f"{one.median:.3f} · {one.p99:.3f}"
    return f"| {one.label} | {one.calls} | {failed} | {calm} | {fault} | {one.slowest:.2f} | {well} | {per} |"
