"""One run: all servers up, rounds interleaved, then the counting; gives a `Result`.

It must not print or store; that is the report's.
"""

import asyncio
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bench.counting import CallCount, count_calls
from bench.peers import PEERS
from bench.phases import Phase, Stage, Stop
from bench.setting import Ground, ground, stage
from bench.sizing import Options
from bench.stores import Stores, activity, redis_clients

WARM_UP = Stop(seconds=3.0, units=400)
Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Result:
    """Everything a run found.

    `peers` says what each peer is, `disturbances` what else was at work on the same stores.
    """

    options: Options
    stores: str
    machine: str
    phases: list[Phase]
    counts: dict[str, dict[str, CallCount]]
    disturbances: list[str] = field(default_factory=list)
    peers: dict[str, str] = field(default_factory=dict)

    @property
    def faults(self) -> int:
        """Return how many calls did not answer as they had to."""
        return sum(sum(phase.faults.values()) for phase in self.phases)


async def run(options: Options, *, stores: Stores, redis: Any, say: Say) -> Result:
    """Measure the targets in interleaved rounds.

    Raises StartFault when a server does not come up, StoreFault when a store cannot be used safely.
    """
    phases: list[Phase] = []
    counts: dict[str, dict[str, CallCount]] = {}
    disturbances: list[str] = []
    # Before anything is created: what a peer needs may be missing, and installing it takes its time.
    peers = {name: await asyncio.to_thread(PEERS[name].install, say) for name in options.targets if name in PEERS}
    async with ground(options, stores=stores, redis=redis) as base:
        async with AsyncExitStack() as stack:
            stages = [await stack.enter_async_context(stage(name, on=base)) for name in options.targets]
            for one in stages:
                await _warm(one, options=options, say=say)
            for number in range(options.rounds):
                before = activity(stores, ours=tuple(base.databases.values())).others
                for one in turned(stages, by=number):
                    phases += await _round(one, number=number, options=options, base=base, say=say)
                others = activity(stores, ours=tuple(base.databases.values())).others - before
                if others > 50:
                    disturbances.append(f"round {number + 1}: {others} transactions in databases of others")
        if options.count_calls and not options.slow_in_flight:
            for name in options.targets:
                say(f"counting the calls of {name}")
                counts[name] = await count_calls(name, on=base)
        if redis_clients(redis) > 4:
            disturbances.append(f"{redis_clients(redis)} other connections to Redis after the run")
    return Result(
        options=options,
        stores=stores.note,
        machine=f"{platform.machine()}, {platform.system()} {platform.release()}, Python {sys.version.split()[0]}, "
        + time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        phases=phases,
        counts=counts,
        disturbances=disturbances,
        peers=peers,
    )


def turned(stages: Sequence[T], *, by: int) -> list[T]:
    """Return the stages in the order of a round: it turns, so that none always runs on a heated machine."""
    start = by % len(stages)
    return [*stages[start:], *stages[:start]]


async def _warm(one: Stage, *, options: Options, say: Say) -> None:
    say(f"warming {one.running.name}")
    peer = PEERS.get(one.running.name)
    found = await one.logins(number=-1, in_flight=options.in_flight, stop=peer.warm_up if peer else WARM_UP)
    if not found.logins:
        reasons = ", ".join(f"{text} ({count})" for text, count in found.faults.most_common(3))
        raise RuntimeError(f"{one.running.name} completes no login: {reasons}")


async def _round(one: Stage, *, number: int, options: Options, base: Ground, say: Say) -> list[Phase]:
    found: list[Phase] = []
    if options.slow_in_flight:
        for in_flight in options.slow_in_flight:
            found.append(await one.requests(number=number, in_flight=in_flight, stop=Stop(seconds=options.seconds)))
            base.sink.forget()
    else:
        size = options.in_flight
        long, short = Stop(seconds=options.seconds, units=options.logins), Stop(seconds=options.seconds / 3)
        found.append(await one.logins(number=number, in_flight=size, stop=long))
        if one.running.paths.refresh is not None:
            found.append(await one.refreshes(number=number, in_flight=size, stop=short))
        found.append(await one.statuses(number=number, in_flight=size, stop=short))
    for phase in found:
        spent = phase.per_thousand(phase.cpu.total)
        say(
            f"round {number + 1} {phase.target:12} {phase.kind:8} c={phase.in_flight:<4} {phase.rate:8.0f}/s  "
            f"CPU {'n/a' if spent is None else f'{spent:.2f}'} s per 1,000  faults {sum(phase.faults.values())}"
        )
    return found
