"""What every gateway promises about the way to the vendor: time, connections, certificates, nobody in between."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from apps.accounts.providers.base import (
    OutcomeUnknown,
    Unavailable,
)
from apps.accounts.tests.providers.contract import (
    BY_ID,
    CASES,
    ONE_OF_EACH,
    Case,
    failure,
    gateway,
    order,
)
from apps.accounts.tests.providers.raw_server import RawServer
from fakegateways.handle import FakeGateways
from fakegateways.tls import Certificate

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
one_of_each = pytest.mark.parametrize("case", ONE_OF_EACH, ids=lambda case: case.id)

# A gateway's own timeout that is no end of a test: what ends the call there is the deadline.
FOR_EVER = 60.0
# Faults after which nobody can say whether the message went out.
SILENCES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("hang", {"seconds": 20}),
    ("hang_body", {"seconds": 20}),
    ("drip", {"bytes_per_second": 5}),
    ("drip", {"bytes_per_second": 5, "headers": True}),
    ("reset", {}),
    ("reset", {"gently": True}),
    ("cut", {"at": 20}),
    ("cut", {"at": 100, "gently": True}),
)
# Those that the deadline alone ends; it leaves a busy machine its time to send the request.
ENDLESS = ("hang", "hang_body", "drip")
BRIEFLY = 1.5


@one_of_each
@pytest.mark.parametrize(("fault", "params"), SILENCES, ids=lambda value: str(value)[:40])
def test_no_whole_answer_leaves_the_outcome_open_and_ends_in_time(
    case: Case, fault: str, params: dict[str, Any], fakes: FakeGateways
) -> None:
    fakes.script(case.vendor, fault, **params)
    provider, started = gateway(case, fakes, timeout=FOR_EVER), time.monotonic()

    error = failure(provider, case, deadline=started + (BRIEFLY if fault in ENDLESS else FOR_EVER))

    assert type(error) is OutcomeUnknown
    assert time.monotonic() - started < 15
    assert len(fakes.messages()) == 1


@one_of_each
def test_the_gateways_own_timeout_ends_a_call_before_a_later_deadline(case: Case, fakes: FakeGateways) -> None:
    fakes.script(case.vendor, "drip", bytes_per_second=2, headers=True)
    provider, started = gateway(case, fakes, timeout=BRIEFLY), time.monotonic()

    assert type(failure(provider, case, deadline=started + 60)) is OutcomeUnknown
    assert time.monotonic() - started < 15


@every_case
def test_a_deadline_in_the_past_sends_nothing(case: Case, fakes: FakeGateways) -> None:
    error = failure(gateway(case, fakes), case, deadline=time.monotonic() - 1)

    assert type(error) is Unavailable
    assert fakes.messages() == []


@one_of_each
def test_a_refused_connection_is_definite(case: Case) -> None:
    with FakeGateways() as gone:
        provider = gateway(case, gone)

    error = failure(provider, case)

    assert type(error) is Unavailable
    assert error.definite


@one_of_each
def test_a_name_that_cannot_be_found_is_definite(case: Case, fakes: FakeGateways) -> None:
    nowhere = "https://no-such-host.invalid"
    overrides = dict.fromkeys(("AUTHENTICA_BASE_URL", "TWILIO_BASE_URL", "WHATSAPP_BASE_URL"), nowhere)
    started = time.monotonic()

    error = failure(gateway(case, fakes, timeout=5, **overrides), case, deadline=started + 1)

    assert type(error) is Unavailable
    assert error.vendor_code.startswith("dns")
    assert time.monotonic() - started < 15


@one_of_each
def test_after_a_broken_answer_the_next_message_goes_out(case: Case, fakes: FakeGateways) -> None:
    provider = gateway(case, fakes)
    for fault in ("hang_body", "huge", "cut", "html_500"):
        fakes.script(case.vendor, fault, times=1)
        failure(provider, case, deadline=time.monotonic() + 0.3)
    fakes.lift()  # what a busy machine did not meet in time

    provider.send(order(case))

    assert fakes.messages()[-1].outcome == "accepted"


@one_of_each
def test_twenty_messages_share_one_connection(case: Case, fakes: FakeGateways) -> None:
    provider, before = gateway(case, fakes), fakes.stats()["connections"]

    for _ in range(20):
        provider.send(order(case))

    assert fakes.stats()["connections"] - before == 1


@one_of_each
def test_fifty_threads_get_each_its_own_receipt(case: Case, fakes: FakeGateways) -> None:
    provider = gateway(case, fakes)
    phones = [f"+96650{number:07d}" for number in range(1_000_000, 1_000_050)]

    with ThreadPoolExecutor(50) as pool:
        receipts = list(pool.map(lambda phone: provider.send(order(case, to=phone)), phones))

    by_phone = {"+" + message.to.lstrip("+"): message.id for message in fakes.messages()}
    assert [receipt.vendor_id for receipt in receipts] == [by_phone[phone] for phone in phones]


@one_of_each
def test_no_proxy_of_the_environment_is_used(case: Case, fakes: FakeGateways, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("TWILIO_EDGE", "dublin")
    monkeypatch.setenv("TWILIO_REGION", "ie1")

    gateway(case, fakes).send(order(case))

    assert len(fakes.messages()) == 1


@one_of_each
def test_a_redirect_is_not_followed_and_takes_no_credentials_elsewhere(case: Case, fakes: FakeGateways) -> None:
    with RawServer(lambda request: None) as elsewhere:
        fakes.script(case.vendor, "redirect", location=elsewhere.url)
        failure(gateway(case, fakes), case)

        assert elsewhere.connections == 0


@pytest.mark.parametrize("kind", [kind for kind in Certificate if kind is not Certificate.GOOD])
def test_a_certificate_that_cannot_be_trusted_ends_the_try_before_anything_is_sent(kind: Certificate) -> None:
    case = BY_ID["authentica-otp"]
    with FakeGateways(tls=kind) as fakes:
        error = failure(gateway(case, fakes, AUTHENTICA_CA_BUNDLE=fakes.ca_file), case)

        assert (type(error), error.vendor_code) == (Unavailable, "tls")
        assert fakes.messages() == []


def test_with_tls_and_a_trusted_authority_messages_go_out_over_one_connection() -> None:
    case = BY_ID["authentica-otp"]
    with FakeGateways(tls=Certificate.GOOD) as fakes:
        provider = gateway(case, fakes, AUTHENTICA_CA_BUNDLE=fakes.ca_file)
        for _ in range(5):
            provider.send(order(case))

        assert (len(fakes.messages()), fakes.stats()["connections"]) == (5, 1)


@pytest.mark.parametrize(("fault", "params"), SILENCES[:4], ids=lambda value: str(value)[:40])
def test_over_tls_the_deadline_holds_as_well(fault: str, params: dict[str, Any]) -> None:
    case = BY_ID["authentica-otp"]
    with FakeGateways(tls=Certificate.GOOD) as fakes:
        fakes.script("authentica", fault, **params)
        provider = gateway(case, fakes, timeout=FOR_EVER, AUTHENTICA_CA_BUNDLE=fakes.ca_file)
        started = time.monotonic()

        assert type(failure(provider, case, deadline=started + BRIEFLY)) is OutcomeUnknown
        assert time.monotonic() - started < 15
