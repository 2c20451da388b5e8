"""Which gateways are tried, in which order: cooling, demoted, set aside, misconfigured, and when all are."""

import itertools

import pytest

from apps.accounts.models import GatewayEvent, GatewayStanding
from apps.accounts.providers.base import Channel, InvalidRecipient
from apps.accounts.services import standings, statements
from apps.accounts.services.ordering import Doubts, Turns, arrange, with_chosen_first
from apps.accounts.tests.meeting import meet
from apps.accounts.tests.services.health_rig import BROKEN, BUSY, REQUEST, UNAVAILABLE, Service, service
from conftest import BuildRooms, needs_postgres

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = ("a", "b", "c")


def stand(of: Service, name: str, state: str, *, candidate: str = "") -> None:
    GatewayStanding.objects.update_or_create(
        provider=name, channel="sms", country="SA",
        defaults={"state": state, "candidate": candidate, "changed_at": statements.now()},
    )  # fmt: skip
    of.health.standings.forget()


def test_a_cooling_gateway_is_skipped_while_another_is_up(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    made.cool("authentica")
    assert made.plan() == ("twilio",)


def test_while_one_is_up_no_mixture_of_troubles_leaves_nobody_to_try() -> None:
    for aside, demoted, avoid in itertools.product(
        *[[set(s) for n in range(4) for s in itertools.combinations(NAMES, n)]] * 3
    ):
        for size in (1, 2, 3):
            for up in itertools.combinations(NAMES, size):
                doubts = Doubts(aside=aside, demoted=demoted, exploring={"a": "b"})
                found = arrange(up, doubts, avoid=avoid, turns=Turns())
                assert sorted(found) == sorted(up)


def test_a_gateway_fails_for_each_channel_by_itself(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    made.cool("authentica", BROKEN, times=1, channel="whatsapp")
    assert made.plan() == ("authentica", "twilio")
    assert made.state("authentica") == "misconfigured"


def test_when_all_are_cooling_each_is_a_probe_and_then_there_is_a_wait(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    for name in made.names:
        made.cool(name, BROKEN, times=1)
    plan = made.health.plan(made.names, channel="sms", region="SA", avoid=frozenset())
    assert plan.names == ("authentica", "twilio")
    assert plan.probes == {"authentica", "twilio"}
    assert all(made.health.claim(name, channel="sms") for name in made.names)
    waiting = made.health.plan(made.names, channel="sms", region="SA", avoid=frozenset())
    assert waiting.names == ()
    assert 1 <= waiting.retry_after <= 5
    made.rooms.clock.advance(seconds=2)
    assert made.health.plan(made.names, channel="sms", region="SA", avoid=frozenset()).names == plan.names


def test_a_throttled_gateway_is_back_when_its_time_is_over(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    made.cool("authentica", BUSY, times=1)
    assert made.plan() == ("twilio",)
    made.rooms.clock.advance(seconds=7)
    assert made.plan() == ("authentica", "twilio")


def test_a_demoted_gateway_goes_behind_and_keeps_a_twentieth(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    stand(made, "authentica", "demoted")
    firsts = [made.plan()[0] for _ in range(200)]
    assert firsts.count("authentica") == 10
    assert made.state("authentica") == "demoted"
    assert made.health.weights(made.names, channel="sms") == {"authentica": 0.05, "twilio": 1.0}


def test_a_demoted_gateway_is_demoted_on_its_route_only(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    stand(made, "authentica", "demoted")
    elsewhere = made.health.plan(made.names, channel="sms", region="AE", avoid=frozenset())
    assert elsewhere.names[0] == "authentica"


def test_where_few_people_ask_a_probe_still_goes_out_every_half_minute() -> None:
    now = [0.0]
    turns = Turns(monotonic=lambda: now[0])
    probes = 0
    for _ in range(60):
        now[0] += 10.0
        probes += turns.probe("x")
    assert probes == 15


def test_in_doubt_every_second_person_goes_by_the_rival_and_the_status_says_up(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    stand(made, "authentica", "exploring", candidate="twilio")
    firsts = [made.plan()[0] for _ in range(20)]
    assert firsts.count("twilio") == 10
    assert made.state("authentica") == "up"


def test_a_resend_leaves_by_one_that_is_up_not_demoted_and_not_tried(build_rooms: BuildRooms) -> None:
    made = service(build_rooms, gateways=3)
    assert made.plan(avoid=frozenset({"authentica"}))[0] == "twilio"
    stand(made, "twilio", "demoted")
    assert {made.plan(avoid=frozenset({"authentica"}))[0] for _ in range(60)} == {"whatsapp"}
    made.cool("whatsapp")
    assert made.plan(avoid=frozenset({"authentica"}))[0] == "authentica"


def test_an_operators_gateway_goes_first_and_those_before_it_last(build_rooms: BuildRooms) -> None:
    made = service(build_rooms, gateways=3)
    made.rooms.services.gateway_choices.set("twilio", note="test", by="op")
    assert made.plan() == ("twilio", "whatsapp", "authentica")
    assert [made.state(name) for name in made.names] == ["up", "forced", "up"]


def test_a_resend_does_not_go_to_one_that_is_set_aside(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    made.rooms.services.gateway_choices.set("twilio", note="test", by="op")
    assert made.plan(avoid=frozenset({"twilio"}))[0] == "twilio"


def test_an_operators_gateway_that_cools_leaves_the_way_to_the_others(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    made.rooms.services.gateway_choices.set("twilio", note="test", by="op")
    made.cool("twilio")
    assert made.plan() == ("authentica",)
    assert made.state("twilio") == "cooling"


def test_an_operators_choice_outranks_the_watch(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    stand(made, "twilio", "demoted")
    made.rooms.services.gateway_choices.set("twilio", note="test", by="op")
    assert {made.plan()[0] for _ in range(60)} == {"twilio"}
    assert made.state("twilio") == "forced"


def test_a_choice_that_the_route_does_not_name_goes_before_it_and_sets_nobody_aside() -> None:
    assert with_chosen_first(("a", "b"), "c", able=True) == (("c", "a", "b"), frozenset())
    assert with_chosen_first(("a", "b"), "c", able=False) == (("a", "b"), frozenset())
    assert with_chosen_first(("a", "b", "c"), "b", able=True) == (("b", "a", "c"), frozenset({"a"}))


def test_a_gateway_that_the_audit_calls_misconfigured_is_not_used_while_another_is_up(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    made.health.mark_audit("authentica", False, "credentials")
    assert made.state("authentica") == "misconfigured"
    assert made.many(5) == {"twilio": 5}
    made.cool("twilio")
    assert made.many(1) == {"authentica": 1}
    made.health.mark_audit("authentica", True, "")
    assert made.state("authentica") == "up"
    changes = GatewayEvent.objects.filter(provider="authentica").order_by("id").values_list("before", "after")
    assert list(changes) == [("up", "misconfigured"), ("misconfigured", "up")]


def test_the_audits_word_is_told_once_however_often_it_is_said(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    for _ in range(3):
        made.health.mark_audit("authentica", False, "balance")
    assert GatewayEvent.objects.count() == 1


def test_transitions_stand_in_the_line_of_events(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    made.cool("authentica", UNAVAILABLE)
    made.rooms.clock.advance(seconds=1)
    made.health.succeeded("authentica", channel="sms", seconds=0.0)
    events = list(GatewayEvent.objects.order_by("id").values_list("provider", "channel", "before", "after", "reason"))
    assert events == [
        ("authentica", "sms", "up", "cooling", "unavailable"),
        ("authentica", "sms", "cooling", "up", "answers again after unavailable"),
    ]


@needs_postgres()
def test_two_audits_that_find_the_same_fault_at_once_tell_it_once(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)

    def found() -> bool:
        return standings.write_audit_word("authentica", well=False, reason="credentials", clock=made.rooms.clock)

    news: list[bool] = []
    second = meet(lambda: news.append(found()), found)
    assert [*news, second] == [True, False]
    assert GatewayEvent.objects.filter(after="misconfigured").count() == 1


def test_a_number_that_is_not_on_whatsapp_is_no_bad_number_while_all_of_the_sms_route_is_cooling(
    build_rooms: BuildRooms,
) -> None:
    made = service(build_rooms, gateways=3, OTP_WHATSAPP_TEMPLATE_APPROVED="1")
    made.gateway("whatsapp").able = frozenset({Channel.WHATSAPP})
    made.gateway("whatsapp").always = InvalidRecipient("131026", not_on_channel=True)
    for name in ("authentica", "twilio"):
        made.cool(name, UNAVAILABLE)
        made.health.claim(name, channel="sms")
    phone = made.next_phone()
    answer = made.api.post(REQUEST, {"phone_number": phone, "channel": "whatsapp"})
    assert (answer.status_code, answer.json()["code"]) == (503, "delivery_failed")
    assert made.counts() == {"authentica": 0, "twilio": 0, "whatsapp": 1}
    made.rooms.clock.advance(seconds=2)
    assert made.api.post(REQUEST, {"phone_number": phone}).status_code == 200
