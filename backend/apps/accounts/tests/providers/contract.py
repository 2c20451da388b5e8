"""Every gateway in every mode as one table, and how to order from it: the contract's tests run over all rows.

It must not know the service around the gateways.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from apps.accounts.providers import registry
from apps.accounts.providers.base import LEAVES, Channel, Order, Provider, ProviderError
from apps.accounts.variables import VARIABLES
from fakegateways.handle import FakeGateways

PHONE: Final = "+966501234567"
CODE: Final = "048213"
TEXT: Final = f"{CODE} is your Salon code."
REFERENCE: Final = "9f0c1d2e3a4b5c6d"
CALLBACK: Final = "https://otp.example.test/api/webhooks/twilio/"
ACCOUNT: Final = "AC" + "0" * 32
SERVICE: Final = "MG" + "0" * 32
CONTENT: Final = "HX" + "0" * 32
SECRETS: Final = ("fake-authentica-key", "fake-twilio-token", "fake-meta-token", "fake-meta-secret")


@dataclass(frozen=True, slots=True)
class Case:
    """One gateway in one mode on one channel. `vendor` is its name at the fake gateways."""

    id: str
    provider: str
    vendor: str
    channel: Channel
    overrides: Mapping[str, Any] = field(default_factory=dict)
    gives_id: bool = True
    shows: str = CODE  # what must be found in what the vendor received; empty: the vendor makes the code


CASES: Final = (
    Case("authentica-otp", "authentica", "authentica", Channel.SMS, gives_id=False),
    Case("authentica-otp-whatsapp", "authentica", "authentica", Channel.WHATSAPP, gives_id=False),
    Case("authentica-sms", "authentica", "authentica", Channel.SMS, {"AUTHENTICA_MODE": "sms"}, gives_id=False),
    Case(
        "authentica-verify", "authentica", "authentica", Channel.SMS, {"AUTHENTICA_MODE": "verify"}, gives_id=False,
        shows="",
    ),
    Case("twilio-sms", "twilio", "twilio", Channel.SMS),
    Case("twilio-service", "twilio", "twilio", Channel.SMS, {"TWILIO_MESSAGING_SERVICE_SID": SERVICE}),
    Case("twilio-whatsapp", "twilio", "twilio", Channel.WHATSAPP),
    Case("whatsapp", "whatsapp", "meta", Channel.WHATSAPP),
)  # fmt: skip
BY_ID: Final = {case.id: case for case in CASES}
ONE_OF_EACH: Final = tuple(BY_ID[name] for name in ("authentica-otp", "twilio-sms", "whatsapp"))


def values(fakes: FakeGateways | None = None, **overrides: Any) -> dict[str, Any]:
    """Return the read values of all variables, with every gateway configured and pointed at the fakes."""
    found = {variable.name: variable.read(variable.default) for variable in VARIABLES}
    found |= {
        "DEBUG": True,
        "AUTHENTICA_API_KEY": "fake-authentica-key",
        "AUTHENTICA_TEMPLATE_ID": "31",
        "AUTHENTICA_WHATSAPP_TEMPLATE_ID": "11",
        "AUTHENTICA_SENDER_NAME": "Salon",
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": "fake-twilio-token",
        "TWILIO_PHONE_NUMBER": "+15005550006",
        "TWILIO_WHATSAPP_FROM": "+15005550006",
        "TWILIO_CONTENT_SID": CONTENT,
        "WHATSAPP_TOKEN": "fake-meta-token",
        "WHATSAPP_PHONE_NUMBER_ID": "100000000000001",
        "WHATSAPP_BUSINESS_ACCOUNT_ID": "200000000000001",
        "WHATSAPP_APP_SECRET": "fake-meta-secret",
        "WHATSAPP_VERIFY_TOKEN": "fake-verify-token",
        "WHATSAPP_TEMPLATE_NAME": "otp_code",
        "OTP_WHATSAPP_TEMPLATE_APPROVED": True,
    }
    if fakes is not None:
        found |= {
            "AUTHENTICA_BASE_URL": fakes.authentica_url,
            "TWILIO_BASE_URL": fakes.twilio_url,
            "WHATSAPP_BASE_URL": fakes.meta_url,
        }
    return found | overrides


def build(read: Mapping[str, Any], *, timeout: float = 30.0, **given: Any) -> dict[str, Provider]:
    """Return the gateways that these values configure."""
    usual: dict[str, Any] = {
        "public_base_url": "https://otp.example.test",
        "webhook_keys": [("fake-shared-key", "fake-shared-secret")],
        "outbox": lambda *args, **kwargs: None,
    }
    return registry.build(read, timeout=timeout, **(usual | given))


def gateway(case: Case, fakes: FakeGateways, *, timeout: float = 30.0, **overrides: Any) -> Provider:
    """Return the gateway of a case."""
    return build(values(fakes, **{**case.overrides, **overrides}), timeout=timeout)[case.provider]


def order(case: Case, **changes: Any) -> Order:
    """Return an order for a case: a code for one person, to be handed over within half a minute."""
    fields: dict[str, Any] = {
        "to": PHONE,
        "channel": case.channel,
        "text": TEXT,
        "code": CODE,
        "language": "ar",
        "reference": REFERENCE,
        "deadline": time.monotonic() + 30,
    }
    return Order(**(fields | changes))


def failure(provider: Provider, case: Case, **changes: Any) -> ProviderError:
    """Return the leaf with which a gateway refuses an order; a receipt, or any other error, fails the test."""
    with pytest.raises(ProviderError) as caught:
        provider.send(order(case, **changes))
    assert type(caught.value) in LEAVES
    return caught.value
