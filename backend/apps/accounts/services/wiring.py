"""Builds every service once from the configuration; the one place that knows how the rooms fit together.

A test builds its own with another configuration, clock or provider instead of patching.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings

from apps.accounts import telemetry
from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.dev.outbox import FileOutbox, Outbox
from apps.accounts.messages import NoticeKind
from apps.accounts.prices import in_micro
from apps.accounts.providers import registry
from apps.accounts.providers.base import Provider
from apps.accounts.providers.siteverify import Siteverify
from apps.accounts.services.blocklist import BlockList
from apps.accounts.services.blocks import Blocks
from apps.accounts.services.breaker_state import Circuits, SharedHash
from apps.accounts.services.choosing import Choosing
from apps.accounts.services.courier import Courier
from apps.accounts.services.erasure import Erasure
from apps.accounts.services.gateway_audit import GatewayAudits
from apps.accounts.services.gateway_choice import GatewayChoices
from apps.accounts.services.gateway_health import GatewayHealth
from apps.accounts.services.guard import Guard
from apps.accounts.services.guard_desk import GuardDesk
from apps.accounts.services.guard_judge import GuardJudge
from apps.accounts.services.guard_thread import GuardThread
from apps.accounts.services.health import Health
from apps.accounts.services.humanity import TIMEOUT_SECONDS, Humanity
from apps.accounts.services.idempotency import Idempotency
from apps.accounts.services.keys import Keys
from apps.accounts.services.later import Later, Work
from apps.accounts.services.limits import MemoryLimiter, RedisLimiter, ResilientLimiter
from apps.accounts.services.login import Login
from apps.accounts.services.notices import Notices
from apps.accounts.services.number_ids import NumberIds
from apps.accounts.services.ordinary_login import OrdinaryLogin
from apps.accounts.services.otp import OtpService
from apps.accounts.services.ownership import Ownership
from apps.accounts.services.pace import Pace
from apps.accounts.services.policy import Policy
from apps.accounts.services.proof import Prover
from apps.accounts.services.pulse import Pulse
from apps.accounts.services.read_out import ReadOuts
from apps.accounts.services.receipts import Receipts
from apps.accounts.services.recycled import Recycled
from apps.accounts.services.refusals import Refusals
from apps.accounts.services.routes import Routes
from apps.accounts.services.sending_on import SendingOn
from apps.accounts.services.session_events import DatabaseEvents
from apps.accounts.services.sessions import Sessions
from apps.accounts.services.spend import Budgets
from apps.accounts.services.standings import Standings
from apps.accounts.services.sweeping import Sweeper
from apps.accounts.services.templates import TemplateWatch
from apps.accounts.services.verification import Verification
from apps.accounts.services.watch import Watch


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that views, commands and tasks call."""

    config: Config
    clock: Clock
    otp: OtpService
    login: Login
    ordinary_login: OrdinaryLogin
    sessions: Sessions
    keys: Keys
    idempotency: Idempotency
    blocklist: BlockList
    blocks: Blocks
    policy: Policy
    guard: Guard
    guard_desk: GuardDesk
    guard_judge: GuardJudge
    guard_thread: GuardThread
    courier: Courier
    prover: Prover
    read_outs: ReadOuts
    verification: Verification
    recycled: Recycled
    choosing: Choosing
    ownership: Ownership
    erasure: Erasure
    number_ids: NumberIds
    refusals: Refusals
    receipts: Receipts
    sending_on: SendingOn
    notices: Notices
    templates: TemplateWatch
    sweeper: Sweeper
    limiter: ResilientLimiter
    health: Health
    gateway_choices: GatewayChoices
    gateway_audits: GatewayAudits
    pulse: Pulse | None
    providers: Mapping[str, Provider]
    outbox: Outbox


_lock = threading.Lock()
_built: Services | None = None
_later: Later | None = None


def work_later_by(later: Later) -> None:
    """Say who makes rows of the work that comes after an answer; the app's start does."""
    global _later
    _later = later


def _work_later(work: Work, ids: Sequence[str]) -> None:
    assert _later is not None, "the accounts app has not started"
    _later(work, ids)


def services() -> Services:
    """Return the services of this process for the present configuration."""
    global _built
    built = _built
    if built is not None and built.config is settings.OTP:
        return built
    with _lock:
        if _built is None or _built.config is not settings.OTP:
            _built = build(settings.OTP)
            if settings.BACKGROUND_THREADS and _built.pulse is not None:
                _built.pulse.start()
            if settings.BACKGROUND_THREADS:
                _built.guard_thread.start()
        return _built


def use(made: Services | None) -> None:
    """Put services in place of this process' own, or None to have them built anew: for tests."""
    global _built
    _built = made


