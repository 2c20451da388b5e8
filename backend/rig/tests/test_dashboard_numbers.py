"""The dashboard and the metrics of a running service say what the gateways really got, whichever process is asked."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fakegateways.handle import FakeGateways, Received
from rig.around import eventually
from rig.ground import REQUEST, RESEND, VERIFY, by_twilio, log_in, new_phone, one, require_stores, shot, wrong_codes
from rig.service import SECRET, RunningService, free_port

pytestmark = pytest.mark.servers
COOLDOWN_SECONDS = 6  # more than a busy machine needs from one call to the next
_egyptians = iter(f"+20100{n:07d}" for n in range(1_000_000, 9_900_000, 7))


@dataclass(frozen=True, slots=True)
class Told:
    """What was done to the service: how each call of a person was answered."""

    logins: int
    admitted: int
    limited: int
    blocked: int


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeGateways]:
    with FakeGateways() as running:
        yield running


@pytest.fixture(scope="module")
def service(fake: FakeGateways) -> Iterator[RunningService]:
    require_stores()
    port = free_port()
    environ = by_twilio(
        fake,
        OTP_FALLBACK_PROVIDERS="authentica",
        AUTHENTICA_API_KEY="fake-authentica-key",
        AUTHENTICA_BASE_URL=fake.authentica_url,
        AUTHENTICA_TEMPLATE_ID="1",
        OTP_RESEND_COOLDOWN_SECONDS=str(COOLDOWN_SECONDS),
        PORT=str(port),
        PUBLIC_BASE_URL=f"http://127.0.0.1:{port}",
        DATABASE_POOL_MAX="4",
        APP_VERSION="7.7",
    )
    with RunningService(environ=environ) as running:
        yield running


@pytest.fixture(scope="module")
def told(service: RunningService, fake: FakeGateways) -> Told:
    """People of two countries: some log in, some fail over, some get nothing, some are turned away."""
    for _ in range(8):
        log_in(service, fake, new_phone())
    for _ in range(3):
        log_in(service, fake, next(_egyptians))
    fake.script("twilio", "unavailable", times=1)  # it may have gone out: a try without an end, and a failover
    log_in(service, fake, new_phone())
    lost = new_phone()
    fake.script("twilio", "receipts", prefix=lost, plan={"mode": "undelivered", "error_code": 30003})
    assert one(service, shot(REQUEST, {"phone_number": lost})).status == 200  # sent on by a receipt
    eventually(lambda: len([call for call in fake.messages(phone=lost) if call.accepted]), 2)
    again = new_phone()
    first = one(service, shot(REQUEST, {"phone_number": again}))
    early = one(service, shot(RESEND, {"challenge_id": first.body["challenge_id"]}))
    assert (early.status, early.code) == (429, "resend_cooldown")
    eventually(lambda: one(service, shot(RESEND, {"challenge_id": first.body["challenge_id"]})).status, 200)
    for code in wrong_codes(fake.wait_for_message(again).code, 2):
        one(service, shot(VERIFY, {"challenge_id": first.body["challenge_id"], "otp": code}))
    fake.script("twilio", "throttled", times=1, retry_after=1)  # it did not go out: a failed try, and a failover
    log_in(service, fake, new_phone())
    blocked = new_phone()
    admin = {"x_admin_token": SECRET + "admin"}
    made = one(service, shot("/admin/otp/blacklist", {"type": "phone", "value": blocked, "note": "test"}, **admin))
    assert made.status == 201
    time.sleep(1)  # in force in every process; one that is asked earlier may still admit it
    assert one(service, shot(REQUEST, {"phone_number": blocked})).status == 403
    fake.wait_for_receipts()
    return Told(logins=13, admitted=16, limited=1, blocked=1)


def look(service: RunningService, window: str = "1h") -> Any:
    answer = one(service, shot(f"/admin/otp/dashboard?window={window}", method="GET", x_admin_token=SECRET + "admin"))
    assert answer.status == 200, answer.body
    return answer.body


def taken(fake: FakeGateways) -> list[Received]:
    return [call for call in fake.messages() if call.accepted]


def delivered(fake: FakeGateways) -> int:
    """Return of how many messages a receipt said delivered and our service took it."""
    return sum(
        any(receipt["status"] == "delivered" and 200 <= receipt["answer"] < 300 for receipt in call.receipts)
        for call in fake.messages()
    )


def test_it_counts_what_the_gateways_took(service: RunningService, fake: FakeGateways, told: Told) -> None:
    def counted() -> dict[str, int]:
        found = look(service)["counters"]
        return {name: found[name] for name in ("requested", "sent", "delivered", "verified")}

    calls = taken(fake)
    assert len(calls) == told.admitted + 1  # the one that a receipt sent on
    wanted = {
        "requested": told.admitted, "sent": len(calls), "delivered": delivered(fake), "verified": told.logins,
    }  # fmt: skip
    eventually(counted, wanted)


def test_it_counts_by_gateway_and_by_country(service: RunningService, fake: FakeGateways, told: Told) -> None:
    found = look(service)
    by_gateway = Counter(call.vendor for call in taken(fake))
    assert {row["name"]: row["sent"] for row in found["providers"]} == dict(by_gateway)
    # One was refused, of one a receipt said failed; the third is a try of which Twilio's answer tells nothing.
    assert {row["name"]: row["failed"] for row in found["providers"]} == {"twilio": 2, "authentica": 0}
    assert len([call for call in fake.messages() if not call.accepted]) == 2
    by_country = Counter("EG" if call.to.startswith("+20") else "SA" for call in taken(fake))
    assert {row["country"]: row["sent"] for row in found["countries"]} == dict(by_country)
    assert sum(row["verified"] for row in found["providers"]) == told.logins


def test_every_process_tells_of_everybody_who_was_turned_away(
    service: RunningService, fake: FakeGateways, told: Told
) -> None:
    def counted() -> set[tuple[int, int]]:
        some = [look(service, window)["counters"] for window in ("1h", "2h", "15m", "6h", "24h", "30m")]
        return {(found["rate_limited"] >= told.limited, found["blocked"] >= told.blocked) for found in some}

    eventually(counted, {(True, True)})
    found = look(service)  # one look: another process may know of more by now
    assert sum(point["rate_limited"] for point in found["series"]) == found["counters"]["rate_limited"]


def test_conversion_and_times_are_those_of_the_people(service: RunningService, fake: FakeGateways, told: Told) -> None:
    found = look(service)
    opened = told.admitted - 1  # a resend opens none
    assert found["conversion"] == round(told.logins / opened, 4)
    assert 0 < found["time_to_login"]["p50"] <= found["time_to_login"]["p95"] < 30
    assert found["providers"][0]["latency"]["p50"] is not None


def test_the_metrics_say_the_same_over_all_processes(service: RunningService, fake: FakeGateways, told: Told) -> None:
    def attempts() -> dict[str, float]:
        text = str(one(service, shot("/metrics", method="GET", authorization=f"Bearer {SECRET}metrics")).body)
        found: Counter[str] = Counter()
        for line in text.splitlines():
            if line.startswith("otp_gateway_attempts_total{") and 'outcome="accepted"' in line:
                vendor = line.split('provider="')[1].split('"')[0]
                found[vendor] += float(line.rpartition(" ")[2])
        return dict(found)

    assert attempts() == {vendor: float(count) for vendor, count in Counter(c.vendor for c in taken(fake)).items()}


def test_the_version_that_started_is_an_event(service: RunningService, told: Told) -> None:
    released = [event for event in look(service)["events"] if event["kind"] == "release"]
    assert [event["subject"] for event in released] == ["7.7"]
