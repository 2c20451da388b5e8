"""Gateways that fail after they accepted, and the words in which stories about them are told."""

from apps.accounts.models import Message
from apps.accounts.providers.base import Channel
from apps.accounts.tests.hearing import PUBLIC, Vendors
from conftest import PHONE, Api

REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"
BOTH = frozenset({Channel.SMS, Channel.WHATSAPP})
SETTINGS = {
    "PUBLIC_BASE_URL": PUBLIC,
    "OTP_FALLBACK_PROVIDERS": "authentica,console",
    "AUTHENTICA_API_KEY": "fake-authentica-key",
    "WHATSAPP_TOKEN": "token",
    "WHATSAPP_PHONE_NUMBER_ID": "1065",
    "WHATSAPP_TEMPLATE_NAME": "otp_code",
}


def ask(api: Api, **more: str) -> str:
    answer = api.post(REQUEST, {"phone_number": PHONE, **more})
    assert answer.status_code == 200, answer.content
    return str(answer.json()["challenge_id"])


def challenge_of(api: Api, challenge_id: str) -> dict[str, object]:
    found: dict[str, object] = api.get(f"/api/auth/phone/challenge/{challenge_id}/").json()
    return found


def fail(vendors: Vendors, message: Message, code: int = 30008) -> None:
    answer = vendors.twilio(message.vendor_id, "undelivered", reference=message.id, error_code=code)
    assert answer.status_code == 204


def first_message() -> Message:
    return Message.objects.order_by("created_at")[0]
