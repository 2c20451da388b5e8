"""The faults that runbooks are followed under: what is broken, how it is seen, how it is healed.

It must not know what a runbook does about them.
"""

import contextlib
import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import redis

from fakegateways.handle import FakeGateways
from rig.service import RunningService, free_port


@dataclass
class PrivateRedis:
    """A Redis of our own that may be killed, frozen and started again empty."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it empty and wait until it answers."""
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError("redis-server is not installed")
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(redis.RedisError):
                if redis.Redis(port=self.port, socket_timeout=1).ping():
                    return
            time.sleep(0.05)
        raise RuntimeError("redis-server did not answer")

    def client(self) -> "redis.Redis":
        """Return a client of our own."""
        return redis.Redis(port=self.port, socket_timeout=30)

    def freeze(self) -> None:
        """Stop it where it is: its connections stay open and nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it, as a node that dies would be."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@dataclass
class Stage:
    """A running service with its gateways and its Redis; what a fault plays on."""

    service: RunningService
    fake: FakeGateways
    redis: PrivateRedis

    def ask(self, phone: str, *, ip: str = "10.1.1.1") -> int:
        """Ask for a code; return the status."""
        return self.post("/api/auth/phone/request/", {"phone_number": phone}, ip=ip)[0]

    def log_in(self, phone: str, *, ip: str = "10.1.1.2") -> int:
        """Ask for a code, read it off the handset, verify it; return the last status."""
        since = max((message.seq for message in self.fake.messages()), default=0)
        status = self.ask(phone, ip=ip)
        if status != 200:
            return status
        code = self.fake.wait_for_message(phone, since=since).code
        return self.post("/api/auth/phone/verify/", {"phone_number": phone, "otp": code}, ip=ip)[0]

    def post(self, path: str, body: Mapping[str, Any], *, ip: str) -> tuple[int, Any]:
        """Post JSON as the client `ip`."""
        request = urllib.request.Request(
            f"{self.service.url}{path}", data=json.dumps(body).encode(), method="POST",
            headers={"Content-Type": "application/json", "X-Forwarded-For": ip},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status), json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


Break = Callable[[Stage], None]
MAIN: Final = "authentica"


def environ_for(fake: FakeGateways, store: PrivateRedis) -> dict[str, str]:
    """Return a production-like configuration: Authentica first, Twilio behind it, WhatsApp by Meta."""
    return {
        "REDIS_URL": store.url,
        "OTP_PROVIDER": "authentica",
        "OTP_FALLBACK_PROVIDERS": "twilio",
        "OTP_ROUTES": "*/whatsapp=whatsapp;*=authentica,twilio",
        "AUTHENTICA_API_KEY": "fake-authentica-key",
        "AUTHENTICA_BASE_URL": fake.authentica_url,
        "AUTHENTICA_TEMPLATE_ID": "31",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "fake-twilio-token",
        "TWILIO_PHONE_NUMBER": "+15005550006",
        "TWILIO_BASE_URL": fake.twilio_url,
        "WHATSAPP_TOKEN": "fake-meta-token",
        "WHATSAPP_PHONE_NUMBER_ID": "100000000000001",
        "WHATSAPP_BUSINESS_ACCOUNT_ID": "200000000000001",
        "WHATSAPP_APP_SECRET": "fake-meta-secret",
        "WHATSAPP_VERIFY_TOKEN": "fake-verify-token",
        "WHATSAPP_TEMPLATE_NAME": "otp_code",
        "WHATSAPP_BASE_URL": fake.meta_url,
        "OTP_WHATSAPP_TEMPLATE_APPROVED": "1",
        "OTP_WHATSAPP_RATE_LIMIT_DOC": "https://example.com/whatsapp-policy",
        "OTP_TEST_NUMBERS": "+15550001111:246810@2099-01-01",
        "APP_NAME": "Salon",
    }


@contextlib.contextmanager
def stage(**environ: str) -> Iterator[Stage]:
    """Start a service with gateways and a Redis of its own."""
    store = PrivateRedis()
    store.start()
    try:
        with FakeGateways() as fake, RunningService(environ=environ_for(fake, store) | environ) as service:
            yield Stage(service=service, fake=fake, redis=store)
    finally:
        store.kill()


def _some_logins(on: Stage, count: int = 5) -> None:
    for number in range(count):
        on.log_in(f"+96650{4_000_000 + number:07d}", ip=f"10.9.0.{number + 1}")


def nothing(on: Stage) -> None:
    """Everything is well, and some people have logged in."""
    _some_logins(on)


def redis_gone(on: Stage) -> None:
    """Redis died; a login has met that."""
    _some_logins(on, 2)
    on.redis.kill()
    on.ask("+966504100001", ip="10.9.1.1")


def main_gateway_credentials(on: Stage) -> None:
    """The main gateway refuses our key: the outage this service was built after."""
    _some_logins(on, 2)
    on.fake.script(MAIN, "unauthorized", on="any")
    for number in range(3):
        on.ask(f"+96650{4_200_000 + number:07d}", ip=f"10.9.2.{number + 1}")


def template_paused(on: Stage) -> None:
    """Meta paused the template."""
    on.fake.configure(meta={"templates": [
        {"name": "otp_code", "language": "en", "status": "PAUSED", "category": "AUTHENTICATION", "id": "1"},
        {"name": "otp_code", "language": "ar", "status": "PAUSED", "category": "AUTHENTICATION", "id": "2"},
    ]})  # fmt: skip


def abuse_spike(on: Stage) -> None:
    """One address asks for many numbers, and one number is asked for again and again."""
    _some_logins(on, 2)
    for number in range(15):
        on.ask(f"+96650{4_300_000 + number:07d}", ip="198.51.100.23")
    for _ in range(4):
        on.ask("+250788000000", ip="198.51.100.24")


def pumping(on: Stage) -> None:
    """Neighbouring numbers of a far country ask for codes that nobody types."""
    _some_logins(on, 3)
    for number in range(25):
        on.ask(f"+88017{10_000_000 + number:08d}", ip=f"203.0.113.{number + 1}")


def gateways_all_down(on: Stage) -> None:
    """No gateway works."""
    for vendor in ("authentica", "twilio", "meta"):
        on.fake.script(vendor, "unavailable")
    for number in range(8):
        on.ask(f"+96650{4_400_000 + number:07d}", ip=f"10.9.4.{number + 1}")


def database_gone(on: Stage) -> None:
    """The service's database lets nobody in any more, and whoever was in has been put out."""
    _some_logins(on)
    on.service.shut_database()
    on.ask("+966504500001", ip="10.9.5.1")


FAULTS: Final[Mapping[str, Break]] = {
    "none": nothing,
    "redis-gone": redis_gone,
    "main-gateway-credentials": main_gateway_credentials,
    "template-paused": template_paused,
    "abuse-spike": abuse_spike,
    "pumping": pumping,
    "gateways-all-down": gateways_all_down,
    "database-gone": database_gone,
}


def heal(on: Stage) -> None:
    """End every fault."""
    on.fake.lift()
    on.service.open_database()
    if on.redis.process is None:
        on.redis.start()
    on.fake.configure(meta={"templates": [
        {"name": "otp_code", "language": "en", "status": "APPROVED", "category": "AUTHENTICATION", "id": "1"},
        {"name": "otp_code", "language": "ar", "status": "APPROVED", "category": "AUTHENTICATION", "id": "2"},
    ]})  # fmt: skip
