"""Where circuits are kept: one hash in Redis that all processes share, and this process' memory while Redis is gone.

It must not know what opens a circuit. No call waits longer for Redis than the limiter's do, and none while Redis is
known to be gone; a healthy send costs no round trip, only a small read every quarter of a second.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from redis.exceptions import RedisError

from apps.accounts.clock import Clock
from apps.accounts.services import breaker
from apps.accounts.services.breaker import Circuit
from apps.accounts.services.limits import StoreHealth

KEY: Final = "otp:breaker:circuits"
FRESH_SECONDS: Final = 0.25
# A circuit that nobody has touched for a day is closed.
LIFE_SECONDS: Final = 86_400
_MOST_SWAPS: Final = 12
_FAILURES: Final = (RedisError, OSError)
_SWAP: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if held ~= ARGV[2] then return {0, now, held} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {1, now, held}
"""
Step = Callable[[Circuit, int], Circuit]


class SharedHash:
    """One hash in Redis, read whole and changed a field at a time by comparing and swapping.

    Every call raises RedisError or OSError when Redis does not answer in time.
    """

    def __init__(self, pool: Callable[[], Any], *, key: str = KEY) -> None:
        """Take how to get the connection pool, which should be a `PromptPool`."""
        self._pool = pool
        self._key = key
        self.round_trips = 0

    def read(self) -> tuple[int, dict[str, str]]:
        """Return Redis' clock in epoch milliseconds and all fields, in one round trip."""
        answers = self._ask(("TIME",), ("HGETALL", self._key))
        (seconds, micros), flat = answers
        pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        return int(seconds) * 1000 + int(micros) // 1000, {_text(name): _text(value) for name, value in pairs}

    def swap(self, field: str, *, held: str, new: str) -> tuple[bool, int, str]:
        """Replace `held` by `new`; return whether it was held, Redis' clock, and what was held instead."""
        (done, now, found), *_ = self._ask(("EVAL", _SWAP, 1, self._key, field, held, new, LIFE_SECONDS))
        return bool(done), int(now), _text(found)

    def _ask(self, *commands: tuple[Any, ...]) -> list[Any]:
        pool = self._pool()
        connection = pool.get_connection()
        self.round_trips += 1
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            return [connection.read_response() for _ in commands]
        except BaseException:
            connection.disconnect()  # an answer that was not read would be taken for the next one's
            raise
        finally:
            pool.release(connection)


class Circuits:
    """The circuits as this process knows them. Thread-safe."""

    def __init__(
        self,
        shared: SharedHash | None,
        health: StoreHealth | None,
        *,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the shared store and whether it may be used now; without them the circuits are this process' own."""
        self._shared = shared
        self._health = health
        self._clock = clock
        self._monotonic = monotonic
        self._skew = time.time() - monotonic()  # of the shared clock against ours
        self._known: dict[str, tuple[str, Circuit]] = {}
        self._read_at = float("-inf")
        self._reading = threading.Lock()
        self._changing = threading.Lock()

    def now(self) -> int:
        """Return the circuits' clock: Redis' where there is one."""
        return int((self._monotonic() + self._skew + self._clock.offset_seconds) * 1000)

    def look(self) -> Mapping[str, Circuit]:
        """Return the circuits, at most a quarter of a second old while Redis is there."""
        if self._monotonic() - self._read_at >= FRESH_SECONDS and self._reading.acquire(blocking=False):
            try:
                if self._monotonic() - self._read_at >= FRESH_SECONDS:
                    self._refresh()
            finally:
                self._reading.release()
        return {field: circuit for field, (_, circuit) in list(self._known.items())}

    def get(self, field: str) -> Circuit:
        """Return one circuit as it was last seen."""
        return self._known.get(field, _NEW)[1]

    def change(self, field: str, step: Step) -> tuple[Circuit, Circuit]:
        """Apply `step(circuit, now)` and return the circuit before and after; equal when there was nothing to change.

        Of several processes that make the same change exactly one sees it happen, while Redis is there.
        """
        text, circuit = self._known.get(field, _NEW)
        if step(circuit, self.now()) == circuit:
            return circuit, circuit
        changed = self._change_shared(field, step, text, circuit)
        return changed if changed is not None else self._change_here(field, step)

    def _change_shared(self, field: str, step: Step, text: str, circuit: Circuit) -> tuple[Circuit, Circuit] | None:
        if self._shared is None or self._health is None or not self._health.usable:
            return None
        epoch = self._health.epoch
        try:
            for _ in range(_MOST_SWAPS):
                after = step(circuit, self.now())
                if after == circuit:
                    self._known[field] = (text, circuit)
                    return circuit, circuit
                new = _write(after)
                done, now, found = self._shared.swap(field, held=text, new=new)
                self._set_clock(now)
                if done:
                    self._known[field] = (new, after)
                    return circuit, after
                text, circuit = found, _read(found)
        except _FAILURES as error:
            self._health.record_failure(error, epoch=epoch)
        return None

    def _change_here(self, field: str, step: Step) -> tuple[Circuit, Circuit]:
        with self._changing:
            text, before = self._known.get(field, _NEW)
            after = step(before, self.now())
            # The text stays what Redis held: when it is back, the next change compares with that.
            self._known[field] = (text, after)
            return before, after

    def _refresh(self) -> None:
        asked_at = self._monotonic()
        if self._shared is None or self._health is None or not self._health.usable:
            self._read_at = asked_at
            return
        epoch = self._health.epoch
        try:
            now, held = self._shared.read()
        except _FAILURES as error:
            self._health.record_failure(error, epoch=epoch)
            self._read_at = asked_at
            return
        self._set_clock(now)
        # What was open here while Redis was gone, or in a Redis that has lost its data, is told to the others.
        known = list(self._known.items())  # another thread may note a circuit that is new here meanwhile
        for field in [name for name, (_, circuit) in known if name not in held and circuit.kind]:
            self._tell(field)
        for field, text in held.items():
            if self._known.get(field, _NEW)[0] != text:
                self._known[field] = (text, _read(text))
        self._read_at = asked_at

    def _tell(self, field: str) -> None:
        assert self._shared is not None
        new = _write(self._known[field][1])
        try:
            done, _, found = self._shared.swap(field, held="", new=new)
        except _FAILURES:
            return
        text = new if done else found
        self._known[field] = (text, _read(text))

    def _set_clock(self, shared_ms: int) -> None:
        self._skew = shared_ms / 1000 - self._monotonic()


_NEW: Final = ("", Circuit())


def _write(circuit: Circuit) -> str:
    return json.dumps(circuit.as_json(), separators=(",", ":"))


def _read(text: str) -> Circuit:
    try:
        return breaker.from_json(json.loads(text))
    except (ValueError, TypeError):  # somebody else's field: a closed circuit, and the next change replaces it
        return Circuit()


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
