"""What is broken in each scenario, how, and what is promised.

It must not know how people are simulated or how the service notices.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """`hard`: the gateway says or shows that it failed. `silent`: it says that all is well."""

    HARD = "hard"
    SILENT = "silent"
    ALL_DOWN = "all_down"


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule of the fake gateways: `vendor` does `name` with `params`.

    `refused`: nobody listens there; `tls`: it shows this kind of certificate instead.
    """

    vendor: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    tls: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Seconds of calm, of fault and of healing; people arrive at `per_second`."""

    name: str
    title: str
    kind: Kind
    faults: tuple[Fault, ...]
    channel: str = "sms"
    per_second: float = 5.0
    calm: float = 20.0
    broken: float = 60.0
    healing: float = 60.0


def _main(name: str, **params: Any) -> tuple[Fault, ...]:
    return (Fault("authentica", name, params),)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("credentials", "Wrong credentials at the main gateway", Kind.HARD, _main("unauthorized", on="any")),
    Scenario("refused", "The main gateway breaks every connection", Kind.HARD, _main("refused")),
    Scenario("hang", "The main gateway hangs", Kind.HARD, _main("hang", seconds=60, accepted=False)),
    Scenario("server-errors", "The main gateway answers 500", Kind.HARD, _main("html_500")),
    Scenario("slow", "The main gateway takes 3 s", Kind.HARD, _main("slow", ms=3000)),
    Scenario("throttled", "The main gateway says 429", Kind.HARD, _main("throttled", retry_after=5)),
    Scenario("garbage", "The main gateway answers garbage", Kind.HARD, _main("bad_json", accepted=False)),
    Scenario(
        "certificate", "The main gateway shows an expired certificate", Kind.HARD,
        (Fault("authentica", "", tls="expired"),),
    ),
    Scenario(
        "silent", "The main gateway accepts everything and delivers nothing", Kind.SILENT, _main("swallow"),
        calm=60.0, broken=150.0, healing=150.0,
    ),
    Scenario(
        "half", "The main gateway delivers every second message", Kind.SILENT, _main("half"),
        calm=60.0, broken=180.0, healing=150.0,
    ),
    Scenario(
        "two-of-three", "Two gateways of three are down (WhatsApp)", Kind.HARD,
        (Fault("meta", "unauthorized", {"on": "any"}), Fault("twilio", "unavailable")), channel="whatsapp",
    ),
    Scenario(
        "all-down", "Every gateway is down", Kind.ALL_DOWN,
        (Fault("authentica", "unavailable"), Fault("twilio", "unavailable")), broken=45.0, healing=45.0,
    ),
)  # fmt: skip
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
