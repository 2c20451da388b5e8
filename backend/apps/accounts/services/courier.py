"""The courier: takes one message along the route until a gateway has it, under one deadline.

An attempt row is committed before each call and its outcome after it; no transaction and no connection is held during
the call. It must not know limits, tries or HTTP.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final

from django.db import Error as DatabaseError

from apps.accounts import telemetry
from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.errors import ServiceUnavailable
from apps.accounts.providers.base import (
    Carries,
    Channel,
    Checker,
    Order,
    OutcomeUnknown,
    Provider,
    ProviderError,
    Receipt,
)
from apps.accounts.services import attempts, statements
from apps.accounts.services.health import Health, Plan
from apps.accounts.services.parcel import Handover, Parcel, ending
from apps.accounts.services.routes import Routes
from apps.accounts.services.templates import TemplateWatch

# A hanging gateway leaves each of those after it this much of the deadline, or an even share of a short one.
SHARE_SECONDS: Final = 2.0
# With so much of the places taken by one gateway, it goes behind the others: it hangs, or is slower than people come.
CROWDED: Final = 2 / 3
# Beside the calls that wait for a gateway, one to so many of them may wait for such a place, and so long.
QUEUE_SHARE: Final = 4
SLOT_SECONDS: Final = 0.5
# A try with less time than this would end before it began.
_LEAST_SECONDS: Final = 0.05
# Only a person's own send takes a trial along.
_OWN_SENDS: Final = frozenset({"request", "resend"})


class Courier:
    """Delivers. One per process; thread-safe."""

    def __init__(
        self,
        *,
        config: Config,
        providers: Mapping[str, Provider],
        health: Health,
        clock: Clock,
        early: Callable[[str, str], None],
        templates: TemplateWatch,
        beside: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Take the rooms it needs; `early(provider, vendor id)` applies receipts that came before their message's id.

        `beside` runs a trial that nobody waits for, by default in a thread.
        """
        self._config = config
        self.providers = providers
        self._checkers = {name: one for name, one in providers.items() if isinstance(one, Checker)}
        self._early = early
        self._templates = templates
        self.health = health
        self._clock = clock
        self._routes = Routes(config=config, providers=providers, is_shut=templates.is_shut)
        self._beside = beside or _in_a_thread
        self._slots = threading.BoundedSemaphore(config["OTP_GATEWAY_THREADS"])
        self._queue = threading.BoundedSemaphore(max(1, config["OTP_GATEWAY_THREADS"] // QUEUE_SHARE))
        self._crowd = max(1, int(config["OTP_GATEWAY_THREADS"] * CROWDED))
        self._waiting: dict[str, int] = {}
        self._waiting_lock = threading.Lock()

    def route(self, region: str, channel: Channel, *, carries: Carries = Carries.CODE) -> tuple[str, ...]:
        """Return the gateways that could take a message of `channel` to `region`, in order; empty if none."""
        return self._routes.route(region, channel, carries=carries)

    def channels(self, region: str) -> tuple[Channel, ...]:
        """Return the channels that have a route to `region`."""
        return tuple(channel for channel in Channel if self.route(region, channel))

    def plan(self, route: Sequence[str], *, channel: Channel, region: str, avoid: frozenset[str] = frozenset()) -> Plan:
        """Return the gateways of `route` to try now, in order.

        One that holds too many places goes behind the others. A gateway that makes its own codes gets no trial beside:
        the person would have two codes; a send tries it instead.
        """
        found = self.health.plan(route, channel=channel.value, region=region, avoid=avoid)
        names = sorted(found.names, key=lambda name: (name in found.probes, self._waiting.get(name, 0) >= self._crowd))
        if found.trial and Carries.MINT in self.providers[found.trial].carries:
            names = [found.trial, *(name for name in names if name != found.trial)]
            return replace(found, names=tuple(names), probes=found.probes | {found.trial}, trial="")
        return replace(found, names=tuple(names))

    def next_of(self, left: Sequence[str], *, channel: Channel, region: str) -> Plan | None:
        """Return a plan of the one gateway to be called now of those `left` of a route, or None when there is none.

        An operator's choice joins a whole route, and not what is left of one. A gateway that is cooling may be called
        with a claim on its next probe, which is taken here.
        """
        if not left:
            return None
        plan = self.plan(left, channel=channel, region=region)
        first = next((name for name in plan.names if name in left), "")
        if not first or (first in plan.probes and not self.health.claim(first, channel=channel.value)):
            return None
        return replace(plan, names=(first,), probes=frozenset(), trial="")

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the places in which a call may wait for a gateway.

        Raises:
            ServiceUnavailable: all are taken and none came free; verify, refresh and status need the other threads.
        """
        if not self._take_slot():
            raise ServiceUnavailable(retry_after=2)
        try:
            yield
        finally:
            self._slots.release()

    def _take_slot(self) -> bool:
        """Take a place; where all are taken, a few calls wait a moment: of gateways that answer one is soon free."""
        if self._slots.acquire(blocking=False):
            return True
        if not self._queue.acquire(blocking=False):
            return False
        try:
            return self._slots.acquire(timeout=SLOT_SECONDS)
        finally:
            self._queue.release()

    open_row = staticmethod(attempts.open_row)

    def deliver(self, parcel: Parcel, plan: Plan, *, first_message_id: str) -> Handover:
        """Try the gateways of `plan` in order until one has the message, one try each, under the send deadline.

        A gateway that is cooling is tried only with a claim on its next probe.
        """
        deadline = time.monotonic() + self._config.send_deadline
        row: str | None = first_message_id
        tried: list[str] = []
        so_far = Handover(state="refused", contacted=False, retry_after=plan.retry_after)
        for place, name in enumerate(plan.names):
            left = deadline - time.monotonic()
            if left <= _LEAST_SECONDS:
                break
            if name in plan.probes and not self.health.claim(name, channel=parcel.channel.value):
                continue
            try:
                row = self._row_of(parcel, name, row, first=plan.names[0])
            except DatabaseError:
                if so_far.state != "unknown":
                    raise
                break  # one may have sent it: that is the answer, and without a row nobody else is called
            share = _share(left, others=len([one for one in plan.names[place + 1 :] if one not in plan.probes]))
            tried.append(name)
            result, known = self._attempt(parcel, name, row, min(deadline, time.monotonic() + share))
            row = None
            so_far = self._with_try(so_far, name, result, known)
            ended = ending(name, result, known)
            if ended is not None:
                if isinstance(result, Receipt):
                    self._try_beside(parcel, plan.trial, tried)
                return replace(ended, minted_by=so_far.minted_by, minted_for_seconds=so_far.minted_for_seconds)
        if row is not None:
            attempts.write_untried(row)
        return so_far

    def _with_try(self, so_far: Handover, name: str, result: Receipt | ProviderError, known: str) -> Handover:
        """Return what is to be said of the route, should no gateway after this try take the message."""
        if isinstance(result, ProviderError) and not result.reached:
            return replace(so_far, exhausted=not so_far.contacted)
        so_far = replace(so_far, contacted=True, exhausted=False)
        # A message that was made by the vendor can arrive though no answer did.
        if name in self._checkers and isinstance(result, Receipt | OutcomeUnknown):
            checker = self._checkers[name]
            so_far = replace(so_far, minted_by=name, minted_for_seconds=checker.minted_for_seconds)
        if known == "unknown" and so_far.state != "unknown":
            so_far = replace(so_far, state="unknown", provider=name)
        return so_far

    def _row_of(self, parcel: Parcel, name: str, row: str | None, *, first: str) -> str:
        """Return the attempt row of this try: the one that is open if it names this gateway, else a new one."""
        if row is not None and name == first:
            return row
        if row is not None:
            attempts.write_untried(row)
        with statements.durable():
            return self._row_for(parcel, name)

    def _try_beside(self, parcel: Parcel, name: str, tried: Sequence[str]) -> None:
        """Send the same code by a gateway whose cooling is over, beside the answer: nobody waits to find out."""
        minted = any(Carries.MINT in self.providers[one].carries for one in tried)
        if not name or name in tried or minted or parcel.cause not in _OWN_SENDS or parcel.code is None:
            return
        if not self.health.claim(name, channel=parcel.channel.value, trial=True):
            return
        trial = replace(parcel, cause="probe")

        def call() -> None:
            try:
                with statements.durable():
                    row = self._row_for(trial, name)
                self._attempt(trial, name, row, time.monotonic() + self._config.provider_timeout)
            finally:
                statements.give_back_connection()

        self._beside(call)

    def _row_for(self, parcel: Parcel, name: str) -> str:
        return self.open_row(
            parcel.phone, provider=name, channel=parcel.channel, send_id=parcel.send_id, cause=parcel.cause,
            challenge_id=parcel.challenge_id, code_id=parcel.code_id, now=statements.now() + self._clock.offset,
        )  # fmt: skip

    def _attempt(
        self, parcel: Parcel, name: str, message_id: str, deadline: float
    ) -> tuple[Receipt | ProviderError, str]:
        provider = self.providers[name]
        callback = None
        if self._config.public_base_url and name == "twilio":
            callback = f"{self._config.public_base_url}/api/webhooks/twilio/"
        started = time.monotonic()
        self._count_waiting(name, 1)
        order = Order(
            to=parcel.phone.e164, channel=parcel.channel, text=parcel.text, code=parcel.code,
            language=self._language(parcel, name),
            reference=message_id, deadline=min(deadline, started + self._config.provider_timeout),
            valid_seconds=parcel.valid_seconds, callback_url=callback,
        )  # fmt: skip
        statements.give_back_connection()
        result: Receipt | ProviderError
        try:
            result = provider.send(order)
        except ProviderError as error:
            result = error
        except Exception as error:  # a gateway's bug must not lose the login: the next one is tried
            telemetry.happened("gateway_crashed", provider=name, error=type(error).__name__)
            result = OutcomeUnknown("crashed")
        finally:
            self._count_waiting(name, -1)
        seconds = time.monotonic() - started
        known = self._write_outcome(name, message_id, result, seconds)
        if isinstance(result, Receipt):
            self.health.succeeded(name, channel=parcel.channel.value, seconds=seconds)
        elif result.reached:
            self.health.failed(name, result, channel=parcel.channel.value, seconds=seconds)
        telemetry.attempted(
            provider=name, channel=parcel.channel.value,
            outcome="accepted" if isinstance(result, Receipt) else result.kind,
            error_code="" if isinstance(result, Receipt) else result.vendor_code,
            seconds=seconds, message_id=message_id,
        )  # fmt: skip
        return result, known

    def _write_outcome(self, name: str, message_id: str, result: Receipt | ProviderError, seconds: float) -> str:
        """Write how a try ended; what a gateway has done stays true where the database is gone by now."""
        try:
            return attempts.write_outcome(name, message_id, result, seconds=seconds, early=self._early)
        except DatabaseError as error:
            # The row still says `sending`: it reads `unknown` when its time has passed, or a receipt finishes it.
            telemetry.happened("outcome_not_written", provider=name, error=type(error).__name__)
            return attempts.state_of(result)

    def _language(self, parcel: Parcel, name: str) -> str:
        return parcel.language if parcel.channel is Channel.SMS else self._templates.language(name, parcel.language)

    def _count_waiting(self, name: str, change: int) -> None:
        with self._waiting_lock:
            self._waiting[name] = self._waiting.get(name, 0) + change


def _share(left: float, *, others: int) -> float:
    """Return the seconds that one try may take of `left`, so that `others` after it have their time."""
    return left - others * min(SHARE_SECONDS, left / (others + 1))


def _in_a_thread(call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # no thread to spare: the message is out, and the trial is the next send's
        threading.Thread(target=call, name="gateway-trial", daemon=True).start()
