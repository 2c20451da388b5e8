"""WhatsApp's template: what the vendor says of it opens and shuts the channel."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from apps.accounts.models import TemplateState
from apps.accounts.providers.auditing import fault, note, ok, warning
from apps.accounts.providers.base import AuditLine
from apps.accounts.tests.hearing import PUBLIC, HearingWhatsApp
from conftest import PHONE, Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, RESEND = "/api/auth/phone/request/", "/api/auth/phone/resend/"


@dataclass
class AuditedWhatsApp(HearingWhatsApp):
    """Says of its templates what it is told to say."""

    states: dict[str, str] = field(default_factory=lambda: {"en": "APPROVED", "ar": "APPROVED"})
    asked: int = 0

    def audit(self, *, deadline: float) -> Sequence[AuditLine]:
        self.asked += 1
        if not self.states:
            return [warning("template", "not to be read", "timeout")]
        lines = [note("callbacks", "…"), ok("template_en_body_sha256", "…", "0" * 64)]
        lines += [
            ok(f"template_{language}", "…", state) if state == "APPROVED" else fault(f"template_{language}", "…", state)
            for language, state in self.states.items()
        ]
        return lines


@pytest.fixture
def whatsapp() -> AuditedWhatsApp:
    return AuditedWhatsApp()


@pytest.fixture
def rooms(build_rooms: BuildRooms, whatsapp: AuditedWhatsApp) -> Rooms:
    return build_rooms(
        gateways=[RecordingGateway(), whatsapp], PUBLIC_BASE_URL=PUBLIC, OTP_WHATSAPP_TEMPLATE_APPROVED="True"
    )


def look(rooms: Rooms) -> None:
    rooms.services.templates.refresh(timeout=1)


def ask(api: Api, **headers: str) -> tuple[int, str]:
    answer = api.post(REQUEST, {"phone_number": PHONE, "channel": "whatsapp"}, **headers)
    return answer.status_code, answer.json().get("code", "")


def test_what_was_never_read_shuts_nothing(rooms: Rooms, api: Api) -> None:
    assert ask(api) == (200, "")


@pytest.mark.parametrize("state", ["PAUSED", "REJECTED", "DISABLED", "PENDING", "missing"])
def test_a_template_that_is_approved_in_no_language_shuts_the_channel(
    rooms: Rooms, api: Api, whatsapp: AuditedWhatsApp, state: str
) -> None:
    whatsapp.states = {"en": state, "ar": state}
    look(rooms)
    assert ask(api) == (422, "channel_unavailable")
    assert whatsapp.orders == []
    assert api.get("/otp/status").json()["whatsapp"]["templateApproved"] is False


def test_a_resend_that_names_no_channel_goes_out_by_sms_while_whatsapp_is_shut(
    rooms: Rooms, api: Api, whatsapp: AuditedWhatsApp
) -> None:
    asked = api.post(REQUEST, {"phone_number": PHONE, "channel": "whatsapp"}).json()
    whatsapp.states = {"en": "PAUSED", "ar": "PAUSED"}
    look(rooms)
    rooms.clock.advance(seconds=61)
    named = {"challenge_id": asked["challenge_id"]}
    assert api.post(RESEND, {**named, "channel": "whatsapp"}).json()["code"] == "channel_unavailable"
    answer = api.post(RESEND, named)
    assert (answer.status_code, answer.json()["challenge"]["channel"]) == (200, "sms")
    assert rooms.gateway.last_code == whatsapp.orders[-1].code


def test_a_template_that_is_approved_again_opens_it(rooms: Rooms, api: Api, whatsapp: AuditedWhatsApp) -> None:
    whatsapp.states = {"en": "PAUSED", "ar": "PAUSED"}
    look(rooms)
    whatsapp.states = {"en": "APPROVED", "ar": "APPROVED"}
    rooms.clock.advance(seconds=301)
    look(rooms)
    assert ask(api) == (200, "")
    assert api.get("/otp/status").json()["whatsapp"]["templateApproved"] is True


def test_a_language_that_is_not_approved_is_sent_in_the_other_one(
    rooms: Rooms, api: Api, whatsapp: AuditedWhatsApp
) -> None:
    whatsapp.states = {"en": "APPROVED", "ar": "PAUSED"}
    look(rooms)
    assert ask(api, accept_language="ar") == (200, "")
    assert [order.language for order in whatsapp.orders] == ["en"]


def test_a_vendor_that_cannot_be_asked_changes_nothing(rooms: Rooms, api: Api, whatsapp: AuditedWhatsApp) -> None:
    whatsapp.states = {}
    look(rooms)
    assert TemplateState.objects.count() == 0
    assert ask(api) == (200, "")


def test_what_was_read_an_hour_ago_shuts_nothing(rooms: Rooms, api: Api, whatsapp: AuditedWhatsApp) -> None:
    whatsapp.states = {"en": "PAUSED", "ar": "PAUSED"}
    look(rooms)
    rooms.clock.advance(seconds=3601)
    rooms.services.templates.forget()
    assert ask(api) == (200, "")


def test_the_vendor_is_asked_at_most_every_five_minutes(rooms: Rooms, whatsapp: AuditedWhatsApp) -> None:
    for _ in range(3):
        look(rooms)
    assert whatsapp.asked == 1
    rooms.clock.advance(seconds=301)
    look(rooms)
    assert whatsapp.asked == 2


def test_another_process_sees_it_within_seconds(rooms: Rooms, api: Api, build_rooms: BuildRooms) -> None:
    TemplateState.objects.create(provider="whatsapp", language="en", state="PAUSED", checked_at="2999-01-01T00:00:00Z")
    rooms.services.templates.forget()  # two seconds later
    assert ask(api) == (422, "channel_unavailable")


def test_an_audit_tells_at_once(rooms: Rooms, api: Api, whatsapp: AuditedWhatsApp) -> None:
    look(rooms)
    whatsapp.states = {"en": "PAUSED", "ar": "PAUSED"}
    rooms.services.gateway_audits.run()
    assert ask(api) == (422, "channel_unavailable")
