"""The watch at the database: whose success a verification is, who holds the watch, and what follows its rows."""

import uuid
from datetime import datetime, timedelta

import pytest

from apps.accounts.models import Code, GatewayEvent, GatewayLease, GatewayStanding, Message
from apps.accounts.services import statements, verdicts, watch
from apps.accounts.services.evidence import Fate, Sighting, learn
from apps.accounts.services.verdicts import Case, Held, Verdict
from apps.accounts.services.watch import Watch, sort_out
from apps.accounts.tests.services.health_rig import Service, service
from conftest import BuildRooms

pytestmark = pytest.mark.django_db(transaction=True)
PLACE = ("authentica", "sms", "SA")


@pytest.fixture
def made(build_rooms: BuildRooms) -> Service:
    return service(build_rooms)


def watcher(of: Service) -> Watch:
    pulse = of.rooms.services.pulse
    assert pulse is not None
    return pulse._watch


class Story:
    """Writes the rows of people who asked, at seconds from a beginning."""

    def __init__(self, begins: datetime) -> None:
        self.begins = begins
        self.codes: list[Code] = []
        self.messages: list[Message] = []

    def at(self, second: float) -> datetime:
        return self.begins + timedelta(seconds=second)

    def person(self, *sent: tuple[float, str, str], used: float | None = None, cause: str = "request") -> str:
        """One code with messages (second, gateway, state), used at a second or never."""
        code = Code(
            id=uuid.uuid4().hex, phone="+966501234567", purpose="login", nonce="0" * 32, key_id="k",
            state="used" if used is not None else "open", created_at=self.at(sent[0][0]),
            expires_at=self.at(sent[0][0] + 600), used_at=self.at(used) if used is not None else None,
        )  # fmt: skip
        self.codes.append(code)
        for number, (second, gateway, state) in enumerate(sent):
            self.messages.append(
                Message(
                    code=code,
                    send_id=uuid.uuid4().hex,
                    cause=cause if number == 0 else "resend",
                    phone=code.phone,
                    country="SA",
                    provider=gateway,
                    channel="sms",
                    state=state,
                    created_at=self.at(second),
                )
            )
        return code.id

    def write(self) -> None:
        Code.objects.bulk_create(self.codes)
        Message.objects.bulk_create(self.messages)


def fates(story: Story, now: float) -> dict[tuple[str, str], list[tuple[Fate, float]]]:
    story.write()
    rows = watch._read_messages(story.at(-1000), story.at(now), share=1.0, limit=1000)
    found = sort_out(rows, now=story.at(now))
    return {
        (place[0], kind): [(one.fate, round(one.after, 3)) for one in sightings]
        for place, traffic in found.items()
        for kind, sightings in (("all", traffic.all), ("requests", traffic.requests))
        if sightings
    }


@pytest.fixture
def story() -> Story:
    return Story(statements.now() - timedelta(seconds=600))


def test_a_code_that_was_used_counts_for_the_message_that_carried_it(story: Story) -> None:
    story.person((0, "authentica", "accepted"), used=12)
    assert fates(story, 100)["authentica", "all"] == [(Fate.VERIFIED, 12.0)]


def test_a_code_used_after_a_second_gateways_message_counts_for_the_last_and_against_the_first(story: Story) -> None:
    story.person((0, "authentica", "accepted"), (65, "twilio", "delivered"), used=72)
    found = fates(story, 100)
    assert found["authentica", "all"] == [(Fate.RESENT, 65.0)]
    assert found["twilio", "all"] == [(Fate.VERIFIED, 7.0)]
    assert ("twilio", "requests") not in found


def test_a_code_used_before_the_second_message_counts_for_the_first(story: Story) -> None:
    story.person((0, "authentica", "accepted"), (65, "twilio", "accepted"), used=64)
    found = fates(story, 100)
    assert found["authentica", "all"] == [(Fate.VERIFIED, 64.0)]
    assert found["twilio", "all"] == [(Fate.OPEN, 35.0)]


def test_what_happens_later_is_not_known_yet(story: Story) -> None:
    story.person((0, "authentica", "accepted"), (65, "twilio", "accepted"), used=80)
    assert fates(story, 30) == {
        ("authentica", "all"): [(Fate.OPEN, 30.0)], ("authentica", "requests"): [(Fate.OPEN, 30.0)]
    }  # fmt: skip


def test_what_a_gateway_did_not_take_is_no_matter_of_the_watch(story: Story) -> None:
    story.person((0, "authentica", "failed"), (1, "twilio", "accepted"), used=9)
    story.person((2, "authentica", "unknown"), (3, "twilio", "accepted"), used=9)
    assert {place for place, _ in fates(story, 100)} == {"twilio"}


def test_a_trial_beside_a_send_takes_no_credit_and_gives_no_blame(story: Story) -> None:
    story.person((0, "twilio", "accepted"), used=9)
    story.messages.append(
        Message(
            code=story.codes[0],
            send_id="s",
            cause="probe",
            phone="+966501234567",
            country="SA",
            provider="authentica",
            channel="sms",
            state="accepted",
            created_at=story.at(1),
        )
    )
    assert fates(story, 100) == {
        ("twilio", "all"): [(Fate.VERIFIED, 9.0)], ("twilio", "requests"): [(Fate.VERIFIED, 9.0)]
    }  # fmt: skip


