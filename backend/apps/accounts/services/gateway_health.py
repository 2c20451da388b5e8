"""The health of gateways as the courier asks for it: what is up, in which order, and how it stands.

Circuits, the watch's standings, the audit's word and an operator's choice have rooms of their own; here they become
one. It must not know a message, a person or HTTP.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from apps.accounts import telemetry
from apps.accounts.clock import Clock
from apps.accounts.providers.base import Channel, Cooling, Provider, ProviderError
from apps.accounts.services import breaker, gateway_events, ordering, standings
from apps.accounts.services.breaker import Circuit
from apps.accounts.services.breaker_state import Circuits, Step
from apps.accounts.services.health import Plan
from apps.accounts.services.ordering import Doubts, Turns
from apps.accounts.services.pace import Pace
from apps.accounts.services.routes import Routes
from apps.accounts.services.standings import Shot, Standings

# While all are cooling nobody is sent away for longer (contract section 1, delivery_failed).
LONGEST_RETRY_AFTER: Final = 5
_ALARMS: Final[Mapping[str, str]] = {
    "out_of_credit": "gateway_out_of_credit",
    "misconfigured": "gateway_misconfigured",
    breaker.SLOW: "gateway_slow",
}
# Being asked to slow down for a few seconds is no event.
_TOLD: Final = frozenset({Cooling.COUNTS.value, Cooling.LONG.value, breaker.SLOW})


class GatewayHealth:
    """Plans, takes note, and tells how gateways stand. One per process; thread-safe."""

    def __init__(
        self,
        *,
        circuits: Circuits,
        standings: Standings,
        routes: Routes,
        providers: Mapping[str, Provider],
        clock: Clock,
        pace: Pace,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.circuits = circuits
        self.standings = standings
        self._routes = routes
        self._providers = providers
        self._clock = clock
        self._pace = pace
        self._monotonic = monotonic
        self._turns = Turns(monotonic=monotonic)
        self._planned_at = float("-inf")

    # --- for the courier ------------------------------------------------------------------------------------------

    def plan(self, route: Sequence[str], *, channel: str, region: str, avoid: frozenset[str]) -> Plan:
        """Order the gateways of `route` that are up; say what to try when there is none, or none is left."""
        self._planned_at = self._monotonic()
        circuits, now, shot = self.circuits.look(), self.circuits.now(), self.standings.look()
        forced = self.standings.forced()
        able = bool(forced) and self._routes.can(forced, Channel(channel))
        names, aside = ordering.with_chosen_first(route, forced, able=able)
        known = {name: circuits.get(field(name, channel), _CLOSED) for name in names}
        cooling = [name for name in names if breaker.is_cooling(known[name], now)]
        up = [name for name in names if name not in cooling and name not in shot.misconfigured]
        faulty = [name for name in names if name in shot.misconfigured and name not in cooling]
        probes = [name for name in cooling if breaker.may_probe(known[name], now)]
        if not up:
            wait = min((breaker.seconds_to_probe(known[name], now) for name in cooling), default=0)
            return Plan(
                names=(*probes, *faulty),
                retry_after=max(1, min(LONGEST_RETRY_AFTER, math.ceil(wait))),
                probes=frozenset(probes),
            )
        slow = frozenset(name for name in up if known[name].kind == breaker.SLOW)
        doubts = _doubts(names, shot, channel, region, aside=aside, slow=slow, forced=forced if forced in names else "")
        trial = next((name for name in names if breaker.may_try(known[name], now)), "")
        ordered = ordering.arrange(up, doubts, avoid=avoid, turns=self._turns, where=f"{channel}:{region}")
        return Plan(names=(*ordered, *faulty, *probes), probes=frozenset(probes), trial=trial)

    def claim(self, name: str, *, channel: str, trial: bool = False) -> bool:
        """Take the next probe of a cooling gateway for this send, or say that another send has it.

        A probe is free every 2 s over all processes; a trial once the cooling is over. A gateway that is up needs none.
        """
        may = breaker.may_try if trial else breaker.may_probe
        before, after = self.circuits.change(
            field(name, channel), lambda circuit, now: breaker.claim(circuit, now) if may(circuit, now) else circuit
        )
        if not before.kind:
            return not trial
        return after.claimed > before.claimed

    def succeeded(self, name: str, *, channel: str, seconds: float) -> None:
        """End a cooling, in every process: the gateway took a message that was sent since it began and not late."""
        at = field(name, channel)
        started = self.circuits.now() - round(seconds * 1000)
        slow, many = self._pace.note(at, seconds)

        def step(circuit: Circuit, now: int) -> Circuit:
            if slow:
                return breaker.drag(circuit, many=many, started=started, now=now)
            return breaker.succeed(circuit, started=started, now=now)

        self._change(name, channel, step)

    def failed(self, name: str, error: ProviderError, *, channel: str, seconds: float) -> None:
        """Count or cool, as the error's leaf says."""
        started = self.circuits.now() - round(seconds * 1000)

        def step(circuit: Circuit, now: int) -> Circuit:
            return breaker.fail(
                circuit, error.cooling, cause=error.kind, retry_after=error.retry_after, started=started, now=now
            )

        self._change(name, channel, step)

    # --- for free calls and the watch -------------------------------------------------------------------------

    def asked(self, name: str, *, channel: str, well: bool, opened: int) -> None:
        """Take note of a free call, begun in the episode that `opened` then."""
        self._change(name, channel, lambda circuit, now: breaker.asked(circuit, well=well, opened=opened, now=now))

    def rivals(self, provider: str, channel: str, country: str) -> tuple[str, ...]:
        """Return who could take a gateway's traffic, the next of the route first; nobody while an operator chose."""
        route = self._routes.route(country, Channel(channel))
        if provider not in route or self.standings.forced():
            return ()
        at = route.index(provider)
        circuits, now, shot = self.circuits.look(), self.circuits.now(), self.standings.look()
        return tuple(
            name
            for name in (*route[at + 1 :], *route[:at])
            if name not in shot.misconfigured
            and not breaker.is_cooling(circuits.get(field(name, channel), _CLOSED), now)
        )

    def idle_seconds(self) -> float:
        """Return for how long nothing has been sent by this process."""
        return self._monotonic() - self._planned_at

    # --- for the audit and those who look -------------------------------------------------------------------------

    def mark_audit(self, name: str, ok: bool, reason: str) -> None:
        """Keep the audit's word: with a fault the gateway is not used while another one is up."""
        news = standings.write_audit_word(name, well=ok, reason=reason, clock=self._clock)
        self.standings.forget()
        if news and not ok:
            telemetry.alarm("gateway_misconfigured", provider=name, reason=reason)

    def claim_reaudit(self, name: str) -> bool:
        """Take the next free look at a gateway that the audit found misconfigured, or say that it is not due."""
        return standings.claim_reaudit(name, clock=self._clock)

    def vouched(self, name: str, *, channel: str, seconds: float) -> None:
        """End a cooling for credentials or credit: an audit that took `seconds` found both right."""
        self.circuits.look()  # a command's process has not seen them yet
        started = self.circuits.now() - round(seconds * 1000)
        self._change(name, channel, lambda circuit, now: breaker.vouched(circuit, started=started, now=now))

    def states(self, names: Sequence[str]) -> dict[str, str]:
        """Return up, cooling, demoted, misconfigured or forced for each name, the worst of its routes."""
        circuits, now, shot = self.circuits.look(), self.circuits.now(), self.standings.look()
        forced = self.standings.forced()

        def state(name: str) -> str:
            if name in shot.misconfigured:
                return "misconfigured"
            known = [circuits.get(field(name, channel.value), _CLOSED) for channel in Channel]
            left = [one for one in known if breaker.is_cooling(one, now) or one.kind == breaker.SLOW]
            if left:
                return next((word for word in map(_word, left) if word == "misconfigured"), "cooling")
            if name == forced:
                return "forced"
            return "demoted" if shot.demoted(name) else "up"

        return {name: state(name) for name in names}

    def usable(self, names: Sequence[str]) -> frozenset[str]:
        """Return those of the names that would take a code now, be it late: SMS where they carry it.

        A gateway whose WhatsApp alone fails still takes everybody's SMS, and one that is slow takes what it is given.
        """
        circuits, now, shot = self.circuits.look(), self.circuits.now(), self.standings.look()

        def takes(name: str) -> bool:
            main = Channel.SMS if Channel.SMS in self._providers[name].channels() else Channel.WHATSAPP
            return not breaker.is_cooling(circuits.get(field(name, main.value), _CLOSED), now)

        return frozenset(name for name in names if name not in shot.misconfigured and takes(name))

    def weights(self, names: Sequence[str], *, channel: str) -> dict[str, float]:
        """Return the share of its usual traffic that each gateway gets on its worst route of `channel`, from 0 to 1."""
        circuits, now, shot = self.circuits.look(), self.circuits.now(), self.standings.look()
        known = {name: circuits.get(field(name, channel), _CLOSED) for name in names}
        up = {name for name in names if not breaker.is_cooling(known[name], now) and name not in shot.misconfigured}
        quick = {name for name in up if known[name].kind != breaker.SLOW}

        def weight(name: str) -> float:
            if name not in (quick or up):  # where all that are up are slow, the configured order stands
                return 0.0
            held = {one.state for at, one in shot.standings.items() if at[:2] == (name, channel)}
            if "demoted" in held:
                return 1 / ordering.PROBE_EVERY
            return 0.5 if "exploring" in held else 1.0

        return {name: weight(name) for name in names}

    def _change(self, name: str, channel: str, step: Step) -> None:
        before, after = self.circuits.change(field(name, channel), step)
        opened = after.opened != before.opened and after.kind in _TOLD
        closed = after.kind == "" and before.kind in _TOLD
        if not opened and not closed:
            return
        if closed:
            self._pace.forget(field(name, channel))
        was = _word(before) if before.kind in _TOLD else "up"
        gateway_events.record_if_possible(
            name, channel=channel, before=was, after=_word(after) if opened else "up",
            reason=after.cause if opened else f"answers again after {before.cause}", clock=self._clock,
        )  # fmt: skip
        if opened:
            telemetry.alarm(_ALARMS.get(after.cause, "gateway_down"), provider=name, channel=channel, cause=after.cause)


_CLOSED: Final = Circuit()


def _word(circuit: Circuit) -> str:
    """Return what an open circuit is called: whoever looks at night must see at once that it is our settings."""
    return "misconfigured" if circuit.cause == "misconfigured" else "cooling"


def field(name: str, channel: str) -> str:
    """Return the name of a circuit: a gateway's channels fail each for itself (a template, a sender)."""
    return f"{name}:{channel}"


def _doubts(
    names: Sequence[str],
    shot: Shot,
    channel: str,
    region: str,
    *,
    aside: frozenset[str],
    slow: frozenset[str],
    forced: str,
) -> Doubts:
    held = {name: shot.standings.get((name, channel, region)) for name in names if name != forced}
    return Doubts(
        aside=aside,
        slow=slow - {forced},
        demoted=frozenset(name for name, one in held.items() if one is not None and one.state == "demoted"),
        exploring={}
        if forced
        else {name: one.candidate for name, one in held.items() if one is not None and one.state == "exploring"},
    )
