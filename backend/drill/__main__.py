"""`make drill`: every scenario live, with figures and pictures in docs/drill; exit status 1 for a broken promise."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from drill.figures import figures_of, kept, lost_lives
from drill.picture import draw
from drill.run import Record, run
from drill.scenarios import BY_NAME, SCENARIOS, Scenario
from rig.service import stores_answer

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "drill"
_ABOUT: Final = """# The drill

Made by `make drill`: people log in, five a second; a gateway breaks and heals; promises are counted. Times in seconds,
as seen from outside (the status page is asked twice a second). A person waits as long as `resend_in` says, presses
resend once, and gives up 150 s after the first request.
"""
_COLUMNS: Final = (
    "| scenario | people | lost | resends | longest added wait | noticed after | 95% moved after | messages a login "
    "| back after | promises |"
)


class Screen:
    """The live view: one line a scenario, drawn anew on a terminal, printed at each phase elsewhere."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        self._phases: dict[str, str] = {}
        self._drawn = 0

    def tell(self, scenario: Scenario, phase: str, share: float, record: Record) -> None:
        """Show how far a scenario is."""
        states = record.sightings[-1].states if record.sightings else {}
        word = " ".join(f"{name}:{state}" for name, state in states.items())
        filled = int(share * 20)
        bar = "#" * filled + "." * (20 - filled)
        inside = sum(not life.lost for life in record.lives)
        lost = sum(life.lost for life in record.lives)
        self._lines[scenario.name] = f"{scenario.name:<14} [{bar}] {phase:<8} in {inside:>4} lost {lost:>3}  {word}"
        if sys.stdout.isatty():
            self._draw()
        elif self._phases.get(scenario.name) != phase:
            self._phases[scenario.name] = phase
            print(self._lines[scenario.name], flush=True)

    def _draw(self) -> None:
        if self._drawn:
            print(f"\x1b[{self._drawn}F", end="")
        for line in self._lines.values():
            print(f"\x1b[2K{line[:150]}")
        self._drawn = len(self._lines)
        sys.stdout.flush()


async def drill(scenarios: list[Scenario], *, at_once: int, seed: int) -> list[Record]:
    """Run the scenarios, `at_once` at a time, each with stores of its own."""
    screen, places = Screen(), asyncio.Semaphore(at_once)

    async def one(scenario: Scenario) -> Record:
        async with places:
            return await run(
                scenario,
                seed=seed,
                tell=lambda phase, share, record: screen.tell(scenario, phase, share, record),
            )

    return list(await asyncio.gather(*(one(scenario) for scenario in scenarios)))


def report(records: list[Record]) -> bool:
    """Print the figures, write pictures, figures and docs/drill/README.md; say whether every promise was kept."""
    DOCS.mkdir(parents=True, exist_ok=True)
    known = DOCS / "figures.json"
    told: dict[str, dict[str, Any]] = json.loads(known.read_text(encoding="utf-8")) if known.exists() else {}
    all_kept = True
    for record in records:
        figures = figures_of(record)
        broken = list(kept(record, figures))
        all_kept = all_kept and not broken
        verdict = "Kept: every promise of this scenario" if not broken else "Not kept: " + "; ".join(broken)
        (DOCS / f"{record.scenario.name}.svg").write_text(draw(record, figures, verdict), encoding="utf-8")
        told[record.scenario.name] = {**asdict(figures), "not_kept": broken}
        print(f"{record.scenario.title}\n  {_row(record.scenario, told[record.scenario.name])}")
        print("\n".join(f"  {event}" for event in record.events))
        for words, count in Counter(life.detail for life in lost_lives(record)).most_common(5):
            print(f"  lost: {count} people, whose last word was: {words or 'nothing came'}")
    ordered = {name: told[name] for name in BY_NAME if name in told}
    known.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    (DOCS / "README.md").write_text(_page(ordered), encoding="utf-8")
    return all_kept


def _row(scenario: Scenario, told: dict[str, Any]) -> str:
    def seconds(value: float | None) -> str:
        return "–" if value is None else f"{value:.1f}"

    cells = [
        f"[{scenario.title}]({scenario.name}.svg)", str(told["logins"]), str(told["lost"]), str(told["resends"]),
        seconds(told["delay_most"]), seconds(told["detected_after"]), seconds(told["moved_after"]),
        f"{told['messages_per_login']:.2f}", seconds(told["back_after"]), "; ".join(told["not_kept"]) or "kept",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _page(told: dict[str, dict[str, Any]]) -> str:
    head = f"{_ABOUT}\n{_COLUMNS}\n{'|---' * _COLUMNS.count(' | ')}|---|"
    rows = [_row(BY_NAME[name], figures) for name, figures in told.items()]
    pictures = [f"\n![{BY_NAME[name].title}]({name}.svg)" for name in told]
    return "\n".join([head, *rows, *pictures]) + "\n"


def main() -> int:
    """Run the drill."""
    parser = argparse.ArgumentParser(prog="make drill", description="Break gateways on purpose and count.")
    parser.add_argument("names", nargs="*", help="scenarios to run: " + ", ".join(BY_NAME))
    parser.add_argument("--at-once", type=int, default=3, help="scenarios at the same time (default 3)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BY_NAME]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    reason = stores_answer()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    chosen = [BY_NAME[name] for name in options.names] or list(SCENARIOS)
    records = asyncio.run(drill(chosen, at_once=max(1, min(4, options.at_once)), seed=options.seed))
    return 0 if report(records) else 1


if __name__ == "__main__":
    sys.exit(main())
