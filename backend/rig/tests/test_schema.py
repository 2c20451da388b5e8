"""The published schema against the running service: no 5xx is found, and no answer that it does not describe."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakegateways.handle import FakeGateways
from rig.service import SECRET, RunningService, stores_answer

pytestmark = [pytest.mark.servers, pytest.mark.slow]
NUMBER, CODE = "+12025550147", "654321"
SECONDS = 45
# Hidden with DEBUG=False, whatever the method.
NOT_IN_PRODUCTION = "^/api/mobile/auth/(request|verify)/$|^/dev/"
# A code is wrong, a phone in no country, a window too long: what has the right form may still be refused.
REFUSED_BY_MEANING = "positive_data_acceptance"


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    reason = stores_answer()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with FakeGateways() as fake:
        environ = {
            "OTP_PROVIDER": "authentica",
            "AUTHENTICA_API_KEY": "fake-authentica-key",
            "AUTHENTICA_BASE_URL": fake.authentica_url,
            # Their webhooks are hidden while they are not set up.
            "OTP_FALLBACK_PROVIDERS": "twilio,whatsapp",
            "PUBLIC_BASE_URL": "https://otp.example.test",
            "ALLOWED_HOSTS": "127.0.0.1,localhost,otp.example.test",
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": "fake-twilio-token",
            "TWILIO_PHONE_NUMBER": "+15005550006",
            "TWILIO_BASE_URL": fake.twilio_url,
            "WHATSAPP_TOKEN": "fake-meta-token",
            "WHATSAPP_PHONE_NUMBER_ID": "100000000000001",
            "WHATSAPP_APP_SECRET": "fake-meta-secret",
            "WHATSAPP_VERIFY_TOKEN": "fake-verify-token",
            "WHATSAPP_TEMPLATE_NAME": "otp_code",
            "WHATSAPP_BASE_URL": fake.meta_url,
            "OTP_TEST_NUMBERS": f"{NUMBER}:{CODE}@2099-12-31",
            # Past the limits, where most of the answers are.
            "PHONE_AUTH_IP_MAX_PER_WINDOW": "0",
            "PHONE_AUTH_IP_MAX_FAILURES_PER_WINDOW": "1000000",
            "OTP_GLOBAL_MAX_PER_MINUTE": "0",
            "OTP_GLOBAL_MAX_FAILURES_PER_MINUTE": "1000000",
            "OTP_RESEND_COOLDOWN_SECONDS": "0",
        }
        with RunningService(environ=environ) as running:
            yield running


def test_no_answer_is_a_5xx_or_missing_from_the_schema(service: RunningService, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{service.url}/api/schema/"),
        *("--exclude-path-regex", NOT_IN_PRODUCTION),
        *("--checks", "all", "--exclude-checks", REFUSED_BY_MEANING),
        *("--max-time", str(SECONDS), "--max-examples", "25", "--workers", "1", "--generation-deterministic"),
        *("--report-json-path", str(report), "--no-color"),
        *("--header", f"X-Admin-Token: {SECRET}admin", "--header", f"Authorization: Bearer {_log_in(service)}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=4 * SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-12_000:]
    assert report.is_file()


def _log_in(service: RunningService) -> str:
    asked = _post(service, "/api/auth/phone/request/", {"phone_number": NUMBER})
    proven = _post(service, "/api/auth/phone/verify/", {"challenge_id": asked["challenge_id"], "otp": CODE})
    return str(proven["access"])


def _post(service: RunningService, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        service.url + path, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found
