"""A round asks of every target what it has, in an order that turns, and each is warmed as it needs."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench import rounds
from bench.accounting import Cpu
from bench.calls import Caller, Ledger
from bench.options import parse
from bench.peers import PEERS
from bench.peers.better_auth.target import PATHS, BetterAuthCaller
from bench.people import Crowd
from bench.phases import Meter, Phase, Stage, Stop
from bench.targets import FLOOR_PATHS, Paths, Running


class Rehearsal:
    """A stage that drives nothing and keeps what was asked of it."""

    def __init__(self, name: str, paths: Paths) -> None:
        self.running = Running(name=name, port=1, session=1, paths=paths, environment={})
        self.stops: list[Stop] = []

    async def logins(self, *, number: int, in_flight: int, stop: Stop) -> Phase:
        self.stops.append(stop)
        return self._phase("login", number)

    async def refreshes(self, *, number: int, in_flight: int, stop: Stop) -> Phase:
        return self._phase("refresh", number)

    async def statuses(self, *, number: int, in_flight: int, stop: Stop) -> Phase:
        return self._phase("status", number)

    def _phase(self, kind: str, number: int) -> Phase:
        return Phase(
            target=self.running.name,
            kind=kind,
            number=number,
            in_flight=1,
            seconds=1.0,
            calls=1,
            logins=1,
            faults=Counter(),
            latency={},
            login_latency=None,
            cpu=Cpu(app=1.0, postgres=0.0, redis=0.0),
            driver_cpu=0.0,
            memory=None,
        )


def kinds_of(stage: Rehearsal) -> list[str]:
    options = parse([])
    base = cast(Any, SimpleNamespace())
    driven = rounds._round(cast(Any, stage), number=0, options=options, base=base, say=lambda text: None)
    return [phase.kind for phase in asyncio.run(driven)]


def test_a_target_without_refresh_is_not_asked_for_one() -> None:
    assert kinds_of(Rehearsal("floor", FLOOR_PATHS)) == ["login", "refresh", "status"]
    assert kinds_of(Rehearsal("better-auth", PATHS)) == ["login", "status"]


@pytest.mark.parametrize("name", ["service", "better-auth"])
def test_a_peer_is_warmed_for_as_long_as_it_needs(name: str) -> None:
    stage = Rehearsal(name, PATHS)
    asyncio.run(rounds._warm(cast(Any, stage), options=parse([]), say=lambda text: None))
    assert stage.stops == [PEERS[name].warm_up if name in PEERS else rounds.WARM_UP]


def test_each_target_is_first_in_its_turn() -> None:
    orders = [rounds.turned(["floor", "service", "peer"], by=number) for number in range(4)]
    assert [order[0] for order in orders] == ["floor", "service", "peer", "floor"]
    assert all(sorted(order) == ["floor", "peer", "service"] for order in orders)
    assert [rounds.turned(["floor", "service"], by=number)[0] for number in range(3)] == ["floor", "service", "floor"]


def test_a_stage_is_entered_by_devices_that_speak_its_words() -> None:
    running = Running(name="better-auth", port=1, session=1, paths=PATHS, environment={})

    async def code_for(phone: str) -> str:
        return "123456"

    meter = Meter(cpu=lambda: Cpu(app=0.0, postgres=0.0, redis=0.0), memory=lambda: None)
    stage = Stage(running, code_for=code_for, meter=meter, crowd=Crowd(), device=BetterAuthCaller)
    assert type(stage.caller(Ledger())) is BetterAuthCaller
    assert type(Stage(running, code_for=code_for, meter=meter, crowd=Crowd()).caller(Ledger())) is Caller
