"""The audit of the gateways against real HTTP fakes: findings, exit status, what is kept, and the live message."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from apps.accounts.models import AuditEvent, GatewayAudit, Message
from apps.accounts.providers.base import Channel
from apps.accounts.services import wiring
from apps.ops.board import board
from conftest import PHONE, Api, BuildRooms, Rooms
from fakegateways.handle import FakeGateways

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fake() -> Iterator[FakeGateways]:
    with FakeGateways() as running:
        yield running


@pytest.fixture
def audited(build_rooms: BuildRooms, fake: FakeGateways) -> Rooms:
    return build_rooms(
        real_gateways=True,
        OTP_PROVIDER="authentica",
        OTP_FALLBACK_PROVIDERS="twilio",
        AUTHENTICA_API_KEY="fake-authentica-key",
        AUTHENTICA_BASE_URL=fake.authentica_url,
        TWILIO_BASE_URL=fake.twilio_url,
    )


def audit(*arguments: str, typed: str = "", monkeypatch: pytest.MonkeyPatch | None = None) -> tuple[int, Any]:
    if monkeypatch is not None:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed + "\n"))
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("otp_audit", "--json", *arguments, stdout=out)
    return int(ended.value.code or 0), json.loads(out.getvalue())


def finding(found: Any, provider: str, check: str) -> str:
    (gateway,) = [one for one in found["gateways"] if one["provider"] == provider]
    return str(next(line["finding"] for line in gateway["lines"] if line["check"] == check))


def test_living_gateways_are_found_alive_and_kept(audited: Rooms, fake: FakeGateways) -> None:
    _, found = audit()
    assert finding(found, "authentica", "credentials") == "ok"
    assert finding(found, "twilio", "credentials") == "ok"
    assert set(GatewayAudit.objects.values_list("provider", flat=True)) == {"authentica", "twilio"}
    assert fake.messages() == []


def test_refused_credentials_are_a_fault_with_status_1_and_take_the_gateway_out(
    audited: Rooms, fake: FakeGateways
) -> None:
    fake.script("authentica", "unauthorized", on="any")
    status, found = audit()
    assert status == 1
    assert finding(found, "authentica", "credentials") == "fault"
    assert AuditEvent.objects.filter(event="gateway.audit_failed", subject="authentica").count() == 1
    plan = wiring.services().courier.plan(("authentica", "twilio"), channel=Channel.SMS, region="SA")
    assert plan.names[0] == "twilio"


def test_the_dashboard_shows_the_last_audit(audited: Rooms, fake: FakeGateways, api: Api) -> None:
    audit()
    fake.script("authentica", "unauthorized", on="any")
    audit()
    answer = api.get("/admin/otp/dashboard", x_admin_token="test-admin-token-of-more-than-thirty-two-characters")
    found = {one["provider"]: one["finding"] for one in answer.json()["audits"]}
    assert found == {"authentica": "fault", "twilio": found["twilio"]}


def test_the_status_says_what_the_last_audit_found(audited: Rooms, fake: FakeGateways, api: Api) -> None:
    assert "audit" not in api.get("/otp/status").json()["providers"][0]
    audit()
    fake.script("authentica", "unauthorized", on="any")
    audit()
    board().forget()
    first, second = api.get("/otp/status").json()["providers"]
    assert (first["name"], first["audit"]["finding"]) == ("authentica", "fault")
    assert second["audit"]["finding"] in ("ok", "note", "warning")
    assert datetime.now(UTC) - datetime.fromisoformat(first["audit"]["at"]) < timedelta(minutes=1)


def test_old_audits_are_forgotten_but_never_the_last_one(audited: Rooms, fake: FakeGateways) -> None:
    for _ in range(2):
        audit()
    GatewayAudit.objects.update(at=datetime.now(UTC) - timedelta(days=91))
    call_command("otp_purge", stdout=io.StringIO())
    assert sorted(GatewayAudit.objects.values_list("provider", flat=True)) == ["authentica", "twilio"]


def test_a_gateway_that_was_mended_is_taken_back_by_the_next_audit(audited: Rooms, fake: FakeGateways) -> None:
    fake.script("authentica", "unauthorized", on="any")
    audit()
    fake.lift()
    audit()
    plan = wiring.services().courier.plan(("authentica", "twilio"), channel=Channel.SMS, region="SA")
    assert plan.names[0] == "authentica"


def test_a_green_audit_ends_the_cooling_of_a_gateway_that_refused_our_key(
    audited: Rooms, fake: FakeGateways, api: Api
) -> None:
    fake.script("authentica", "unauthorized", on="any")
    assert api.post("/api/auth/phone/request/", {"phone_number": PHONE}).status_code == 200
    health = wiring.services().health
    assert health.states(["authentica"]) == {"authentica": "misconfigured"}
    assert wiring.services().courier.plan(("authentica",), channel=Channel.SMS, region="SA").probes
    audit()
    assert health.states(["authentica"]) == {"authentica": "misconfigured"}
    fake.lift()
    audit()
    assert health.states(["authentica"]) == {"authentica": "up"}


def test_a_low_balance_is_a_warning_and_a_finding(audited: Rooms, fake: FakeGateways) -> None:
    fake.script("authentica", "low_balance", on="balance")
    status, found = audit()
    assert (status, finding(found, "authentica", "balance")) == (1, "warning")


def test_the_live_audit_proves_that_the_handset_got_our_code(
    audited: Rooms, fake: FakeGateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = wiring.services().gateway_audits.send_live(
        wiring.services().otp.parse_phone(PHONE), gateway="authentica", actor="test"
    )
    assert sent.is_ours(fake.wait_for_message(PHONE).code or "")
    fake.script("authentica", "other_code")
    again = wiring.services().gateway_audits.send_live(
        wiring.services().otp.parse_phone(PHONE), gateway="authentica", actor="test"
    )
    assert not again.is_ours(fake.messages()[-1].code or "")
    assert set(Message.objects.values_list("cause", "state")) == {("audit", "accepted")}


def test_the_command_says_that_another_code_arrived(
    audited: Rooms, fake: FakeGateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, found = audit("--live", PHONE, "--gateway", "authentica", typed="000000", monkeypatch=monkeypatch)
    assert status == 1
    assert found["live"]["ok"] is False
    assert "AUTHENTICA_MODE" in found["live"]["advice"]
