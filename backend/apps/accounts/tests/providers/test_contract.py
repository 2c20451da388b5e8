"""What every gateway promises, over a socket, whatever the vendor does."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from apps.accounts.providers.base import (
    LEAVES,
    Auditor,
    Carries,
    Channel,
    Checker,
    InvalidRecipient,
    Listener,
    Misconfigured,
    OutcomeUnknown,
    Provider,
    ProviderError,
    Rejected,
    Throttled,
)
from apps.accounts.tests.providers.contract import (
    CASES,
    CODE,
    ONE_OF_EACH,
    PHONE,
    REFERENCE,
    SECRETS,
    TEXT,
    Case,
    build,
    failure,
    gateway,
    order,
    values,
)
from fakegateways.handle import FakeGateways

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
one_of_each = pytest.mark.parametrize("case", ONE_OF_EACH, ids=lambda case: case.id)

# Fault of the fake gateways, its parameters, and the leaf: where a vendor differs, it says so below.
ANSWERS: tuple[tuple[str, dict[str, Any], type[ProviderError]], ...] = (
    ("unauthorized", {}, Misconfigured),
    ("forbidden", {}, Misconfigured),
    ("throttled", {}, Throttled),
    ("redirect", {}, Misconfigured),
    ("html_500", {}, OutcomeUnknown),
    ("bad_gateway", {}, OutcomeUnknown),
    ("unavailable", {}, OutcomeUnknown),
    ("html_200", {}, OutcomeUnknown),
    ("bad_json", {}, OutcomeUnknown),
    ("empty_object", {}, OutcomeUnknown),
    ("empty_body", {}, OutcomeUnknown),
    ("deep_json", {"depth": 100_000}, OutcomeUnknown),
    ("deep_json", {"depth": 20_000}, OutcomeUnknown),
    ("huge", {}, OutcomeUnknown),
    ("wrong_charset", {}, OutcomeUnknown),
    ("status", {"status": 204}, OutcomeUnknown),
    ("status", {"status": 308, "headers": {"Location": "http://127.0.0.1:9/"}}, Misconfigured),
    ("status", {"status": 409, "body": "[]"}, Rejected),
    ("status", {"status": 408}, OutcomeUnknown),
    ("status", {"status": 599, "body": "null"}, OutcomeUnknown),
)
DIFFERENT = {("authentica", "redirect"): Rejected}


@every_case
def test_a_message_is_handed_over_once_and_arrives_as_ordered(case: Case, fakes: FakeGateways) -> None:
    receipt = gateway(case, fakes).send(order(case))

    (got,) = fakes.messages()
    assert (got.vendor, got.to.removeprefix("whatsapp:").lstrip("+"), got.channel, got.delivered) == (
        case.vendor,
        PHONE.lstrip("+"),
        case.channel.value,
        True,
    )
    assert bool(receipt.vendor_id) == case.gives_id
    assert receipt.vendor_id == got.id
    if case.shows:
        assert got.code == case.shows


@every_case
def test_a_gateway_says_what_it_is_and_what_it_can_do(case: Case, fakes: FakeGateways) -> None:
    provider = gateway(case, fakes)

    assert isinstance(provider, Provider)
    assert isinstance(provider, Auditor)
    assert isinstance(provider, Listener) == (case.provider in ("twilio", "whatsapp"))
    assert isinstance(provider, Checker) == (case.id == "authentica-verify")
    assert (Carries.MINT in provider.carries) == (case.id == "authentica-verify")
    assert provider.name == case.provider
    assert case.channel in provider.channels()
    assert provider.carries


@every_case
@pytest.mark.parametrize(("fault", "params", "leaf"), ANSWERS, ids=lambda value: str(value)[:40])
def test_an_answer_becomes_its_leaf_after_one_call(
    case: Case, fault: str, params: dict[str, Any], leaf: type[ProviderError], fakes: FakeGateways
) -> None:
    fakes.script(case.vendor, fault, **params)
    before = fakes.stats()["requests"]

    error = failure(gateway(case, fakes), case)

    assert type(error) is DIFFERENT.get((case.vendor, fault), leaf)
    assert fakes.stats()["requests"] - before == 1
    assert len(fakes.messages()) == 1


@one_of_each
@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("0", 1.0), ("86400", 300.0), ("soon", None), ("", None)])
def test_a_vendors_wait_is_kept_within_bounds(
    case: Case, said: str, seconds: float | None, fakes: FakeGateways
) -> None:
    fakes.script(case.vendor, "throttled", retry_after=said)

    assert failure(gateway(case, fakes), case).retry_after == seconds


@pytest.fixture
def every_line(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


@every_case
@pytest.mark.parametrize("fault", ["unauthorized", "html_500", "success_false", "hang", "reset", "redirect", "invalid"])
def test_no_error_and_no_log_line_repeats_number_code_credential_or_the_vendors_text(
    case: Case, fault: str, fakes: FakeGateways, every_line: pytest.LogCaptureFixture
) -> None:
    fakes.script(case.vendor, fault)

    error = failure(gateway(case, fakes), case, deadline=time.monotonic() + 0.3)

    spoken = " ".join((str(error), repr(error), repr(error.args), repr(vars(error)), every_line.text))
    for secret in (*SECRETS, PHONE, PHONE[1:], CODE, TEXT, "Something broke", "Failed to send", "format is invalid"):
        assert secret not in spoken
    assert error.__context__ is None
    assert error.__cause__ is None
    assert len(error.vendor_code) <= 16


@pytest.mark.parametrize("case", [case for case in CASES if case.channel is Channel.WHATSAPP], ids=lambda case: case.id)
def test_without_an_approved_template_the_channel_is_shut_and_nothing_is_called(
    case: Case, fakes: FakeGateways
) -> None:
    shut = gateway(case, fakes, OTP_WHATSAPP_TEMPLATE_APPROVED=False)

    assert Channel.WHATSAPP not in shut.channels()
    assert type(failure(shut, case)) is Rejected
    assert fakes.messages() == []


def test_number_and_code_are_not_shown_by_an_order_nor_credentials_by_a_gateway(fakes: FakeGateways) -> None:
    shown = repr(order(CASES[0])) + "".join(repr(provider) for provider in build(values(fakes)).values())

    assert REFERENCE in shown
    for secret in (*SECRETS, PHONE, CODE, TEXT):
        assert secret not in shown


def test_only_the_leaves_that_say_so_stop_a_message_from_going_on() -> None:
    assert [leaf.__name__ for leaf in LEAVES if not leaf.next_gateway] == [InvalidRecipient.__name__, "FraudSuspected"]
    assert [leaf for leaf in LEAVES if not leaf.definite] == [OutcomeUnknown]
