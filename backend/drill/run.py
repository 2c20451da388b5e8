"""One scenario from start to end: a running service, fake gateways behind switches, people, the fault, the healing.

It must not judge: drill/figures.py does.
"""

import asyncio
import contextlib
import random
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from drill.people import Life, World, live, stopwatch
from drill.scenarios import Scenario
from drill.wire import Switch
from fakegateways.handle import FakeGateways
from fakegateways.tls import Certificate
from rig.faults import PrivateRedis
from rig.service import RunningService

VENDORS: Final = ("authentica", "twilio", "meta")
OUR_NAME: Final = {"authentica": "authentica", "twilio": "twilio", "meta": "whatsapp"}


@dataclass(slots=True)
class Sighting:
    """What the service said of a gateway at `at`."""

    at: float
    states: dict[str, str]


@dataclass(slots=True)
class Record:
    """What a scenario left behind. `fault_at` and `healed_at` are seconds since its begin."""

    scenario: Scenario
    began_at: float = 0.0  # the database's clock, epoch seconds
    fault_at: float = 0.0
    healed_at: float = 0.0
    ended_at: float = 0.0
    lives: list[Life] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    attempts: list[tuple[float, str, str, str]] = field(default_factory=list)  # at, provider, state, error kind
    events: list[str] = field(default_factory=list)  # the service's own line of events


async def run(scenario: Scenario, *, seed: int, tell: Callable[[str, float, Record], None]) -> Record:
    """Live through one scenario; `tell` hears how far it is (phase, share done, record so far)."""
    record = Record(scenario=scenario)
    tls = next((fault.tls for fault in scenario.faults if fault.tls), "")
    store = PrivateRedis()
    await asyncio.to_thread(store.start)
    async with _gateways(tls) as gateways:
        environ = _environ(scenario, gateways, redis_url=store.url)
        service = RunningService(environ=environ, workers=2, ready_seconds=120)
        await asyncio.to_thread(service.__enter__)
        try:
            await _live_through(record, service, gateways, seed=seed, tell=tell)
            record.attempts = await asyncio.to_thread(_attempts, service, record)
            record.events = await asyncio.to_thread(_events, service, record)
        finally:
            await asyncio.to_thread(service.__exit__)
            await asyncio.to_thread(store.kill)
    return record


async def _live_through(
    record: Record, service: RunningService, gateways: "Gateways",
    *, seed: int, tell: Callable[[str, float, Record], None],
) -> None:  # fmt: skip
    scenario, now = record.scenario, stopwatch()
    record.began_at = await asyncio.to_thread(_database_now, service)
    handset = _Handset(gateways.all())
    world = World(port=service.port, channel=scenario.channel, look=handset.newest, now=now)
    rng = random.Random(seed)
    total = scenario.calm + scenario.broken + scenario.healing
    people: set[asyncio.Task[Life]] = set()
    watcher = asyncio.create_task(_watch(service, record, now))
    reader = asyncio.create_task(handset.follow(now, record))
    phase = "calm"
    next_arrival = 0.0
    while (at := now()) < total:
        if phase == "calm" and at >= scenario.calm:
            await gateways.spoil(scenario)
            record.fault_at, phase = now(), "broken"
        if phase == "broken" and at >= scenario.calm + scenario.broken:
            await gateways.heal()
            record.healed_at, phase = now(), "healing"
        while next_arrival <= at:
            people.add(asyncio.create_task(live(world, seed=random.Random(rng.random()))))
            next_arrival += rng.expovariate(scenario.per_second)
        for done in [person for person in people if person.done()]:
            people.discard(done)
            record.lives.append(done.result())
        tell(phase, at / total, record)
        await asyncio.sleep(0.1)
    tell("ending", 1.0, record)
    record.lives.extend(await asyncio.gather(*people))
    record.ended_at = now()
    watcher.cancel()
    reader.cancel()
    handset.read_all(record)


class _Handset:
    """Every person's phone: what the gateways really delivered."""

    def __init__(self, fakes: list[FakeGateways]) -> None:
        self._fakes = fakes
        self._seen = [0] * len(fakes)
        self._codes: dict[str, str] = {}

    def newest(self, number: str) -> str | None:
        """Return the code of the newest message on this phone."""
        return self._codes.get(number)

    async def follow(self, now: Callable[[], float], record: Record) -> None:
        """Read the gateways' account four times a second."""
        while True:
            self._read(now(), record)
            await asyncio.sleep(0.25)

    def read_all(self, record: Record) -> None:
        """Read what came last."""
        self._read(record.ended_at, record)

    def _read(self, at: float, record: Record) -> None:
        found = []
        for place, fake in enumerate(self._fakes):
            new = fake.messages(since=self._seen[place])
            self._seen[place] = max([self._seen[place], *(message.seq for message in new)])
            found.extend(new)
        for message in found:
            record.messages.append(
                {"at": at, "vendor": message.vendor, "to": message.to[-4:], "accepted": message.accepted,
                 "delivered": message.delivered, "outcome": message.outcome}
            )  # fmt: skip
            if message.delivered and message.code:
                self._codes[message.to] = message.code


