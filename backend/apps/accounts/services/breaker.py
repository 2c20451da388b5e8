"""The rules of one circuit: what opens it, how long it cools, who may probe, what closes it. Pure: time is given.

It must not know where circuits are kept, nor what a gateway is called. All times are epoch milliseconds of one clock.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from apps.accounts.providers.base import Cooling

OPENING_FAILURES: Final = 5
FAILURE_WINDOW_MS: Final = 30_000
SHORT_MS: Final = 5_000
# First and longest wait for a trial; each failed one doubles it. A long cooling's trial costs a refused call and
# nobody's time, so it need not wait for as long as a person's message would have to.
COUNTED_MS: Final = (10_000, 60_000)
LONG_MS: Final = (30_000, 300_000)
PROBE_SPACING_MS: Final = 2_000
# A trial that hangs must have ended before the next one begins.
TRIAL_SPACING_MS: Final = 5_000
FREE_SPACING_MS: Final = 2_000
# After ten minutes of outage a vendor's API is asked less often.
PATIENT_FREE_SPACING_MS: Final = 10_000
PATIENT_AFTER_MS: Final = 600_000
# For so long after closing, one counted failure opens the circuit again.
FRAGILE_MS: Final = 30_000
RELAPSE_MS: Final = 60_000
_MOST_STEPS: Final = 8
# A kind of its own: a slow gateway is up, goes behind quicker ones, and proves itself by trials that nobody waits for.
SLOW: Final = "slow"


@dataclass(frozen=True, slots=True)
class Circuit:
    """One gateway on one channel, as all processes see it. `kind` is empty while it is closed."""

    kind: str = ""
    cause: str = ""  # the error that opened it
    failures: tuple[int, ...] = ()
    opened: int = 0
    until: int = 0  # cooled down: a trial is due
    steps: int = 0  # failed trials
    claimed: int = 0  # the last probe by a send
    asked: int = 0  # the last free call
    deaf: bool = False  # a free call failed while this circuit was open, so one that succeeds means something
    closed: int = 0
    relapses: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the members that differ from a new circuit's."""
        return {name: value for name, value in asdict(self).items() if value != _DEFAULTS[name]}


_DEFAULTS: Final = asdict(Circuit())


def from_json(members: dict[str, Any]) -> Circuit:
    """Return the circuit that `as_json` wrote; members of a later version are passed over."""
    known = {name: value for name, value in members.items() if name in _DEFAULTS}
    known["failures"] = tuple(known.get("failures", ()))
    return Circuit(**known)


def is_cooling(circuit: Circuit, now: int) -> bool:
    """Say whether the gateway is to be skipped while another one is up. A short cooling ends by itself."""
    return circuit.kind not in ("", SLOW) and (circuit.kind != Cooling.SHORT or now < circuit.until)


def fail(
    circuit: Circuit, cooling: Cooling, *, cause: str, retry_after: float | None, started: int, now: int
) -> Circuit:
    """Return the circuit after a send that began at `started` ended in an error of this cooling."""
    if started < circuit.closed:
        return circuit  # it tells of the time before the circuit closed
    if cooling is Cooling.NONE:
        # The gateway answered about one message: it lives, which says nothing about credit or credentials.
        return _close(circuit, now) if circuit.kind == Cooling.COUNTS and started >= circuit.opened else circuit
    if cooling is Cooling.SHORT:
        return _throttle(circuit, cause=cause, retry_after=retry_after, now=now)
    if cooling is Cooling.LONG:
        if circuit.kind == Cooling.LONG:
            return _again(circuit, now)
        return _open(circuit, Cooling.LONG, cause=cause, now=now)
    if circuit.kind in (Cooling.COUNTS, Cooling.LONG):
        return _again(circuit, now)
    if circuit.kind == SLOW:
        circuit = _again(circuit, now)
    failures = (*(at for at in circuit.failures if at > now - FAILURE_WINDOW_MS), now)[-OPENING_FAILURES:]
    fragile = circuit.closed > 0 and now - circuit.closed < FRAGILE_MS
    if fragile or len(failures) >= OPENING_FAILURES:
        return _open(circuit, Cooling.COUNTS, cause=cause, now=now)
    return replace(circuit, failures=failures)


def drag(circuit: Circuit, *, many: bool, started: int, now: int) -> Circuit:
    """Return the circuit after a send was taken much later than usual; `many` says that most are by now."""
    if started < circuit.closed:
        return circuit
    if circuit.kind == SLOW:
        return _again(circuit, now) if started >= circuit.until else circuit
    if circuit.kind:
        return succeed(circuit, started=started, now=now)
    return _open(circuit, SLOW, cause=SLOW, now=now) if many else circuit


