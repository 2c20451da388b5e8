"""Receipts in numbers no gateway would send, beside people who log in.

It must not know what the service does with them.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from fakegateways import signatures
from rig.experiments.outcomes import Outcome
from rig.experiments.stages import Stage, live_through, stage
from rig.ground import ask, new_phone
from rig.service import BACKEND

PUBLIC: Final = "https://otp.example.test"
SECONDS: Final = 10.0
_MESSAGES: Final = 30
_CONNECTIONS: Final = 16
# With 16 connections and this pause between the calls of each it is about 200 a second.
_PACE: Final = 0.08


def receipts() -> Outcome:
    """X38: signed receipts as fast as the machine gives, while people log in."""
    outcome = Outcome(
        name="X38",
        title="a storm of receipts",
        done=f"{_CONNECTIONS} connections post Twilio's signed receipts for {_MESSAGES} messages over and over, for "
        f"{SECONDS:g} s: 200 a second, then as many as are answered. The storm is made on the same two cores as what "
        "it hits.",
        must="Every receipt is answered 204, every message ends as delivered; the p99 of logins is reported with and "
        "without: 1.2 times was aimed at and is missed where the storm shares the cores.",
    )
    public = {"PUBLIC_BASE_URL": PUBLIC, "ALLOWED_HOSTS": "127.0.0.1,localhost,otp.example.test"}
    with stage(environ=public) as on:
        on.fake.configure(house={"connect_callbacks_to": on.service.url}, twilio={"receipts": {"mode": "none"}})
        phones = [new_phone() for _ in range(_MESSAGES)]
        for phone in phones:
            ask(on.service, phone)
        calls = [call for phone in phones for call in letters(on, phone)]
        for label, pause in (("200 a second", _PACE), ("all it takes", 0.0)):
            outcome.rounds.append(_under(on, label, calls, pause))
            _judge_states(on, outcome, phones)
    return outcome


def _under(on: Stage, label: str, calls: list[str], pause: float) -> Any:
    got: dict[str, int] = {}

    @contextlib.contextmanager
    def stormed() -> Iterator[None]:
        order = {
            "port": on.service.port, "calls": calls, "seconds": SECONDS, "connections": _CONNECTIONS, "pause": pause,
        }  # fmt: skip
        storm = subprocess.Popen(
            [sys.executable, "-m", "rig.experiments.storming"],
            cwd=BACKEND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert storm.stdin is not None
        storm.stdin.write(json.dumps(order))
        storm.stdin.close()
        storm.stdin = None
        yield
        out, _ = storm.communicate(timeout=60)
        got.update(json.loads(out))

    found = live_through(on, label, stormed, calm=10, during=SECONDS)
    found.notes.append(f"{sum(got.values()) / SECONDS:.0f} receipts a second, answered {got}")
    if found.calm_p99:
        found.notes.append(f"p99 of calls {found.p99 / found.calm_p99:.1f} times that without the storm")
    if set(got) != {"204"}:
        found.broken.append(f"receipts were answered {got}")
    return found


def letters(on: Stage, phone: str) -> Iterator[str]:
    """Return a message's receipts as they come over the wire, signed."""
    (message,) = on.fake.messages(phone=phone)
    url = str(message.raw_fields["StatusCallback"])
    for status in ("sent", "delivered"):
        fields = {
            "AccountSid": "AC" + "0" * 32, "ApiVersion": "2010-04-01", "From": "+15005550006", "To": phone,
            "MessageSid": message.id, "MessageStatus": status, "SmsSid": message.id, "SmsStatus": status,
        }  # fmt: skip
        signature = signatures.twilio("fake-twilio-token", url=url, fields=fields.items(), sha256=False)
        body = urlencode(fields)
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        head = {
            "Host": "127.0.0.1", "Content-Type": "application/x-www-form-urlencoded", "Content-Length": len(body),
            signatures.TWILIO_HEADER: signature,
        }  # fmt: skip
        yield f"POST {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n" + body


def _judge_states(on: Stage, outcome: Outcome, phones: list[str]) -> None:
    rows = on.service.query("SELECT state, count(*) FROM accounts_message WHERE phone = ANY(%s) GROUP BY 1", phones)
    states = dict(rows)
    if set(states) != {"delivered"}:
        outcome.rounds[-1].broken.append(f"messages ended as {states}")
