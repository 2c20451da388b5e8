"""`python -m bench`: measure, print the table, write the document; exit status 1 when a call failed.

It must not know how anything is measured.
"""

import asyncio
import signal
import sys
from contextlib import ExitStack

from bench import report
from bench.options import configured_stores, parse
from bench.private_stores import private_stores
from bench.rounds import run
from bench.stores import StoreFault, own_redis
from bench.targets import StartFault


def main() -> int:
    """Run the bench and return its exit status."""
    options = parse()
    # Databases and servers are taken down on the way out, so a plain kill must be a way out, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            stores = stack.enter_context(private_stores()) if options.private_stores else configured_stores()
            redis = stack.enter_context(own_redis(stores))
            result = asyncio.run(run(options, stores=stores, redis=redis, say=_say))
    except (StartFault, StoreFault) as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 2
    print(report.table(result))
    if options.json_path is not None:
        report.write_json(result, path=options.json_path)
    return 1 if result.faults else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