def succeed(circuit: Circuit, *, started: int, now: int) -> Circuit:
    """Return the circuit after a send that began at `started` was taken; one from before it opened proves nothing."""
    return _close(circuit, now) if circuit.kind and started >= circuit.opened else circuit


def may_probe(circuit: Circuit, now: int) -> bool:
    """Say whether a send may probe while all of its route are cooling: one every 2 s, long cooling included."""
    return circuit.kind == "" or now - circuit.claimed >= PROBE_SPACING_MS


def may_try(circuit: Circuit, now: int) -> bool:
    """Say whether a trial is due while another gateway of the route is up."""
    return (
        circuit.kind in (Cooling.COUNTS, Cooling.LONG, SLOW)
        and now >= circuit.until
        and now - circuit.claimed >= TRIAL_SPACING_MS
    )


def claim(circuit: Circuit, now: int) -> Circuit:
    """Return the circuit with its probe taken."""
    return replace(circuit, claimed=now) if circuit.kind else circuit


def may_ask(circuit: Circuit, now: int) -> bool:
    """Say whether a free call is due: one that spends no message and that nobody waits for."""
    spacing = PATIENT_FREE_SPACING_MS if now - circuit.opened > PATIENT_AFTER_MS else FREE_SPACING_MS
    return circuit.kind in (Cooling.COUNTS, Cooling.LONG) and now - circuit.asked >= spacing


def ask(circuit: Circuit, now: int) -> Circuit:
    """Return the circuit with its free call taken."""
    return replace(circuit, asked=now)


def asked(circuit: Circuit, *, well: bool, opened: int, now: int) -> Circuit:
    """Return the circuit after a free call, begun in the episode that `opened` then.

    A free call reads, and a gateway may answer reads while its sending hangs. So its success closes the circuit only
    where a free call had failed in this episode, and where closing has not just been proven wrong.
    """
    if circuit.kind not in (Cooling.COUNTS, Cooling.LONG) or circuit.opened != opened:
        return circuit
    if not well:
        return replace(circuit, deaf=True)
    return _close(circuit, now) if circuit.deaf and not circuit.relapses else circuit


def vouched(circuit: Circuit, *, started: int, now: int) -> Circuit:
    """Return the circuit after an audit, begun at `started`, found credentials and credit right.

    An audit is somebody's act or cron's, so it cannot make a circuit swing; that reads answer proves nothing of a
    gateway that hangs.
    """
    return _close(circuit, now) if circuit.kind == Cooling.LONG and started >= circuit.opened else circuit


def seconds_to_probe(circuit: Circuit, now: int) -> float:
    """Return the seconds until the next probe is free."""
    return max(0, circuit.claimed + PROBE_SPACING_MS - now) / 1000


def _throttle(circuit: Circuit, *, cause: str, retry_after: float | None, now: int) -> Circuit:
    if circuit.kind == Cooling.LONG:
        return circuit
    until = now + (SHORT_MS if retry_after is None else int(retry_after * 1000))
    if circuit.kind == Cooling.SHORT and now < circuit.until:
        return replace(circuit, until=max(until, circuit.until))
    return replace(circuit, kind=Cooling.SHORT.value, cause=cause, opened=now, until=until)


def _open(circuit: Circuit, kind: str, *, cause: str, now: int) -> Circuit:
    relapses = min(_MOST_STEPS, circuit.relapses + 1) if circuit.closed and now - circuit.closed < RELAPSE_MS else 0
    fresh = Circuit(kind=str(kind), cause=cause, opened=now, steps=relapses, relapses=relapses, closed=circuit.closed)
    return replace(fresh, until=now + _cooling_ms(kind, relapses))


def _again(circuit: Circuit, now: int) -> Circuit:
    """A trial failed: cool for twice as long. Sends that were on their way when the circuit opened change nothing."""
    if now < circuit.until:
        return circuit
    steps = min(_MOST_STEPS, circuit.steps + 1)
    return replace(circuit, steps=steps, until=now + _cooling_ms(circuit.kind, steps))


def _close(circuit: Circuit, now: int) -> Circuit:
    if circuit.kind == Cooling.SHORT:  # being asked to slow down is no outage: nothing has to prove itself afterwards
        return Circuit(failures=circuit.failures, closed=circuit.closed, relapses=circuit.relapses)
    return Circuit(closed=now, relapses=circuit.relapses)


def _cooling_ms(kind: str, steps: int) -> int:
    first, longest = LONG_MS if kind == Cooling.LONG else COUNTED_MS
    return min(longest, first << steps)
