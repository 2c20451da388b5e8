"""What this process knows of its stores and gateways, true within a second and never waited for.

    down      nobody can log in: the database is gone, sends are refused for want of Redis, or no gateway of the routes
              takes codes (each is misconfigured or cooling; one that is slow, or fails for WhatsApp alone, takes them)
    degraded  logins work, but not as configured: limits are judged in memory because Redis is gone, or a gateway of the
              routes is cooling, demoted, misconfigured or an operator's choice
    ok        everything else

It must not know HTTP or a person.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import DatabaseError, InterfaceError

from apps.accounts.providers.base import Channel
from apps.accounts.services import statements
from apps.accounts.services.health import USABLE
from apps.accounts.services.limits import StoreState
from apps.accounts.services.wiring import Services, services
from apps.ops import queries
from apps.ops.code_secret import CodeSecret
from apps.ops.sampling import Sampler


class Level(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the database: whether it answers, whether its tables are this release's, how the gateways are.

    And what their last audits found, and whether codes are opened with a secret that this process lacks.
    """

    database: bool = False
    migrated: bool = False
    secret_differs: bool = False
    gateways: Mapping[str, str] = field(default_factory=dict)
    usable: frozenset[str] = frozenset()
    audits: Mapping[str, "AuditWord"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditWord:
    """The worst finding of a gateway's last audit: ok, note, warning, fault; `at` by the database's clock."""

    finding: str
    at: datetime


@dataclass(frozen=True, slots=True)
class GatewayState:
    name: str
    channels: tuple[str, ...]
    state: str  # up, cooling, demoted, misconfigured, forced
    primary: bool
    audit: AuditWord | None = None
    usable: bool = True  # would take a code now, be it late


@dataclass(frozen=True, slots=True)
class Standing:
    """How the service stands at this moment."""

    level: Level
    store: StoreState
    database: bool
    migrated: bool
    secret_differs: bool
    gateways: tuple[GatewayState, ...]
    templates_approved: bool  # no WhatsApp template is known to be anything else

    @property
    def ready(self) -> bool:
        """Say whether this process can serve."""
        return self.database and self.migrated and not self.secret_differs


class Board:
    """The standing of one process. Thread-safe."""

    def __init__(self, made: Services) -> None:
        self.services = made
        self._names = named_gateways(made)
        self._last = Look()
        self._templates_approved = True
        self._code_secret = CodeSecret(
            frozenset(key.key_id for key in made.config.code_keys),
            life=timedelta(seconds=made.config.expiry_seconds),
            clock=lambda: statements.now() + made.clock.offset,
        )
        self._sampler = Sampler(self._look, absent=Look, inline=lambda: not statements.is_postgres())

    def standing(self) -> Standing:
        """Return how the service stands: at most one look at the database every half second, waited for 0.7 s."""
        look = self._sampler.read()
        store = self.services.limiter.state
        known = look if look.database else self._last_known()
        gateways = tuple(self._gateway(name, known) for name in self._names)
        return Standing(
            level=_level(look, store, gateways),
            store=store,
            database=look.database,
            migrated=look.migrated,
            secret_differs=look.secret_differs,
            gateways=gateways,
            templates_approved=self._templates_approved,
        )

    def forget(self) -> None:
        """Look anew at the next question: this process just changed something."""
        self._sampler.forget()

    def _last_known(self) -> Look:
        """Return what can be said of the gateways without the database: what the pulse knew last, asked or not."""
        pulse = self.services.pulse
        return replace(self._last, gateways=pulse.told) if pulse is not None and pulse.told else self._last

    def _look(self) -> Look:
        try:
            migrated = queries.migrations_applied()
            differs = migrated and self._code_secret.differs()
            names = [name for name in self._names if name in self.services.providers]
            states, usable = self.services.health.states(names), self.services.health.usable(names)
            approved = self.services.templates.all_approved()
            audits = {name: AuditWord(finding, at) for name, at, finding, _ in self.services.gateway_audits.newest()}
        except (DatabaseError, InterfaceError, OSError):
            return Look()
        finally:
            statements.give_back_connection()
        self._last = Look(
            database=True, migrated=migrated, secret_differs=differs, gateways=states, usable=usable, audits=audits
        )
        self._templates_approved = approved
        return self._last

    def _gateway(self, name: str, known: Look) -> GatewayState:
        provider = self.services.providers.get(name)
        able = provider.channels() if provider else frozenset()
        state = known.gateways.get(name, "up") if provider else "misconfigured"
        return GatewayState(
            name=name,
            channels=tuple(channel.value for channel in Channel if channel in able),
            state=state,
            primary=name == self.services.config["OTP_PROVIDER"],
            audit=known.audits.get(name),
            usable=state in USABLE or (provider is not None and name in known.usable),
        )


def named_gateways(made: Services) -> tuple[str, ...]:
    """Return every gateway that a message could leave by, the primary one first."""
    config = made.config
    names = [config["OTP_PROVIDER"], *config["OTP_FALLBACK_PROVIDERS"]]
    for route in config.routes:
        names += route.gateways
    if "whatsapp" in made.providers:  # carries WhatsApp where no gateway of the route can
        names.append("whatsapp")
    return tuple(dict.fromkeys(names))


_lock = threading.Lock()
_board: Board | None = None


def board() -> Board:
    """Return this process' board for the present services."""
    global _board
    made, known = services(), _board
    if known is not None and known.services is made:
        return known
    with _lock:
        if _board is None or _board.services is not made:
            _board = Board(made)
        return _board


def _level(look: Look, store: StoreState, gateways: tuple[GatewayState, ...]) -> Level:
    usable = any(gateway.usable for gateway in gateways)
    if not look.database or store is StoreState.UNAVAILABLE or not usable:
        return Level.DOWN
    if store is StoreState.MEMORY_FALLBACK or any(gateway.state != "up" for gateway in gateways):
        return Level.DEGRADED
    return Level.OK
