"""Does the smoke test tell a working service from one that only looks like it? And does it keep its secrets?"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts import smoke

ADMIN = "operators-token-of-the-smoke-test"
METRICS = "metrics-token-of-the-smoke-test"
NUMBER, CODE = "+1234567890", "246802"
STATUS = {
    "status": "ok",
    "redis": "redis connected",
    "database": "connected",
    "providers": [{"name": "twilio", "state": "up"}],
}


@dataclass
class FakeService:
    """Answers as the contract says; `broken` overrides single paths with (status, body)."""

    url: str = ""
    broken: dict[str, tuple[int, Any]] = field(default_factory=dict)
    logged_in: bool = False

    def answer(self, method: str, path: str, headers: Any, body: Any) -> tuple[int, Any]:
        if path in self.broken:
            return self.broken[path]
        if path.startswith("/admin"):
            known = headers["X-Admin-Token"] == ADMIN
            return (200, {"counters": {"requested": 3, "sent": 2, "verified": 1}}) if known else (401, {})
        if path == "/metrics":
            return (200, "otp_requests_total 3\n") if headers["Authorization"] == f"Bearer {METRICS}" else (401, "")
        if path == "/api/auth/phone/request/":
            return (200, {"challenge_id": "c1"}) if body == {"phone_number": NUMBER} else (400, {"code": "x"})
        if path == "/api/auth/phone/verify/":
            self.logged_in = body == {"challenge_id": "c1", "otp": CODE}
            return (200, {"access": "a.b.c", "refresh": "r"}) if self.logged_in else (400, {"code": "invalid_otp"})
        if path == "/api/auth/logout/":
            self.logged_in = False
            return 204, None
        if path == "/api/auth/status/":
            return (200, {}) if self.logged_in and headers["Authorization"] == "Bearer a.b.c" else (401, {})
        return {"/otp/status": (200, STATUS), "/readyz": (200, {})}.get(path, (404, {}))


@pytest.fixture
def service() -> Iterator[FakeService]:
    fake = FakeService()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            size = int(self.headers["Content-Length"] or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            status, answer = fake.answer(self.command, self.path.partition("?")[0], self.headers, body)
            self.send_response(status)
            self.end_headers()
            if answer is not None:
                self.wfile.write(answer.encode() if isinstance(answer, str) else json.dumps(answer).encode())

        do_GET = do_POST = _serve

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        fake.url = f"http://127.0.0.1:{server.server_port}/"
        yield fake
        server.shutdown()


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(smoke, "ENV_FILE", tmp_path / "absent.env")
    monkeypatch.setattr(smoke, "MOST_PATIENCE_SECONDS", 0)
    monkeypatch.setenv("ADMIN_TOKEN", ADMIN)
    monkeypatch.setenv("METRICS_TOKEN", METRICS)
    monkeypatch.setenv("SMOKE_TEST_NUMBER", f"{NUMBER}:{CODE}@2030-01-31")


def test_a_working_service_passes_every_step(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main([service.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [["ok", name] for name, _ in smoke.STEPS]


@pytest.mark.parametrize(
    ("path", "answer", "step"),
    [
        ("/otp/status", (200, {**STATUS, "status": "down"}), "status"),
        ("/otp/status", (200, {"status": "ok"}), "status"),
        ("/otp/status", (200, "<html>"), "status"),
        ("/readyz", (503, {}), "ready"),
        ("/admin/otp/dashboard", (401, {}), "dashboard"),
        ("/metrics", (200, ""), "metrics"),
        ("/api/auth/phone/request/", (503, {"code": "delivery_failed"}), "login"),
        ("/api/auth/phone/request/", (429, {"code": "rate_limited", "retry_after": 900}), "login"),
        ("/api/auth/phone/verify/", (400, {"code": "invalid_otp"}), "login"),
        ("/api/auth/status/", (200, {}), "login"),
    ],
)
def test_a_broken_part_fails_its_step(
    service: FakeService, capsys: pytest.CaptureFixture[str], path: str, answer: tuple[int, Any], step: str
) -> None:
    service.broken[path] = answer
    assert smoke.main([service.url]) == 1
    failed = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED")]
    assert failed == [step]


def test_steps_without_their_token_are_skipped_and_said_so(
    service: FakeService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ADMIN_TOKEN", "METRICS_TOKEN", "SMOKE_TEST_NUMBER"):
        monkeypatch.delenv(name)
    service.broken["/api/auth/phone/request/"] = (400, {"code": "invalid_phone_number"})
    assert smoke.main([service.url]) == 0
    skipped = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("skipped")]
    assert skipped == ["dashboard", "metrics", "login"]


@pytest.mark.parametrize(
    ("numbers", "word"),
    [("OTP_TEST_NUMBERS=+1234567890:123456", "skipped"), ("OTP_TEST_NUMBERS=+15555550100:246810", "FAILED")],
)
def test_the_sample_of_a_developers_own_settings_is_no_fault_of_another_service(
    service: FakeService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, numbers: str, word: str
) -> None:
    monkeypatch.delenv("SMOKE_TEST_NUMBER")
    monkeypatch.delenv("OTP_TEST_NUMBERS", raising=False)
    smoke.ENV_FILE.write_text(f"{numbers}\n", encoding="utf-8")
    service.broken["/api/auth/phone/request/"] = (400, {"code": "invalid_phone_number"})
    assert smoke.main([service.url]) == (word == "FAILED")
    assert f"{word:8} login" in capsys.readouterr().out


def test_nobody_there_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(["http://127.0.0.1:9"]) == 1
    assert "no answer" in capsys.readouterr().out


def test_no_address_is_a_fault_of_usage() -> None:
    assert smoke.main([]) == 2
    assert smoke.main(["file:///etc/passwd"]) == 2


def test_no_token_code_or_number_is_printed(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.broken["/api/auth/phone/verify/"] = (400, {"code": "invalid_otp"})
    smoke.main([service.url])
    printed = "".join(capsys.readouterr())
    for secret in (ADMIN, METRICS, CODE, NUMBER, "a.b.c"):
        assert secret not in printed


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "some.env"
    file.write_text("# a comment\nADMIN_TOKEN='one'\nMETRICS_TOKEN=two\n")
    found = smoke.read_settings(file, environ={"METRICS_TOKEN": "three", "ADMIN_TOKEN": ""})
    assert (found["ADMIN_TOKEN"], found["METRICS_TOKEN"]) == ("", "three"), "an empty one hides the file's"
