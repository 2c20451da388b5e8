"""What tests of sessions stand on: keys, sessions, a person and a device, built without the service's wiring."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection

from apps.accounts.clock import Clock
from apps.accounts.config import Config, load
from apps.accounts.services import statements
from apps.accounts.services.keys import Keys
from apps.accounts.services.session_types import DeviceFacts, Opened, Person
from apps.accounts.services.sessions import Sessions

SECRET = "a-secret-of-the-tests-that-is-long-enough"
PHONE_DEVICE = DeviceFacts(device_id="phone-1", device_name="Sara's phone", ip="203.0.113.7", user_agent="app/1.0")


needs_threads = pytest.mark.skipif(
    settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
    and not settings.DATABASES["default"].get("TEST", {}).get("NAME"),
    reason="SQLite in memory has no second connection; run with TEST_DATABASE_URL",
)


def at_once(act: Callable[[int], Any], *, count: int) -> list[Any]:
    """Run `act` in `count` threads that start together, each with a connection of its own; return results or errors."""
    gate = threading.Barrier(count)

    def run(number: int) -> Any:
        try:
            gate.wait(timeout=30)
            return act(number)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=count) as pool:
        return list(pool.map(run, range(count)))


@dataclass(slots=True)
class Heard:
    """Events that were reported, for a test to read."""

    audits: list[tuple[str, str, str, dict[str, Any]]] = field(default_factory=list)
    notices: list[tuple[str, int]] = field(default_factory=list)

    def audit(
        self, event: str, *, actor: str, subject: str, note: str = "", detail: dict[str, Any] | None = None
    ) -> None:
        assert connection.in_atomic_block
        self.audits.append((str(event), actor, subject, detail or {}))

    def notice(self, kind: str, *, user_id: int, detail: dict[str, Any] | None = None) -> None:
        assert connection.in_atomic_block
        self.notices.append((str(kind), user_id))


def config(**environ: str) -> Config:
    return load({"DEBUG": "True", "SECRET_KEY": SECRET, "OTP_PROVIDER": "console", **environ})


@dataclass(slots=True)
class World:
    clock: Clock
    heard: Heard
    keys: Keys
    sessions: Sessions

    def login(self, person: Person | None = None, **options: Any) -> Opened:
        who = person or make_person()
        with statements.durable():
            return self.sessions.open(
                who,
                device=options.pop("device", PHONE_DEVICE),
                now=statements.now() + self.clock.offset,
                amr=options.pop("amr", ("otp", "sms")),
                **options,
            )

    def refresh(self, token: str, *, device_id: str = "phone-1", **options: Any) -> Any:
        return self.sessions.refresh(token, device_id=device_id, **options)


def make_world(**environ: str) -> World:
    clock, heard = Clock(), Heard()
    keys = Keys(secret_key=SECRET, clock=clock, events=heard)
    keys.ensure()
    heard.audits.clear()
    return World(clock, heard, keys, Sessions(config=config(**environ), keys=keys, clock=clock, events=heard))


def another_process(world: World, **environ: str) -> World:
    """Return what a second process of the service would have: nothing in memory of what the first has seen."""
    keys = Keys(secret_key=SECRET, clock=world.clock, events=world.heard)
    sessions = Sessions(config=config(**environ), keys=keys, clock=world.clock, events=world.heard)
    return World(world.clock, world.heard, keys, sessions)


def make_person(number: str = "+966500000001", **fields: Any) -> Person:
    user = get_user_model().objects.create_user(
        f"user_{number[1:]}", None, phone_number=number, phone_verified=True, last_seen_at=statements.now(), **fields
    )
    return Person(user.pk, user.username, number, user.role, True, user.subject, user.is_test)


def other(device: DeviceFacts = PHONE_DEVICE, **changes: str) -> DeviceFacts:
    return replace(device, **changes)
