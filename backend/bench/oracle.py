"""`python -m bench.oracle`: does an answer's time or shape tell whether a number has an account?

Numbers with and without an account, disabled and blocked ones, ask one after the other in shuffled order. It prints a
verdict and never fails a build: timing is judged by people. It must not know how the service decides.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from bench import options as command_line
from bench.accounts import create_accounts
from bench.calls import Ledger
from bench.client import Connection, Reply, connect, http_message
from bench.findings import Kind, Probe, Samples, Table, another, compare, written
from bench.people import Crowd, Person
from bench.private_stores import private_stores
from bench.setting import Ground, ground, stage
from bench.stores import StoreFault, Stores, own_redis
from bench.targets import Running, StartFault

WARM_UP = 60


@dataclass(frozen=True, slots=True)
class Cast:
    """The people by kind, one list per use, so that nobody is asked twice."""

    asked: dict[Kind, list[Person]]
    never_sent: dict[Kind, list[Person]]


async def measure(on: Ground, *, samples: int, seed: int) -> tuple[Table, list[str]]:
    """Start the service, cast the people and probe them in shuffled order; return samples and remarks."""
    async with stage("service", on=on) as ready:
        cast = _cast(on.crowd, samples=samples)
        await asyncio.to_thread(_create, cast, ready.running)
        remarks: list[str] = []
        if not await _block(ready.running, cast=cast):
            remarks.append("blocked numbers left out: the block list did not take them")
            for kind in (Kind.BLOCKED_KNOWN, Kind.BLOCKED_UNKNOWN):
                cast.asked.pop(kind)
        caller = ready.caller(Ledger())
        for _ in range(WARM_UP):
            await caller.login(on.crowd.newcomer())
        caller.reset()
        return await _probe(ready.running, cast=cast, on=on, seed=seed), remarks


def _cast(crowd: Crowd, *, samples: int) -> Cast:
    return Cast(
        asked={kind: [crowd.newcomer() for _ in range(samples)] for kind in Kind},
        never_sent={
            kind: [crowd.newcomer() for _ in range(samples)] for kind in (Kind.UNKNOWN, Kind.KNOWN, Kind.DISABLED)
        },
    )


def _create(cast: Cast, running: Running) -> None:
    for people in (cast.asked, cast.never_sent):
        for kind, active in ((Kind.KNOWN, True), (Kind.BLOCKED_KNOWN, True), (Kind.DISABLED, False)):
            if phones := [one.phone for one in people.get(kind, [])]:
                create_accounts(phones, active=active, environment=running.environment)


async def _block(running: Running, *, cast: Cast) -> bool:
    connection = await connect(running.port)
    headers = (("X-Admin-Token", running.environment["ADMIN_TOKEN"]),)
    try:
        for one in cast.asked[Kind.BLOCKED_KNOWN] + cast.asked[Kind.BLOCKED_UNKNOWN]:
            body = json.dumps({"type": "phone", "value": one.phone, "note": "timing comparison"}).encode()
            message = http_message("POST", "/admin/otp/blacklist", body=body, headers=headers)
            if (await connection.call(message, timeout=10)).status not in (200, 201):
                return False
    finally:
        connection.close()
    # In force in every process within a second.
    await asyncio.sleep(1.5)
    return True


async def _probe(running: Running, *, cast: Cast, on: Ground, seed: int) -> Table:
    rng = random.Random(seed)
    table: Table = {}
    connection = await connect(running.port)
    try:
        asked = [(kind, one) for kind, people in cast.asked.items() for one in people]
        rng.shuffle(asked)
        for kind, one in asked:
            reply = await _post(connection, running.paths.request, one, code=None)
            table.setdefault((Probe.REQUEST, kind), Samples()).add(reply)
        rng.shuffle(asked)
        for kind, one in asked:
            blocked = kind in (Kind.BLOCKED_KNOWN, Kind.BLOCKED_UNKNOWN)
            code = "000000" if blocked else await on.sink.take(one.phone)
            reply = await _post(connection, running.paths.verify, one, code=another(code))
            table.setdefault((Probe.VERIFY_OPEN, kind), Samples()).add(reply)
        never = [(kind, one) for kind, people in cast.never_sent.items() for one in people]
        rng.shuffle(never)
        for kind, one in never:
            reply = await _post(connection, running.paths.verify, one, code="123456")
            table.setdefault((Probe.VERIFY_NONE, kind), Samples()).add(reply)
    finally:
        connection.close()
    return table


async def _post(connection: Connection, path: str, one: Person, *, code: str | None) -> Reply:
    fields = {"phone_number": one.phone} | ({} if code is None else {"otp": code})
    message = http_message("POST", path, body=json.dumps(fields).encode(), headers=(("X-Forwarded-For", one.address),))
    # Paced, so that background work of the call before does not fall into this one.
    await asyncio.sleep(0.002)
    return await connection.call(message, timeout=15)


def main() -> int:
    """Run the comparison and print the verdicts; the exit status tells only whether it could run."""
    parser = argparse.ArgumentParser(prog="python -m bench.oracle", description=__doc__)
    parser.add_argument("--samples", type=int, default=300, help="numbers per kind (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the order (default %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes of the service (default %(default)s)")
    parser.add_argument("--service-cmd", help="start the service by this command; {port} and {workers} are filled in")
    parser.add_argument(
        "--private-stores", action="store_true", help="start a PostgreSQL and a Redis for this run only"
    )
    found = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            stores = stack.enter_context(private_stores()) if found.private_stores else command_line.configured_stores()
            redis = stack.enter_context(own_redis(stores))
            table, remarks = asyncio.run(_run(found, stores=stores, redis=redis))
    except (StartFault, StoreFault) as fault:
        print(f"bench.oracle: {fault}", file=sys.stderr)
        return 2
    print(written(compare(table), table=table))
    for remark in remarks:
        print(remark)
    return 0


async def _run(found: argparse.Namespace, *, stores: Stores, redis: Any) -> tuple[Table, list[str]]:
    base = command_line.parse(["--only", "service"])
    sizing = replace(base.sizing, workers=found.workers)
    options = replace(base, sizing=sizing, service_command=found.service_cmd)
    async with ground(options, stores=stores, redis=redis) as on:
        return await measure(on, samples=found.samples, seed=found.seed)


if __name__ == "__main__":
    sys.exit(main())
