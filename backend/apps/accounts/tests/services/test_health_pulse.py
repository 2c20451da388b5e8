"""What runs beside requests: free calls that find a gateway's return before a person has to."""

from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from apps.accounts.providers.base import AuditLine, Finding
from apps.accounts.services.gateway_audit import is_well
from apps.accounts.services.pulse import Pulse
from apps.accounts.tests.services.health_rig import BROKEN, ILL, UNKNOWN, WELL, Service, service
from conftest import BuildRooms

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made(build_rooms: BuildRooms) -> Service:
    """The service with free calls that run at once."""
    found = service(build_rooms)
    pulse = found.rooms.services.pulse
    assert pulse is not None
    pulse._run = lambda work: work()
    return found


def beat(of: Service, *, seconds: float) -> None:
    """Let so much time pass, with a beat every half second."""
    pulse = of.rooms.services.pulse
    assert isinstance(pulse, Pulse)
    for _ in range(int(seconds * 2)):
        of.rooms.clock.advance(seconds=0.5)
        pulse.beat()


def test_a_free_call_finds_the_return_of_a_gateway_within_seconds(made: Service) -> None:
    made.gateway("authentica").lines = ILL
    made.cool("authentica", BROKEN, times=1)
    beat(made, seconds=10)
    assert made.state("authentica") == "misconfigured"
    made.gateway("authentica").lines = WELL
    beat(made, seconds=2.5)
    assert made.state("authentica") == "up"
    assert made.counts() == {"authentica": 0, "twilio": 0}


def test_a_gateway_that_answers_reads_while_its_sending_hangs_stays_cooling(made: Service) -> None:
    made.break_down("authentica", UNKNOWN)
    made.cool("authentica", UNKNOWN)
    beat(made, seconds=9)
    assert made.state("authentica") == "cooling"


def test_a_gateway_that_is_up_is_never_asked(made: Service) -> None:
    beat(made, seconds=10)
    assert made.gateway("authentica").asked == 0


def test_a_cooling_gateway_is_asked_every_two_seconds(made: Service) -> None:
    made.gateway("authentica").lines = ILL
    made.cool("authentica", BROKEN, times=1)
    beat(made, seconds=20)
    assert 9 <= made.gateway("authentica").asked <= 11


def test_a_crashing_auditor_neither_ends_the_pulse_nor_heals_the_gateway(made: Service) -> None:
    def crash(*, deadline: float) -> tuple[AuditLine, ...]:
        raise RuntimeError("a bug")

    made.gateway("authentica").audit = crash  # type: ignore[method-assign]
    made.cool("authentica", BROKEN, times=1)
    beat(made, seconds=4)
    assert made.state("authentica") == "misconfigured"


@pytest.mark.parametrize("misconfigured", [False, True])
def test_a_free_call_that_got_no_thread_is_made_later(made: Service, misconfigured: bool) -> None:
    def no_thread(_: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    pulse = made.rooms.services.pulse
    assert pulse is not None
    at_once, pulse._run = pulse._run, no_thread
    made.gateway("authentica").lines = ILL
    if misconfigured:
        made.health.mark_audit("authentica", False, "credentials")
    else:
        made.cool("authentica", BROKEN, times=1)
    with pytest.raises(RuntimeError):
        beat(made, seconds=10)
    pulse._run = at_once
    beat(made, seconds=10)
    assert made.gateway("authentica").asked > 0


def test_a_misconfigured_gateway_comes_back_by_itself_within_seconds(made: Service) -> None:
    made.gateway("authentica").lines = ILL
    made.health.mark_audit("authentica", False, "credentials")
    beat(made, seconds=12)
    assert made.state("authentica") == "misconfigured"
    made.gateway("authentica").lines = WELL
    beat(made, seconds=5.5)
    assert made.state("authentica") == "up"


def test_a_misconfigured_gateway_is_asked_every_five_seconds_by_all_processes_together(made: Service) -> None:
    made.gateway("authentica").lines = ILL
    made.health.mark_audit("authentica", False, "credentials")
    pulse = made.rooms.services.pulse
    assert pulse is not None
    others = [
        Pulse(health=made.health, watch=pulse._watch, providers=made.rooms.services.providers, timeout=4,
              run=lambda work: work())
        for _ in range(2)
    ]  # fmt: skip
    for _ in range(80):
        made.rooms.clock.advance(seconds=0.5)
        for one in (pulse, *others):
            one.beat()
    assert 7 <= made.gateway("authentica").asked <= 9


def test_a_gateway_that_stays_misconfigured_is_asked_less_often(made: Service) -> None:
    made.gateway("authentica").lines = ILL
    made.health.mark_audit("authentica", False, "credentials")
    made.rooms.clock.advance(seconds=601)
    beat(made, seconds=60)
    assert 6 <= made.gateway("authentica").asked <= 7


def test_a_fault_of_one_channel_does_not_keep_a_gateway_out(made: Service) -> None:
    made.gateway("authentica").lines = (*WELL, AuditLine("template_code", Finding.FAULT, ""))
    made.health.mark_audit("authentica", False, "credentials")
    beat(made, seconds=1)
    assert made.state("authentica") == "up"


def test_a_template_in_trouble_bears_on_whatsapp_alone() -> None:
    lines = (*WELL, AuditLine("whatsapp_template", Finding.FAULT, ""))
    assert is_well(lines, channel="sms")
    assert not is_well(lines, channel="whatsapp")


@pytest.mark.parametrize(
    "lines",
    [(), (AuditLine("credentials", Finding.WARNING, ""),), (*WELL, AuditLine("balance", Finding.FAULT, ""))],
)
def test_no_answer_and_no_money_are_not_well(lines: tuple[AuditLine, ...]) -> None:
    assert not is_well(lines, channel="sms")


def test_the_state_of_each_gateway_is_a_gauge(made: Service) -> None:
    made.cool("authentica", BROKEN, times=1)
    beat(made, seconds=0.5)
    read = {
        state: REGISTRY.get_sample_value("otp_gateway_state", {"provider": "authentica", "state": state})
        for state in ("up", "misconfigured")
    }
    assert read == {"up": 0.0, "misconfigured": 1.0}


def test_the_thread_beats_until_it_is_stopped(made: Service) -> None:
    made.rooms.services.pulse.start()  # type: ignore[union-attr]
    made.rooms.services.pulse.stop()  # type: ignore[union-attr]
    assert not made.rooms.services.pulse._thread.is_alive()  # type: ignore[union-attr]