def test_a_receipt_that_says_failed_is_a_failure_of_the_gateway(story: Story) -> None:
    story.person((0, "authentica", "failed"))
    story.messages[0].receipt_at = story.at(5)
    assert fates(story, 50)["authentica", "all"] == [(Fate.OPEN, 50.0)]


def test_one_persons_messages_by_one_gateway_are_one_witness(story: Story) -> None:
    story.person((0, "authentica", "accepted"), (60, "authentica", "accepted"), (120, "authentica", "accepted"))
    assert fates(story, 200)["authentica", "all"] == [(Fate.RESENT, 60.0)]


def healthy_past(story: Story, *, until: float, each: float = 2.0) -> None:
    second, number = until - 600.0, 0
    while second < until:
        number += 1
        story.person((second, "authentica", "accepted"), used=None if number % 12 == 0 else second + 6 + number % 12)
        second += each


def silent(story: Story, gateway: str, *, since: float, until: float, each: float = 0.25) -> None:
    second = since
    while second < until:
        story.person((second, gateway, "accepted"))
        second += each


def test_a_silent_gateway_is_doubted_compared_and_left(made: Service) -> None:
    now = statements.now()
    story = Story(now - timedelta(seconds=30))
    healthy_past(story, until=-1)
    silent(story, "authentica", since=0, until=29)
    story.write()
    assert watcher(made).round()
    standing = GatewayStanding.objects.get()
    assert (standing.provider, standing.state, standing.candidate) == ("authentica", "exploring", "twilio")
    assert made.many(8) == {"authentica": 4, "twilio": 4}
    Message.objects.filter(cause="request", created_at__gt=now).delete()
    made.rooms.clock.advance(seconds=30)
    after = Story(statements.now())
    silent(after, "authentica", since=1, until=28, each=0.5)
    for second in range(1, 28):
        after.person((second, "twilio", "accepted"), used=second + 1.5)
    after.write()
    watcher(made).round()
    standing.refresh_from_db()
    assert standing.state == "demoted"
    assert made.state("authentica") == "demoted"
    assert made.many(9) == {"twilio": 9}
    told = GatewayEvent.objects.order_by("id").values_list("provider", "channel", "country", "before", "after")
    assert list(told) == [(*PLACE, "up", "doubted"), (*PLACE, "doubted", "demoted")]


def test_a_healed_gateway_comes_back(made: Service) -> None:
    now = statements.now()
    curve = learn([Sighting(i, Fate.VERIFIED, 5 + i % 15) for i in range(450)] + [Sighting(0, Fate.OPEN, 120)] * 50)
    GatewayStanding.objects.create(
        provider="authentica", channel="sms", country="SA", state="demoted", candidate="twilio", ratio=0.05,
        curve=curve.as_text(), changed_at=now - timedelta(seconds=100),
    )  # fmt: skip
    story = Story(now - timedelta(seconds=90))
    for second in range(0, 70, 8):
        story.person((second, "authentica", "accepted"), used=second + 9)
    story.write()
    watcher(made).round()
    assert GatewayStanding.objects.get().state == "up"
    assert made.state("authentica") == "up"
    assert made.many(3) == {"authentica": 3}


def test_ordinary_traffic_writes_nothing(made: Service) -> None:
    story = Story(statements.now() - timedelta(seconds=30))
    healthy_past(story, until=29)
    story.write()
    for _ in range(3):
        assert watcher(made).round()
    assert GatewayStanding.objects.count() == 0
    assert GatewayEvent.objects.count() == 0


def test_one_process_watches_and_another_takes_over_when_it_is_gone(made: Service) -> None:
    clock = made.rooms.clock
    one, other = (Watch(clock=clock, rivals=made.health.rivals) for _ in range(2))
    assert one.round()
    assert not other.round()
    assert one.round()
    clock.advance(seconds=watch.LEASE_SECONDS + 0.1)
    assert other.round()
    assert not one.round()
    assert GatewayLease.objects.count() == 1


def test_a_gateway_that_cools_is_no_rival(made: Service) -> None:
    assert made.health.rivals("authentica", "sms", "SA") == ("twilio",)
    made.cool("twilio")
    assert made.health.rivals("authentica", "sms", "SA") == ()


def test_while_an_operator_has_chosen_nobody_is_compared(made: Service) -> None:
    made.rooms.services.gateway_choices.set("authentica", note="x", by="op")
    assert made.health.rivals("authentica", "sms", "SA") == ()


def test_with_very_many_messages_a_share_of_the_codes_is_enough(made: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_MESSAGES", 40)
    story = Story(statements.now() - timedelta(seconds=60))
    silent(story, "authentica", since=0, until=59, each=0.1)
    story.write()
    watching = watcher(made)
    for _ in range(8):
        watching.round()
    assert watching._share <= 1 / 8
    read = watch._read_messages(story.at(0), story.at(60), share=watching._share, limit=1000)
    assert 0 < len(read) < 200


def test_a_process_that_was_too_slow_writes_nothing_over_what_its_successor_decided(
    made: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = statements.now()
    GatewayStanding.objects.create(
        provider="authentica", channel="sms", country="SA", state="exploring", candidate="twilio", changed_at=now
    )

    def overtaken(case: Case, *, now: float) -> Verdict:
        GatewayLease.objects.update(holder="another")
        GatewayStanding.objects.update(state="up")
        return Verdict(Held(state="demoted", changed=now), "gateway_demoted")

    monkeypatch.setattr(verdicts, "decide", overtaken)
    assert watcher(made).round()
    assert GatewayStanding.objects.get().state == "up"
    assert not GatewayEvent.objects.exists()
