"""People who log in one after the other while something breaks; what each of their calls came to, and how long it took.

It must not know what is broken.
"""

import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Self

from fakegateways.handle import FakeGateways
from rig.ground import REQUEST, VERIFY, new_address, new_phone
from rig.service import RunningService


@dataclass(frozen=True, slots=True)
class Made:
    """One call: `status` 0 for a connection that broke; times in seconds of the monotonic clock."""

    path: str
    status: int
    code: str
    began: float
    seconds: float


# How often it is looked whether the machine stands still, and what is no standstill but a busy moment.
BEAT_SECONDS: Final = 0.05
BUSY_SECONDS: Final = 0.1


@dataclass
class Crowd:
    """A context manager: `people` threads that log new numbers in until it ends."""

    service: RunningService
    fake: FakeGateways
    people: int = 4
    pause: float = 0.05
    calls: list[Made] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # logins that were begun with a sent code and did not succeed
    standstills: list[tuple[float, float]] = field(default_factory=list)  # when each ended, and its seconds

    def __enter__(self) -> Self:
        self._enough = threading.Event()
        acts = [self._beat, *[self._live] * self.people]
        self._threads = [threading.Thread(target=act, daemon=True) for act in acts]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(30)

    def live(self, seconds: float, *, calls: int = 0) -> None:
        """Let them live for so long, and until they made so many calls: a busy machine takes longer for as many."""
        time.sleep(seconds)
        until = time.monotonic() + 120
        while len(self.calls) < calls:
            assert time.monotonic() < until, f"{len(self.calls)} calls, and {calls} should have been made by now"
            time.sleep(0.05)

    def statuses(self) -> Counter[tuple[str, int, str]]:
        """Count the calls by path, status and code."""
        return Counter((made.path, made.status, made.code) for made in self.calls)

    def errors(self) -> Counter[tuple[str, int, str]]:
        """Count those that came to nothing good."""
        return Counter({key: count for key, count in self.statuses().items() if key[1] != 200})

    def slowest(self, *, since: float = 0.0, until: float = float("inf")) -> float:
        """Return the seconds of the slowest call that began at `since` or later, and before `until`."""
        return max((made.seconds for made in self.calls if since <= made.began < until), default=0.0)

    def usual(self, *, share: float = 0.5, since: float = 0.0, until: float = float("inf")) -> float:
        """Return the seconds that `share` of the calls of that time kept below."""
        found = sorted(made.seconds for made in self.calls if since <= made.began < until)
        return found[int(share * (len(found) - 1))] if found else 0.0

    def stood_still(self, *, since: float) -> float:
        """Return the seconds since `since` in which the machine let nobody do anything: no call could end then."""
        return sum(seconds for ended, seconds in self.standstills if ended >= since)

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._enough.wait(BEAT_SECONDS):
            now = time.monotonic()
            if now - last - BEAT_SECONDS > BUSY_SECONDS:
                self.standstills.append((now, now - last - BEAT_SECONDS))
            last = now

    def _live(self) -> None:
        while not self._enough.wait(self.pause):
            phone = new_phone()
            if self.post(REQUEST, {"phone_number": phone}) != 200:
                continue
            code = self.fake.messages(phone=phone)[-1].code
            if self.post(VERIFY, {"phone_number": phone, "otp": code}) != 200:
                self.lost.append(phone[-4:])

    def post(self, path: str, body: Any) -> int:
        """Post on a connection of its own, as a phone does."""
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=20)
        status, code = 0, ""
        try:
            headers = {"Content-Type": "application/json", "X-Forwarded-For": new_address(), "Connection": "close"}
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            found = json.loads(answer.read())
            status, code = answer.status, str(found.get("code", ""))
        except (OSError, http.client.HTTPException, ValueError) as error:
            code = type(error).__name__
        finally:
            connection.close()
        self.calls.append(Made(path.split("/")[-2], status, code, began, time.monotonic() - began))
        return status
