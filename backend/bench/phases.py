"""The phases of a round: complete logins, refreshes, status reads, and requests alone.

Each is driven with a fixed number in flight and gives one `Phase`; it must not know the other target.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter, process_time

from bench.accounting import Cpu
from bench.calls import Caller, Ledger, Session, repeat
from bench.people import Crowd
from bench.stats import Spread, spread
from bench.targets import Running

CodeFor = Callable[[str], Awaitable[str]]
Act = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Stop:
    """When a phase ends: after seconds, or earlier after so many units."""

    seconds: float
    units: int | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """How a target's spending is read: CPU seconds so far, and memory in MiB."""

    cpu: Callable[[], Cpu]
    memory: Callable[[], float | None]


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of one target in one round; latencies and CPU in seconds."""

    target: str
    kind: str
    number: int
    in_flight: int
    seconds: float
    calls: int
    logins: int
    faults: Counter[str]
    latency: dict[str, Spread]
    login_latency: Spread | None
    cpu: Cpu
    driver_cpu: float
    memory: float | None

    @property
    def units(self) -> int:
        """Return what rates and CPU are divided by: logins where there are any, else calls."""
        return self.logins or self.calls

    @property
    def rate(self) -> float:
        """Return units per second."""
        return self.units / self.seconds

    def per_thousand(self, seconds: float | None) -> float | None:
        """Return seconds per 1,000 units, None for an unknown figure or an empty phase."""
        return None if seconds is None or not self.units else seconds * 1000 / self.units


class Stage:
    """One target with the people who use it; sessions live on from phase to phase."""

    def __init__(
        self, running: Running, *, code_for: CodeFor, meter: Meter, crowd: Crowd, device: type[Caller] = Caller
    ) -> None:
        self.running = running
        self.code_for = code_for
        self._meter = meter
        self._crowd = crowd
        self._device = device
        self._sessions: list[Session] = []

    def caller(self, ledger: Ledger) -> Caller:
        """Return a new device of this target."""
        return self._device(port=self.running.port, paths=self.running.paths, code_for=self.code_for, ledger=ledger)

    async def logins(self, *, number: int, in_flight: int, stop: Stop) -> Phase:
        """Drive complete logins, each of a person not seen before."""
        sessions: list[Session] = []

        def actor(caller: Caller, place: int) -> Act:
            async def act() -> None:
                session = await caller.login(self._crowd.newcomer())
                if len(sessions) < in_flight:
                    sessions.append(session)

            return act

        found = await self._drive("login", number=number, in_flight=in_flight, stop=stop, actor=actor)
        self._sessions = sessions
        return found

    async def refreshes(self, *, number: int, in_flight: int, stop: Stop) -> Phase:
        """Drive refresh chains, one session per device."""
        await self._need_sessions(in_flight)

        def actor(caller: Caller, place: int) -> Act:
            async def act() -> None:
                self._sessions[place] = await caller.refresh(self._sessions[place])

            return act

        return await self._drive("refresh", number=number, in_flight=in_flight, stop=stop, actor=actor)

    async def statuses(self, *, number: int, in_flight: int, stop: Stop) -> Phase:
        """Drive status reads, one session per device."""
        await self._need_sessions(in_flight)

        def actor(caller: Caller, place: int) -> Act:
            async def act() -> None:
                await caller.status(self._sessions[place])

            return act

        return await self._drive("status", number=number, in_flight=in_flight, stop=stop, actor=actor)

    async def requests(self, *, number: int, in_flight: int, stop: Stop) -> Phase:
        """Drive requests alone, whose codes nobody reads."""

        def actor(caller: Caller, place: int) -> Act:
            async def act() -> None:
                await caller.request(self._crowd.newcomer())

            return act

        return await self._drive("request", number=number, in_flight=in_flight, stop=stop, actor=actor)

    async def _need_sessions(self, count: int) -> None:
        caller = self.caller(Ledger())
        while len(self._sessions) < count:
            self._sessions.append(await caller.login(self._crowd.newcomer()))
        caller.reset()

    async def _drive(
        self, kind: str, *, number: int, in_flight: int, stop: Stop, actor: Callable[[Caller, int], Act]
    ) -> Phase:
        ledger = Ledger()
        callers = [self.caller(ledger) for _ in range(in_flight)]
        cpu, driver, begun = self._meter.cpu(), process_time(), perf_counter()

        def over() -> bool:
            if stop.units is not None and (len(ledger.logins) or ledger.call_count) >= stop.units:
                return True
            return perf_counter() - begun >= stop.seconds

        tasks = [repeat(one, until=over, act=actor(one, place)) for place, one in enumerate(callers)]
        await asyncio.gather(*tasks)
        seconds = perf_counter() - begun
        spent, driver = self._meter.cpu().since(cpu), process_time() - driver
        for one in callers:
            one.reset()
        return Phase(
            target=self.running.name,
            kind=kind,
            number=number,
            in_flight=in_flight,
            seconds=seconds,
            calls=ledger.call_count,
            logins=len(ledger.logins),
            faults=ledger.faults,
            latency={name: found for name, samples in ledger.calls.items() if (found := spread(samples))},
            login_latency=spread(ledger.logins),
            cpu=spent,
            driver_cpu=driver,
            memory=self._meter.memory(),
        )
