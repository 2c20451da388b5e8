"""Ask a running service whether it works: status, dashboard, metrics and the login of a test number.

Usage: `python scripts/smoke.py URL`. ADMIN_TOKEN, METRICS_TOKEN and SMOKE_TEST_NUMBER (`+1234567890:123456`) come
from the environment or from backend/.env; a step without its token is skipped and said so. Standard library only. Exit
status 0 when every step that ran is ok, 1 when one failed, 2 when nothing could be asked. Never prints a token, a code
or a full number.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENV_FILE = Path(__file__).resolve().parent.parent / "backend" / ".env"
TIMEOUT_SECONDS = 15
MOST_PATIENCE_SECONDS = 65
SAMPLE_NUMBER = "+1234567890:123456"


class Failed(Exception):
    """A step did not hold; the message says what was seen."""


class Skipped(Exception):
    """A step cannot be asked; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            Failed: it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failed(f"HTTP {self.status} without JSON") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry a token to another place."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Service:
    """The service under question and what we may show it."""

    base: str
    settings: Mapping[str, str]

    def call(
        self, path: str, *, method: str = "GET", body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Make one call.

        Raises:
            Failed: nobody answers.
        """
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(
            self.base + path, data=data, method=method, headers={**sent, **(headers or {})}
        )
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return Answer(status=answer.status, body=answer.read())
        except urllib.error.HTTPError as error:
            return Answer(status=error.code, body=error.read())
        except OSError as error:
            raise Failed(f"no answer ({type(error).__name__})") from None

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Read one path that must answer 200.

        Raises:
            Failed: it does not.
        """
        answer = self.call(path, headers=headers)
        if answer.status != 200:
            raise Failed(f"{path} answered {answer.status}{_code(answer)}")
        return answer


def status(service: Service) -> str:
    """Read the status: `down` fails, `degraded` passes and is said."""
    found = service.get("/otp/status").json()
    states = ", ".join(f"{provider['name']} {provider['state']}" for provider in found["providers"])
    if found["status"] not in {"ok", "degraded"}:
        raise Failed(f"status is {found['status']}: database {found['database']}, {found['redis']}, {states}")
    return f"{found['status']}; {found['redis']}; {states}"


def ready(service: Service) -> str:
    """Read the readiness of the process that answers."""
    service.get("/readyz")
    return "ready"


def dashboard(service: Service) -> str:
    """Read the last hour's counters with the operators' token."""
    token = service.settings.get("ADMIN_TOKEN") or _first_named(service.settings.get("ADMIN_TOKENS", ""))
    if not token:
        raise Skipped("ADMIN_TOKEN is not set")
    found = service.get("/admin/otp/dashboard?window=1h", headers={"X-Admin-Token": token}).json()
    counters = found["counters"]
    return (
        f"requested {counters['requested']}, sent {counters['sent']}, verified {counters['verified']} in the last hour"
    )


def metrics(service: Service) -> str:
    """Read the metrics with their token."""
    token = service.settings.get("METRICS_TOKEN", "")
    answer = service.call("/metrics", headers={"Authorization": f"Bearer {token}"} if token else {})
    if answer.status == 401 and not token:
        raise Skipped("METRICS_TOKEN is not set")
    if answer.status != 200:
        raise Failed(f"/metrics answered {answer.status}")
    series = sum(1 for line in answer.body.splitlines() if line and not line.startswith(b"#"))
    if not series:
        raise Failed("/metrics is empty")
    return f"{series} series"


def login(service: Service) -> str:
    """Log a test number in, read the session's status, and log out again."""
    pairs, chosen = _test_numbers(service.settings)
    for pair in pairs:
        number, _, code = pair.partition("@")[0].partition(":")
        asked = _ask(service, number)
        if asked.status != 429:
            break
    if asked.status == 400 and not chosen:
        raise Skipped("no test number: set SMOKE_TEST_NUMBER to one of the service's OTP_TEST_NUMBERS")
    if asked.status != 200:
        raise Failed(f"request answered {asked.status}{_code(asked)}{_when(asked)}")
    proof = {"challenge_id": asked.json()["challenge_id"], "otp": code}
    proven = service.call("/api/auth/phone/verify/", method="POST", body=proof)
    if proven.status != 200:
        raise Failed(f"verify answered {proven.status}{_code(proven)}")
    bearer = {"Authorization": f"Bearer {proven.json()['access']}"}
    service.get("/api/auth/status/", headers=bearer)
    left = service.call("/api/auth/logout/", method="POST", headers=bearer)
    if left.status != 204:
        raise Failed(f"logout answered {left.status}{_code(left)}")
    if service.call("/api/auth/status/", headers=bearer).status != 401:
        raise Failed("the token still works after the logout")
    return "a test number got a token, used it and logged out"


def _ask(service: Service, number: str) -> Answer:
    """Ask for a code; a cooldown is waited for once, because the test before may have been a minute ago."""
    for patience in (MOST_PATIENCE_SECONDS, 0):
        asked = service.call("/api/auth/phone/request/", method="POST", body={"phone_number": number})
        wait = asked.json().get("retry_after", patience + 1) if asked.status == 429 else 0
        if not 0 < wait <= patience:
            break
        print(f"{'':8} {'login':10} the test number asked a moment ago; waiting {wait} s", flush=True)
        time.sleep(wait)
    return asked


STEPS: tuple[tuple[str, Callable[[Service], str]], ...] = (
    ("status", status),
    ("ready", ready),
    ("dashboard", dashboard),
    ("metrics", metrics),
    ("login", login),
)


def _code(answer: Answer) -> str:
    try:
        return f" ({json.loads(answer.body)['code']})"
    except (ValueError, KeyError, TypeError):
        return ""


def _first_named(tokens: str) -> str:
    return tokens.split(",")[0].partition(":")[2].strip()


def _when(answer: Answer) -> str:
    try:
        return f"; next one in {json.loads(answer.body)['retry_after']} s"
    except (ValueError, KeyError, TypeError):
        return ""


def _test_numbers(settings: Mapping[str, str]) -> tuple[list[str], bool]:
    """Return the numbers to log in with, and whether somebody chose them.

    The sample is nobody's choice: `make run` writes it into backend/.env, and no service in production knows it.
    """
    named = settings.get("SMOKE_TEST_NUMBER", "")
    pairs = [pair.strip() for pair in (named or settings.get("OTP_TEST_NUMBERS", "")).split(",") if pair.strip()]
    return pairs or [SAMPLE_NUMBER], bool(named) or pairs not in ([], [SAMPLE_NUMBER])


def read_settings(path: Path, *, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the file's lines `NAME=value` with the environment over them; an empty one hides the file's."""
    found: dict[str, str] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            name, equals, value = line.strip().partition("=")
            if equals and not name.startswith("#"):
                found[name.strip()] = value.strip().strip("'\"")
    found.update(environ)
    return found


def main(arguments: list[str]) -> int:
    """Ask every step and print a line for each."""
    if len(arguments) != 1 or urllib.parse.urlsplit(arguments[0]).scheme not in {"http", "https"}:
        print("usage: smoke.py URL   (http:// or https://)", file=sys.stderr)
        return 2
    service = Service(base=arguments[0].rstrip("/"), settings=read_settings(ENV_FILE, environ=os.environ))
    failed = passed = 0
    for name, step in STEPS:
        try:
            word, seen = "ok", step(service)
            passed += 1
        except Skipped as reason:
            word, seen = "skipped", str(reason)
        except Failed as reason:
            word, seen, failed = "FAILED", str(reason), failed + 1
        except (KeyError, TypeError, AttributeError) as fault:
            word, seen, failed = "FAILED", f"an answer has not the shape it should have ({fault})", failed + 1
        print(f"{word:8} {name:10} {seen}", flush=True)
    print("The service works." if not failed else f"{failed} of {failed + passed} steps failed.")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