async def _watch(service: RunningService, record: Record, now: Callable[[], float]) -> None:
    """Ask the status page twice a second, as an operator's screen would."""
    import json

    def ask() -> dict[str, str]:
        with urllib.request.urlopen(f"{service.url}/otp/status", timeout=3) as answer:
            return {item["name"]: item["state"] for item in json.load(answer)["providers"]}

    while True:
        with contextlib.suppress(OSError, ValueError):
            states = await asyncio.to_thread(ask)
            record.sightings.append(Sighting(at=now(), states=states))
        await asyncio.sleep(0.5)


@dataclass(slots=True)
class Gateways:
    """The vendors of one scenario: `main` is Authentica, over TLS where a certificate is the fault."""

    main: FakeGateways
    others: FakeGateways
    spoiled: FakeGateways | None
    switches: dict[str, Switch]

    def of(self, vendor: str) -> FakeGateways:
        """Return the process that plays `vendor`."""
        return self.main if vendor == "authentica" else self.others

    def all(self) -> list[FakeGateways]:
        """Return every process whose handsets count."""
        return [self.main] if self.main is self.others else [self.main, self.others]

    async def spoil(self, scenario: Scenario) -> None:
        """Let the faults of the scenario begin."""
        for fault in scenario.faults:
            if fault.tls and self.spoiled is not None:
                await self.switches[fault.vendor].turn(self.spoiled.port)
            elif fault.name == "refused":
                await self.switches[fault.vendor].turn(None)
            else:
                self.of(fault.vendor).script(fault.vendor, fault.name, **fault.params)

    async def heal(self) -> None:
        """Let all faults end."""
        for vendor, switch in self.switches.items():
            self.of(vendor).lift(vendor)
            if switch.target != self.of(vendor).port:
                await switch.turn(self.of(vendor).port)


@contextlib.asynccontextmanager
async def _gateways(tls: str) -> AsyncIterator[Gateways]:
    """Start the gateways, a second set with the wrong certificate where one is asked for, a switch for each vendor."""
    main = FakeGateways(tls=Certificate.GOOD if tls else None).start()
    others = FakeGateways().start() if tls else main
    spoiled = FakeGateways(tls=Certificate(tls)).start() if tls else None
    switches = {vendor: Switch(target=(main if vendor == "authentica" else others).port) for vendor in VENDORS}
    for switch in switches.values():
        await switch.start()
    try:
        yield Gateways(main=main, others=others, spoiled=spoiled, switches=switches)
    finally:
        for switch in switches.values():
            await switch.stop()
        for process in {id(fake): fake for fake in (main, others, spoiled) if fake is not None}.values():
            process.stop()


def _environ(scenario: Scenario, gateways: Gateways, *, redis_url: str) -> dict[str, str]:
    tls = gateways.main is not gateways.others
    address = {vendor: f"http://127.0.0.1:{gateways.switches[vendor].port}" for vendor in VENDORS}
    if tls:
        address["authentica"] = address["authentica"].replace("http://", "https://")
    environ = {
        "REDIS_URL": redis_url,
        "OTP_PROVIDER": "authentica",
        "OTP_FALLBACK_PROVIDERS": "twilio",
        "OTP_ROUTES": "*/whatsapp=whatsapp,twilio,authentica;*=authentica,twilio",
        "AUTHENTICA_API_KEY": "fake-authentica-key",
        "AUTHENTICA_BASE_URL": f"{address['authentica']}/authentica/api/v2",
        "AUTHENTICA_TEMPLATE_ID": "31",
        "AUTHENTICA_WHATSAPP_TEMPLATE_ID": "11",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "fake-twilio-token",
        "TWILIO_PHONE_NUMBER": "+15005550006",
        "TWILIO_WHATSAPP_FROM": "+15005550006",
        "TWILIO_CONTENT_SID": "HX" + "0" * 32,
        "TWILIO_BASE_URL": f"{address['twilio']}/twilio",
        "WHATSAPP_TOKEN": "fake-meta-token",
        "WHATSAPP_PHONE_NUMBER_ID": "100000000000001",
        "WHATSAPP_BUSINESS_ACCOUNT_ID": "200000000000001",
        "WHATSAPP_TEMPLATE_NAME": "otp_code",
        "WHATSAPP_BASE_URL": f"{address['meta']}/meta",
        "OTP_WHATSAPP_TEMPLATE_APPROVED": "1",
        "OTP_GLOBAL_MAX_PER_MINUTE": "5000",
    }
    if tls:
        environ["AUTHENTICA_CA_BUNDLE"] = str(gateways.main.ca_file)
    return environ


def _database_now(service: RunningService) -> float:
    return float(service.query("SELECT extract(epoch FROM clock_timestamp())")[0][0])


def _attempts(service: RunningService, record: Record) -> list[tuple[float, str, str, str]]:
    found = service.query(
        "SELECT extract(epoch FROM created_at), provider, state, error_kind FROM accounts_message ORDER BY created_at"
    )
    began = record.began_at
    return [(float(at) - began, provider, state, kind) for at, provider, state, kind in found]


def _events(service: RunningService, record: Record) -> list[str]:
    found = service.query(
        "SELECT extract(epoch FROM at), provider, channel, country, before, after, reason "
        "FROM accounts_gatewayevent ORDER BY at"
    )
    return [f"{float(at) - record.began_at:6.1f} s  {' '.join(str(word) for word in rest)}" for at, *rest in found]
