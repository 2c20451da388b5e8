"""The pulse of a web process beside its requests: free calls to cooling gateways, rounds of the watch, gauges.

One daemon thread. It must not know how a gateway is judged. Without it nothing breaks: sends themselves are the probes.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from django.db import DatabaseError, InterfaceError

from apps.accounts import telemetry
from apps.accounts.providers.base import AuditLine, Auditor, Channel, Provider
from apps.accounts.services import breaker, statements
from apps.accounts.services.breaker import Circuit
from apps.accounts.services.gateway_audit import is_well, is_whole
from apps.accounts.services.gateway_health import GatewayHealth, field
from apps.accounts.services.watch import ROUND_SECONDS, Watch

BEAT_SECONDS: Final = 0.5
# Nothing was sent for so long: nothing is left to be watched.
IDLE_SECONDS: Final = 1200.0


def spawn(work: Callable[[], None]) -> None:
    """Run `work` in a daemon thread of its own."""
    threading.Thread(target=work, name="gateway-call", daemon=True).start()


class Pulse:
    """Beats every half second once started. One per process."""

    def __init__(
        self,
        *,
        health: GatewayHealth,
        watch: Watch,
        providers: Mapping[str, Provider],
        timeout: float,
        run: Callable[[Callable[[], None]], None] = spawn,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what beats; `timeout` is the seconds of a free call, `run` starts one beside the pulse."""
        self._health = health
        self._watch = watch
        self._names = tuple(providers)
        self._auditors = {name: one for name, one in providers.items() if isinstance(one, Auditor)}
        self._timeout = timeout
        self._run = run
        self._monotonic = monotonic
        self._running: set[str] = set()
        self.told: Mapping[str, str] = {}  # how the gateways stood at the last beat
        self._round_at = float("-inf")
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to beat; a second call changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_beating, name="gateway-pulse", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def beat(self) -> None:
        """Do what is due now."""
        self.told = self._health.states(self._names)
        telemetry.gateways_stand(self.told)
        self._ask_the_cooling()
        self._ask_the_misconfigured()
        now = self._monotonic()
        if now - self._round_at >= ROUND_SECONDS and self._health.idle_seconds() < IDLE_SECONDS:
            self._round_at = now
            self._watch.round()

    def _keep_beating(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            try:
                self.beat()
            except (DatabaseError, InterfaceError, OSError) as error:
                telemetry.happened("pulse_missed", error=type(error).__name__)
            except Exception as error:  # a bug here must not end the watch for good
                telemetry.alarm("pulse_crashed", error=type(error).__name__)
            finally:
                statements.give_back_connection()

    def _ask_the_cooling(self) -> None:
        now = self._health.circuits.now()
        for name, provider in self._auditors.items():
            for channel in Channel:
                at = field(name, channel.value)
                due = breaker.may_ask(self._health.circuits.look().get(at, Circuit()), now)
                if due and at not in self._running:
                    self._ask(name, channel.value, provider)

    def _ask(self, name: str, channel: str, provider: Auditor) -> None:
        at = field(name, channel)
        before, after = self._health.circuits.change(
            at, lambda circuit, now: breaker.ask(circuit, now) if breaker.may_ask(circuit, now) else circuit
        )
        if after.asked == before.asked:
            return

        def call() -> None:
            try:
                well = is_well(self._audit(provider), channel=channel)
                self._health.asked(name, channel=channel, well=well, opened=after.opened)
            finally:
                self._running.discard(at)
                statements.give_back_connection()

        self._begin(at, call)

    def _ask_the_misconfigured(self) -> None:
        for name in self._health.standings.look().misconfigured:
            provider = self._auditors.get(name)
            if provider is not None and name not in self._running and self._health.claim_reaudit(name):
                self._begin(name, partial(self._reaudit, name, provider))

    def _begin(self, what: str, call: Callable[[], None]) -> None:
        self._running.add(what)
        try:
            self._run(call)
        except RuntimeError:  # no thread to spare: asked again when it is due next
            self._running.discard(what)
            raise

    def _reaudit(self, name: str, provider: Auditor) -> None:
        try:
            if is_whole(self._audit(provider)):
                self._health.mark_audit(name, True, "the audit finds no fault any more")
        finally:
            self._running.discard(name)
            statements.give_back_connection()

    def _audit(self, provider: Auditor) -> Sequence[AuditLine]:
        try:
            return provider.audit(deadline=self._monotonic() + self._timeout)
        except Exception as error:  # an auditor's bug is not the gateway's health
            telemetry.happened("free_call_crashed", error=type(error).__name__)
            return ()
