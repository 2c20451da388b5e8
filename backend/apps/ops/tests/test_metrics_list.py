"""The documents, alert rules and Grafana's dashboard name the metrics that are there, and no others."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.accounts import telemetry
from apps.accounts.models import GatewayAudit, SigningKey
from apps.accounts.services import gateway_health, statements
from apps.ops.gauges_login import _remembered_conversion
from conftest import Api, BuildRooms, Rooms

ROOT = Path(__file__).resolve().parents[4]
OPS = ROOT / "backend" / "apps" / "ops"
DOCUMENT = ROOT / "docs" / "metrics.md"
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
RULE_TESTS = ROOT / "deploy" / "prometheus" / "tests.yml"
GRAFANA = ROOT / "deploy" / "grafana" / "otp.json"


def defined() -> set[str]:
    """Return the names of all metrics, as the code spells them."""
    files = [Path(telemetry.__file__), OPS / "metrics.py", *OPS.glob("gauges*.py")]
    return {name for file in files for name in re.findall(r'"(otp_[a-z_]+)"', file.read_text(encoding="utf-8"))}


def exposed() -> set[str]:
    """Return the names of the series that can be asked for: a histogram has three."""
    histograms = {"otp_gateway_seconds", "otp_http_seconds"}
    return defined() - histograms | {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}


def named(expression: str) -> set[str]:
    return set(re.findall(r"\botp_[a-z_]+\b", expression))


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions(panel: Any) -> Iterator[str]:
    """Give every expression of a Grafana dashboard."""
    if isinstance(panel, dict):
        for key, value in panel.items():
            if key in {"expr", "query"} and isinstance(value, str):
                yield value
            yield from expressions(value)
    elif isinstance(panel, list):
        for one in panel:
            yield from expressions(one)


def test_the_document_lists_exactly_the_metrics_there_are() -> None:
    listed = re.findall(r"^\| `(otp_[a-z_]+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == defined()


def test_every_metric_of_an_alert_exists() -> None:
    for rule in rules():
        assert named(rule["expr"]) <= exposed(), rule.get("alert", rule.get("record"))


def test_every_metric_of_grafanas_dashboard_exists() -> None:
    dashboard = json.loads(GRAFANA.read_text(encoding="utf-8"))
    asked = [expression for expression in expressions(dashboard["panels"]) if named(expression)]
    assert len(asked) >= 15
    for expression in asked:
        assert named(expression) <= exposed(), expression


def test_every_alert_has_a_severity_a_plain_sentence_and_a_runbook() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) >= 15
    for rule in alerts:
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        summary = rule["annotations"]["summary"]
        assert re.match(r"[A-Z]|\{\{ \$labels\.provider \}\}", summary), rule["alert"]
        assert summary.endswith("."), rule["alert"]
        found = re.fullmatch(r"docs/runbooks/([a-z-]+)\.md", rule["annotations"]["runbook"])
        assert found is not None, rule["alert"]
        assert (ROOT / found[0]).is_file(), rule["alert"]


def test_every_alert_is_seen_to_fire_and_to_keep_quiet() -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for test in yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]:
        for case in test["alert_rule_test"]:
            (fires if case.get("exp_alerts") else quiet).add(case["alertname"])
    wanted = {rule["alert"] for rule in rules() if "alert" in rule}
    assert wanted - fires == set()
    assert wanted - quiet == set()


def test_every_alarm_is_there_from_the_start_so_that_its_first_time_is_seen() -> None:
    rooms = [*(ROOT / "backend" / "apps").rglob("services/*.py")]
    raised = {
        name for file in rooms for name in re.findall(r'\balarm\(\s*"([a-z_]+)"', file.read_text(encoding="utf-8"))
    }
    assert len(raised) >= 5
    chosen = set(gateway_health._ALARMS.values()) | {"all_gateways_fell", "conversion_fell", "gateway_demoted"}
    assert raised | chosen <= set(telemetry.ALARM_NAMES)


@pytest.fixture
def six_people(build_rooms: BuildRooms, api: Api) -> Rooms:
    """Six people asked three minutes ago, and every second one got in."""
    rooms = build_rooms(PHONE_AUTH_IP_MAX_PER_WINDOW="0")
    rooms.begin_a_stretch(3600)  # no midnight, at which the day's spending ends, lies in those three minutes
    for nth in range(6):
        phone = f"+96650123450{nth}"
        assert api.post("/api/auth/phone/request/", {"phone_number": phone}).status_code == 200
        if nth % 2:
            api.post("/api/auth/phone/verify/", {"phone_number": phone, "otp": rooms.gateway.last_code})
    rooms.clock.advance(seconds=180)
    _remembered_conversion.forget()
    return rooms


@pytest.mark.django_db(transaction=True)
def test_what_the_document_lists_is_what_a_scrape_gives(six_people: Rooms, api: Api) -> None:
    now = statements.now()
    GatewayAudit.objects.create(at=now, provider="twilio", finding="warning")
    SigningKey.objects.create(kid="k", algorithm="ES256", public="{}", private="", created_at=now, signs_from=now)
    text = api.get("/metrics").content.decode()
    described = set(re.findall(r"^# TYPE (otp_[a-z_]+) ", text, re.MULTILINE))
    assert {name for name in described if not name.endswith("_created")} == defined()
    for line in (
        'otp_gateway_audit_finding{provider="twilio"} 2.0',
        'otp_gateway_weight{channel="sms",provider="twilio"} 1.0',
        'otp_limit_decisions_total{decision="refused",scope="global"} 0.0',
    ):
        assert line in text.splitlines()
    assert 'otp_spend_today{country="SA"}' in text
    assert 'otp_http_answers_total{route="phone-request",status="200"}' in text


@pytest.mark.django_db(transaction=True)
def test_conversion_is_of_those_whose_time_to_log_in_has_passed(six_people: Rooms, api: Api) -> None:
    def ratio() -> list[str]:
        _remembered_conversion.forget()
        lines = api.get("/metrics").content.decode().splitlines()
        return [line for line in lines if line.startswith("otp_conversion_ratio{")]

    assert ratio() == ['otp_conversion_ratio{country="all"} 0.5', 'otp_conversion_ratio{country="SA"} 0.5']
    six_people.clock.advance(seconds=-120)  # they may still be typing
    assert ratio() == []
