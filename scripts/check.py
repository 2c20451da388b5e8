"""Hold the whole project to its rules: what CI runs after the suite, and what a laptop runs before a push.

`make check` runs all, `make check ONLY="lint types"` some. It must not know how a check does its work.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "backend"))

from scripts.checks import containers, house_rules, kubernetes, links, security_rules, tools  # the path comes first
from scripts.checks.outcome import Failed, Skipped


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the project; `ask` returns, or raises Failed or Skipped."""

    name: str
    about: str
    ask: Callable[[], None]


CHECKS = (
    Check("format", "the code is formatted", tools.formatted),
    Check("lint", "the linter has no complaint", tools.linted),
    Check("types", "the types fit", tools.typed),
    Check("imports", "rooms import downwards only", tools.imports),
    Check("house", "sizes, names, nothing of one machine", house_rules.check),
    Check("links", "every link between documents leads somewhere", links.check),
    Check("patterns", "no pattern that broke such services before", security_rules.check),
    Check("bandit", "no dangerous call", tools.dangerous_calls),
    Check("pins", "requirements and constraints agree", tools.pinned),
    Check("holes", "no known hole in what is pinned", tools.known_holes),
    Check("migrations", "the models have their migrations", tools.migrations),
    Check("deploy", "production settings pass Django's own checks", tools.deployable),
    Check("openapi", "docs/openapi.yaml is in step with the code", tools.openapi),
    Check("configuration", ".env.example and docs are in step with the settings", tools.configuration),
    Check("alerts", "the alert rules pass their tests", tools.alerts),
    Check("kubernetes", "the manifests fit their schemas and the service", kubernetes.check),
    Check("containers", "Dockerfile and compose file are sound", containers.check),
)


def main(arguments: Sequence[str]) -> int:
    """Run the chosen checks and close with one line that counts them."""
    parser = argparse.ArgumentParser(prog="make check", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("only", nargs="*", choices=[[], *(check.name for check in CHECKS)], metavar="check")
    parser.add_argument("--write-openapi", action="store_true", help="write docs/openapi.yaml and check nothing")
    options = parser.parse_args(arguments)
    if options.write_openapi:
        return _write_openapi()
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for check in CHECKS:
        if not options.only or check.name in options.only:
            counts[_ask(check)] += 1
    print(f"\n{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


def _ask(check: Check) -> str:
    started = time.monotonic()
    try:
        check.ask()
        word, said = "passed", ""
    except Skipped as reason:
        word, said = "skipped", f": {reason}"
    except Failed as fault:
        word, said = "failed", "\n" + "\n".join(f"    {line}" for line in str(fault).splitlines())
    seconds = time.monotonic() - started
    print(
        f"{word.upper() if word == 'failed' else word:8} {check.name:14} {check.about} ({seconds:.1f} s){said}",
        flush=True,
    )
    return word


def _write_openapi() -> int:
    try:
        tools.write_openapi()
    except Failed as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
