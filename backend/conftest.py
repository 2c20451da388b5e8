"""What every test of the service shares: rooms built for it with a recording gateway and a clock that can be moved."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import pytest
from django.db import connection
from django.test import Client

from apps.accounts import config as accounts_config
from apps.accounts.clock import Clock
from apps.accounts.dev.outbox import MemoryOutbox
from apps.accounts.providers.base import Carries, Channel, Order, Provider, ProviderError, Receipt
from apps.accounts.services import statements, wiring
from apps.accounts.services.health import Health
from apps.accounts.services.limits import MemoryLimiter, ResilientLimiter
from emptying import quick_flush

PHONE = "+966501234567"
OTHER_PHONE = "+966501234568"

# How long a busy machine takes for an example is no property of what is tested; the rest is as CI or a person has it.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Keep the server from analyzing tables in the middle of the suite: what is planned would hang on the moment."""
    with django_db_blocker.unblock():
        if not on_postgres():
            return
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f'ALTER TABLE "{table}" SET (autovacuum_enabled = false)')


@pytest.fixture(scope="session", autouse=True)
def emptied_quickly() -> Iterator[None]:
    with quick_flush():
        yield


@pytest.fixture(scope="session", autouse=True)
def connections_are_waited_for() -> Iterator[None]:
    """Let threads that race in one process of a busy machine wait for the pool longer than a call of a service may."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("salon_api.postgresql.base.POOL_SECONDS", 60.0)
        yield


@dataclass
class RecordingGateway:
    """A gateway that remembers what it got and does what it is told. It refuses to run inside a transaction."""

    name: str = "twilio"
    able: frozenset[Channel] = frozenset({Channel.SMS})
    carries: frozenset[Carries] = frozenset({Carries.CODE, Carries.TEXT})
    orders: list[Order] = field(default_factory=list)
    script: list[Receipt | ProviderError] = field(default_factory=list)
    always: Receipt | ProviderError | None = None

    def channels(self) -> frozenset[Channel]:
        return self.able

    def send(self, order: Order) -> Receipt:
        assert not connection.in_atomic_block, "a gateway was called inside a transaction"
        self.orders.append(order)
        outcome = self.script.pop(0) if self.script else self.always or Receipt(vendor_id=f"SM{len(self.orders):032d}")
        if isinstance(outcome, ProviderError):
            raise outcome
        return outcome

    @property
    def last_code(self) -> str:
        code = self.orders[-1].code
        assert code is not None
        return code


BASE_ENVIRON = {
    "DEBUG": "True",
    "ALLOWED_HOSTS": "*",
    "SECRET_KEY": "test-secret-key-of-more-than-thirty-two-characters",
    "OTP_SECRET": "test-otp-secret-of-more-than-thirty-two-characters",
    "OTP_PROVIDER": "twilio",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "fake-twilio-token",
    "TWILIO_PHONE_NUMBER": "+15005550006",
    "OTP_TEST_NUMBERS": "+1234567890:123456",
    "ADMIN_TOKEN": "test-admin-token-of-more-than-thirty-two-characters",
    "METRICS_TOKEN": "test-metrics-token-of-more-than-thirty-two-characters",
    "WEB_CONCURRENCY": "1",
}


@dataclass
class Rooms:
    """The services under test and the seams a test moves."""

    services: wiring.Services
    clock: Clock
    gateways: dict[str, RecordingGateway]

    @property
    def gateway(self) -> RecordingGateway:
        return self.gateways["twilio"]

    def begin_a_stretch(self, seconds: int) -> None:
        """Move time to where a stretch of so many seconds begins: what a test does next lies within one of them."""
        now = statements.now() + self.clock.offset
        self.clock.advance(seconds=seconds - now.timestamp() % seconds)


BuildRooms = Callable[..., Rooms]


@pytest.fixture
def build_rooms(settings: Any) -> Iterator[BuildRooms]:
    """Return a function that builds the services for given environment variables and makes them this process' own."""

    def build(
        *,
        gateways: list[RecordingGateway] | None = None,
        health: Health | None = None,
        real_gateways: bool = False,
        **environ: str,
    ) -> Rooms:
        values = {**BASE_ENVIRON, **environ}
        made = accounts_config.load(values)
        clock = Clock()
        given = gateways if gateways is not None else [RecordingGateway()]
        providers: dict[str, Provider] = {gateway.name: gateway for gateway in given}
        limiter = ResilientLimiter(
            None, MemoryLimiter(clock=_shifted(clock)), processes=made.processes, memory_fallback=True
        )
        services = wiring.build(
            made,
            clock=clock,
            providers=None if real_gateways else providers,
            health=health,
            outbox=MemoryOutbox(),
            limiter=limiter,
        )
        settings.OTP = made
        wiring.use(services)
        return Rooms(services=services, clock=clock, gateways={gateway.name: gateway for gateway in given})

    yield build
    wiring.use(None)


def _shifted(clock: Clock) -> Callable[[], int]:
    """Return milliseconds of a clock that the test moves together with the database's."""
    import time

    return lambda: int((time.monotonic() + clock.offset_seconds) * 1000)


@pytest.fixture
def rooms(build_rooms: BuildRooms) -> Rooms:
    """The services as the sample configuration has them, with one recording gateway."""
    return build_rooms()


class Api:
    """A client that speaks JSON and nothing else."""

    def __init__(self) -> None:
        self._client = Client()

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._call("post", path, body, headers)

    def get(self, path: str, **headers: str) -> Any:
        return self._call("get", path, None, headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._call("delete", path, body, headers)

    def _call(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        meta: dict[str, Any] = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        if body is None:  # no body and no content type: Django's own verbs would send an empty form
            return self._client.generic(method.upper(), path, **meta)
        return self._client.generic(method.upper(), path, json.dumps(body), content_type="application/json", **meta)


@pytest.fixture
def api() -> Api:
    """A JSON client."""
    return Api()


def on_postgres() -> bool:
    """Say whether this run's database has row locks."""
    return connection.vendor == "postgresql"


def needs_postgres(why: str = "a race that passes on SQLite proves nothing") -> pytest.MarkDecorator:
    """Mark a race, or whatever else says nothing on SQLite."""
    return pytest.mark.skipif(
        "postgres" not in os.environ.get("TEST_DATABASE_URL", ""),
        reason=f"{why}: set TEST_DATABASE_URL to a PostgreSQL database",
    )
