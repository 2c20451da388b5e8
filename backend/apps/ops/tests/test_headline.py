"""The headline: one sentence that a tired person can act on, whatever the situation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from apps.accounts.services.limits import StoreState
from apps.ops.board import GatewayState
from apps.ops.queries_events import Event
from apps.ops.staff.headline import Fall, Held, Level, Situation, headline
from apps.ops.staff.words import plain
from apps.ops.traffic import Sums

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
BEGAN = NOW - timedelta(minutes=12)


def gateway(name: str, state: str = "up", *, usable: bool | None = None) -> GatewayState:
    return GatewayState(
        name=name, channels=("sms",), state=state, primary=name == "twilio",
        usable=state in {"up", "demoted", "forced"} if usable is None else usable,
    )  # fmt: skip


def calm(**changes: object) -> Situation:
    well = Situation(
        now=NOW, store=StoreState.REDIS, gateways=[gateway("twilio"), gateway("authentica")],
        everybody=Fall("", 100, 90, 0.9), countries=[Fall("SA", 80, 72, 0.9), Fall("EG", 20, 18, 0.9)],
        hour=Sums(requested=300, opened=300, converted=270),
    )  # fmt: skip
    return replace(well, **changes)  # type: ignore[arg-type]


def changed(name: str, state: str, reason: str = "unavailable") -> Event:
    return Event(BEGAN, "gateway", state, name, detail={"from": "up", "reason": reason})


def test_when_all_is_well_it_says_so_and_nothing_else() -> None:
    told = headline(calm())
    assert (told.level, told.sentence) == (Level.OK, "Login is working.")
    assert (told.since, told.because, told.doing) == (None, (), ())
    assert "270 of 300" in told.note


def test_without_traffic_it_claims_no_success() -> None:
    told = headline(calm(everybody=Fall("", 0, 0, 0.9), countries=[], hour=Sums()))
    assert told.sentence == "Login is up. Nobody has asked for a code in the last hour."
    assert told.note == ""


def test_with_every_gateway_gone_login_is_not_working_and_why_and_since_when() -> None:
    told = headline(
        calm(
            gateways=[gateway("twilio", "cooling"), gateway("authentica", "misconfigured")],
            events=[changed("twilio", "cooling")], failures=[("twilio", "unavailable", 7)],
        )
    )  # fmt: skip
    assert told.level is Level.DOWN
    assert told.sentence == "Login is not working: none of Twilio and Authentica can send codes."
    assert told.since == BEGAN
    assert told.because[0].startswith(f"Twilio does not take codes and is cooling since {{@{BEGAN.isoformat()}}}")
    assert "7 tries" in told.because[0]
    assert any("probe every two seconds" in line for line in told.doing)


def test_with_every_texting_gateway_gone_login_is_not_working_whatever_whatsapp_does() -> None:
    whatsapp = replace(gateway("whatsapp"), channels=("whatsapp",))
    told = headline(calm(gateways=[gateway("twilio", "cooling"), gateway("authentica", "misconfigured"), whatsapp]))
    assert told.level is Level.DOWN
    assert told.sentence == "Login is not working: none of Twilio and Authentica can send codes by SMS."
    told = headline(calm(gateways=[gateway("twilio", "cooling"), gateway("authentica"), whatsapp]))
    assert told.level is Level.DEGRADED


def test_where_nobody_texts_whatsapp_alone_is_judged() -> None:
    whatsapp = replace(gateway("whatsapp"), channels=("whatsapp",))
    assert headline(calm(gateways=[whatsapp])).level is Level.OK
    told = headline(calm(gateways=[replace(whatsapp, state="cooling", usable=False)]))
    assert told.sentence == "Login is not working: WhatsApp (Meta) cannot send codes."


def test_with_the_only_gateway_gone_the_sentence_names_it() -> None:
    told = headline(calm(gateways=[gateway("twilio", "cooling")]))
    assert told.sentence == "Login is not working: Twilio cannot send codes."


def test_the_only_gateway_being_late_does_not_stop_login_and_is_not_called_gone() -> None:
    told = headline(calm(gateways=[gateway("twilio", "cooling", usable=True)], events=[changed("twilio", "cooling")]))
    assert told.level is Level.DEGRADED
    assert told.sentence == "Login is working, but late, or not on every channel, by Twilio."
    assert told.because[0].startswith("Twilio takes codes late, or not on every channel since")
    assert told.doing == ("Codes go by Twilio all the same; what fails there is tried again by itself.",)


def test_a_gateway_that_takes_nothing_is_not_told_to_carry_codes_beside_one_that_is_late() -> None:
    told = headline(calm(gateways=[gateway("authentica", "misconfigured"), gateway("twilio", "cooling", usable=True)]))
    assert told.sentence == "Login is working, without Authentica."
    assert told.doing == (
        "Codes go by Twilio all the same; what fails there is tried again by itself.",
        "Authentica gets a probe every two seconds; the first that succeeds ends it.",
    )


def test_one_gateway_gone_leaves_login_working_without_it() -> None:
    told = headline(
        calm(gateways=[gateway("twilio", "cooling"), gateway("authentica")], events=[changed("twilio", "cooling")])
    )
    assert (told.level, told.sentence) == (Level.DEGRADED, "Login is working, without Twilio.")
    assert any("Codes go by Authentica" in line for line in told.doing)


def test_a_gateway_that_says_no_to_every_code_is_named_although_it_is_up() -> None:
    gateways = [gateway("authentica"), gateway("twilio")]
    up_again = Event(BEGAN - timedelta(hours=1), "gateway", "up", "authentica", detail={"reason": "verifies again"})
    told = headline(calm(gateways=gateways, refusing={"authentica": (49, BEGAN)}, events=[up_again]))
    assert (told.level, told.sentence) == (Level.DEGRADED, "Login is working, without Authentica.")
    assert told.since == BEGAN
    assert told.because == (f"Authentica is up and says no to every code since {{@{BEGAN.isoformat()}}}: 49 tries.",)
    assert told.doing == (
        "Codes go by Twilio all the same; the answers of Authentica are below, under the tries that failed.",
    )


def test_when_everybody_who_is_asked_says_no_login_is_not_working() -> None:
    gateways = [gateway("authentica"), gateway("twilio", "misconfigured")]
    told = headline(calm(gateways=gateways, refusing={"authentica": (9, BEGAN)}))
    assert (told.level, told.sentence) == (Level.DOWN, "Login is not working: Authentica says no to every code.")
    both = {"authentica": (9, BEGAN), "twilio": (8, NOW)}
    told = headline(calm(gateways=[gateway("authentica"), gateway("twilio")], refusing=both))
    assert told.sentence == "Login is not working: Authentica and Twilio say no to every code."
    assert told.since == BEGAN
    assert told.doing[0].startswith("Nothing yet")


def test_a_country_that_gets_nothing_is_named_with_its_count_and_its_gateway() -> None:
    fallen = Fall("EG", 24, 0, 0.85, since=BEGAN, gateways=("twilio",))
    told = headline(calm(countries=[Fall("SA", 80, 72, 0.9), fallen]))
    assert (told.level, told.since) == (Level.DEGRADED, BEGAN)
    assert told.sentence == "Login is working, but not in {EG} (none of 24 people got in)."
    assert "85% is usual" in told.because[0]
    assert "went by Twilio" in told.because[0]
    assert told.doing[0].startswith("Nothing yet")


def test_a_country_that_fares_badly_is_told_from_one_that_gets_nothing() -> None:
    told = headline(calm(countries=[Fall("SA", 80, 72, 0.9), Fall("EG", 30, 10, 0.85, since=BEGAN)]))
    assert told.sentence == "Login is working, but badly in {EG} (10 of 30 people got in)."


def test_too_few_people_say_nothing_of_a_country() -> None:
    assert headline(calm(countries=[Fall("SA", 80, 72, 0.9), Fall("EG", 4, 0, 0.85)])).level is Level.OK


def test_when_hardly_anybody_gets_in_the_whole_is_named_and_no_country() -> None:
    told = headline(calm(everybody=Fall("", 60, 2, 0.9, since=BEGAN), countries=[Fall("SA", 60, 2, 0.9, since=BEGAN)]))
    assert (told.level, told.since) == (Level.DOWN, BEGAN)
    assert told.sentence == "Login is not working: 2 of 60 people got in."


def test_an_operators_gateway_is_told_with_who_and_why_and_is_no_fault() -> None:
    told = headline(
        calm(
            gateways=[gateway("twilio"), gateway("authentica", "forced")],
            chosen=("authentica", "nora", "Incident #123", None),
        )
    )
    assert told.level is Level.OK
    assert told.doing == ("nora put Authentica first (“Incident #123”) until somebody lifts it.",)


@pytest.mark.parametrize(
    ("store", "level", "words"),
    [
        (StoreState.MEMORY_FALLBACK, Level.DEGRADED, "Login is working, but Redis is gone."),
        (StoreState.UNAVAILABLE, Level.DOWN, "Login is not working: Redis is gone"),
    ],
)
def test_redis_gone_is_told_by_what_it_means(store: StoreState, level: Level, words: str) -> None:
    told = headline(calm(store=store))
    assert told.level is level
    assert told.sentence.startswith(words)
    assert "Redis does not answer." in told.because


def test_a_demoted_gateway_takes_codes_that_do_not_arrive() -> None:
    told = headline(calm(gateways=[gateway("twilio", "demoted"), gateway("authentica")]))
    assert "takes codes that do not arrive" in told.because[0]
    assert any("moved traffic away from Twilio" in line for line in told.doing)


def test_a_country_that_the_guard_paused_is_told_with_the_end() -> None:
    pause = Held("country", "EG", "paused", "conversion", "enforce", NOW + timedelta(hours=1))
    told = headline(calm(held=[pause]))
    assert (told.level, told.sentence) == (Level.DEGRADED, "Login is working, but {EG} is paused.")
    assert any("has paused {EG} until {@2026-11-20T04:00:00+00:00}" in line for line in told.doing)


def test_a_guard_that_only_observes_changes_no_verdict() -> None:
    told = headline(calm(held=[Held("country", "EG", "paused", "conversion", "observe", None)]))
    assert told.level is Level.OK
    assert any("only observes" in line for line in told.doing)


def test_a_deployment_is_named_beside_a_fault_and_never_alone() -> None:
    deployed = Event(BEGAN, "release", "started", "2.0", detail={"from": "1.9"})
    assert headline(calm(events=[deployed])).because == ()
    told = headline(calm(gateways=[gateway("twilio", "cooling"), gateway("authentica")], events=[deployed]))
    assert told.because[-1] == f"Version 2.0 was deployed at {{@{BEGAN.isoformat()}}}."


def test_a_flood_of_refusals_is_a_reason() -> None:
    told = headline(calm(refused={"rate_limited": 900, "blocked": 30}))
    assert any("930" in line and "rate_limited" in line for line in told.because)


def test_without_a_script_countries_are_codes_and_times_are_in_utc() -> None:
    assert plain("not in {EG} since {@2026-11-20T02:48:00+00:00}") == "not in EG since 02:48 UTC"