def build(
    config: Config,
    *,
    clock: Clock | None = None,
    providers: Mapping[str, Provider] | None = None,
    health: Health | None = None,
    outbox: Outbox | None = None,
    limiter: ResilientLimiter | None = None,
    later: Later = _work_later,
) -> Services:
    """Build the services; anything given replaces what the configuration would choose."""
    # Long because it is one list: each part is made after those that it is given.
    clock = clock or Clock()
    outbox = outbox or FileOutbox(settings.VAR)
    if providers is None:
        providers = registry.build(
            config.values,
            public_base_url=config.public_base_url,
            webhook_keys=config.twilio_webhook_keys,
            outbox=outbox.record,
            timeout=config.provider_timeout,
        )
    limiter = limiter or _limiter(config)
    number_ids = NumberIds.build(config.secret_key)
    refusals = Refusals(ids=number_ids, clock=clock, by_itself=settings.BACKGROUND_THREADS)
    telemetry.tell_refusals_to(refusals.note)
    blocklist = BlockList(clock=clock)
    budgets = Budgets(
        whole=in_micro(config["OTP_DAILY_SPEND_LIMIT"]),
        countries={country: in_micro(limit) for country, limit in config.country_spend_limits.items()},
    )
    guard = Guard(enforcing=config["OTP_GUARD_MODE"] == "enforce", budgets=budgets, prices=config.prices, clock=clock)
    guard_judge = GuardJudge(guard=guard, budgets=budgets, prices=config.prices, clock=clock)
    humanity = Humanity(config=config, service=_proof_service(config), guard=guard, limiter=limiter)
    policy = Policy(config=config, limiter=limiter, blocklist=blocklist, guard=guard, humanity=humanity)
    receipts = Receipts(providers=providers, clock=clock, later=later)
    templates = TemplateWatch(providers=providers, clock=clock)
    pulse = None
    standings = Standings(clock=clock)
    if health is None:
        routes = Routes(config=config, providers=providers, is_shut=templates.is_shut)
        circuits = Circuits(_shared_circuits(config, limiter), limiter.health, clock=clock)
        health = GatewayHealth(
            circuits=circuits, standings=standings, routes=routes, providers=providers, clock=clock,
            pace=Pace(timeout=config.provider_timeout),
        )  # fmt: skip
        watch = Watch(clock=clock, rivals=health.rivals, changed=standings.forget)
        pulse = Pulse(health=health, watch=watch, providers=providers, timeout=config.provider_timeout)
    courier = Courier(
        config=config, providers=providers, health=health, clock=clock, early=receipts.settle, templates=templates
    )
    prover = Prover(config=config, policy=policy, providers=providers, clock=clock)
    sending_on = SendingOn(config=config, courier=courier, prover=prover, blocklist=blocklist, clock=clock)
    notices = Notices(config=config, courier=courier, clock=clock, later=later)
    events = DatabaseEvents(notices=notices)
    keys = Keys(secret_key=config.secret_key, clock=clock, events=events)
    sessions = Sessions(config=config, keys=keys, clock=clock, events=events)
    otp = OtpService(config=config, policy=policy, courier=courier, prover=prover, clock=clock)
    recycled = Recycled(config=config, clock=clock)
    login = Login(config=config, sessions=sessions, gate=recycled)
    return Services(
        config=config,
        clock=clock,
        otp=otp,
        login=login,
        ordinary_login=OrdinaryLogin(config=config, sessions=sessions, login=login, clock=clock),
        sessions=sessions,
        keys=keys,
        idempotency=Idempotency.build(secret_key=config.secret_key, send_deadline=config.send_deadline, clock=clock),
        blocklist=blocklist,
        blocks=Blocks(config=config, clock=clock, blocklist=blocklist),
        policy=policy,
        guard=guard,
        guard_desk=GuardDesk(guard=guard, clock=clock),
        guard_judge=guard_judge,
        guard_thread=GuardThread(guard_judge),
        courier=courier,
        prover=prover,
        read_outs=ReadOuts(
            config=config,
            clock=clock,
            prover=prover,
            blocklist=blocklist,
            sessions=sessions,
            tell=lambda phone: notices.enqueue(kind=NoticeKind.NEW_LOGIN_BY_SUPPORT, phone=phone.e164),
        ),
        verification=Verification(otp=otp, sessions=sessions, notices=notices, clock=clock),
        recycled=recycled,
        choosing=Choosing(login=login, recycled_numbers=recycled, policy=policy, notices=notices, clock=clock),
        ownership=Ownership(sessions=sessions, clock=clock),
        erasure=Erasure(config=config, clock=clock),
        number_ids=number_ids,
        refusals=refusals,
        receipts=receipts,
        sending_on=sending_on,
        notices=notices,
        templates=templates,
        sweeper=Sweeper(
            config=config,
            clock=clock,
            receipts=receipts,
            sending_on=sending_on,
            notices=notices,
        ),
        limiter=limiter,
        health=health,
        gateway_audits=GatewayAudits(
            config=config,
            providers=providers,
            clock=clock,
            mark=health.mark_audit,
            vouch=health.vouched,
            keep_templates=templates.store,
        ),
        gateway_choices=GatewayChoices(known=providers, clock=clock, changed=standings.forget),
        pulse=pulse,
        providers=providers,
        outbox=outbox,
    )


def _shared_circuits(config: Config, limiter: ResilientLimiter) -> SharedHash | None:
    if limiter.health is None:
        return None
    from django_redis import get_redis_connection

    return SharedHash(lambda: get_redis_connection("default").connection_pool)


def _proof_service(config: Config) -> Siteverify | None:
    name = config["OTP_PROOF_PROVIDER"]
    if name == "off":
        return None
    return Siteverify(name, secret=config["OTP_PROOF_SECRET"], address=config["OTP_PROOF_URL"], timeout=TIMEOUT_SECONDS)


def _limiter(config: Config) -> ResilientLimiter:
    redis = None
    if config["REDIS_URL"]:
        from django_redis import get_redis_connection

        redis = RedisLimiter(get_redis_connection("default"))
    return ResilientLimiter(
        redis, MemoryLimiter(), processes=config.processes, memory_fallback=config["OTP_MEMORY_FALLBACK"]
    )
