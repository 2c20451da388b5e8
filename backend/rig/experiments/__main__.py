"""Run fault experiments by hand: all, or those named; exit status 1 for a broken promise.

`python -m rig.experiments [X27 X30 …]` prints a table and renews docs/fault-experiments.md; what was not run keeps the
figures of its last run.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from typing import Final

from rig.databases import programs
from rig.experiments import of_clocks, of_databases, of_hosts, of_storms
from rig.experiments.document import renew, table
from rig.experiments.outcomes import Outcome, Round
from rig.service import stores_answer

EXPERIMENTS: Final[dict[str, Callable[[], Outcome]]] = {
    "X25": of_databases.failover,
    "X27": of_databases.slow,
    "X29": of_databases.conflicts,
    "X30": of_databases.full,
    "X32": of_hosts.no_files,
    "X32m": of_hosts.no_memory,
    "X33": of_clocks.one_host_jumps,
    "X34": of_clocks.hosts_drift,
    "X35": of_clocks.the_database_jumps,
    "X38": of_storms.receipts,
}


def main(arguments: list[str] | None = None) -> int:
    """Run and report; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m rig.experiments", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=" ".join(EXPERIMENTS))
    parser.add_argument("--dry", action="store_true", help="leave the document as it is")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(EXPERIMENTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    if reason := stores_answer() or ("" if programs() else "PostgreSQL's server programs are not installed"):
        print(reason, file=sys.stderr)
        return 2
    outcomes = [_run(name) for name in options.names or EXPERIMENTS]
    print(table(outcomes))
    if not options.dry:
        renew(outcomes, order=list(EXPERIMENTS))
    return int(any(outcome.verdict == "broken" for outcome in outcomes))


def _run(name: str) -> Outcome:
    print(f"{name} …", flush=True)
    try:
        outcome = EXPERIMENTS[name]()
    except Exception as error:
        # One experiment that falls over must not cost the figures of the others.
        traceback.print_exc()
        outcome = Outcome(name=name, title=EXPERIMENTS[name].__doc__ or "", done="", must="")
        outcome.rounds.append(Round(label="", broken=[f"the experiment fell over: {type(error).__name__}"]))
    outcome.on = time.strftime("%Y-%m-%d", time.gmtime())
    for found in outcome.rounds:
        print(f"  {found}", flush=True)
    print(f"{name}: {outcome.verdict} {outcome.not_run}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
