"""The one place that names concrete gateways: builds those that the configuration describes.

It must not know Django, nor who calls the gateways and in which order.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from apps.accounts.providers.authentica import Authentica, AuthenticaMint, AuthenticaSettings
from apps.accounts.providers.base import Provider
from apps.accounts.providers.console import Console
from apps.accounts.providers.twilio import Twilio
from apps.accounts.providers.twilio_audit import TwilioSettings
from apps.accounts.providers.whatsapp import WhatsApp, WhatsAppSecrets
from apps.accounts.providers.whatsapp_audit import WhatsAppSettings

NAMES: Final = ("console", "authentica", "twilio", "whatsapp")
# Connections kept to each gateway: one for every thread that may wait on it, and never fewer than this.
_FEWEST_CONNECTIONS: Final = 100


def build(
    values: Mapping[str, Any],
    *,
    public_base_url: str,
    webhook_keys: Sequence[tuple[str, str]],
    outbox: Callable[..., Any],
    timeout: float,
) -> dict[str, Provider]:
    """Return a gateway for each one that `values`, by variable name, configures; `timeout` is seconds a call.

    `outbox(to, channel=, text=, code=, sent_at=)` keeps what the console gateway shows; that gateway exists with
    DEBUG only. OTP_WHATSAPP_TEMPLATE_APPROVED=False shuts the channel WhatsApp at every gateway.

    Raises:
        ValueError: AUTHENTICA_CA_BUNDLE cannot be read as certificates.
    """
    connections = max(_FEWEST_CONNECTIONS, int(values["OTP_GATEWAY_THREADS"]))
    found: dict[str, Provider] = {}
    if values["DEBUG"]:
        found["console"] = Console(outbox, whatsapp=values["OTP_WHATSAPP_TEMPLATE_APPROVED"])
    if values["AUTHENTICA_API_KEY"]:
        found["authentica"] = _authentica(values, timeout=timeout, connections=connections)
    if values["TWILIO_ENABLED"] and values["TWILIO_ACCOUNT_SID"] and values["TWILIO_AUTH_TOKEN"]:
        found["twilio"] = Twilio(
            _twilio_settings(values),
            timeout=timeout,
            connections=connections,
            webhook_keys=webhook_keys,
            public_base_url=public_base_url,
        )
    if values["WHATSAPP_TOKEN"] and values["WHATSAPP_PHONE_NUMBER_ID"] and values["WHATSAPP_TEMPLATE_NAME"]:
        found["whatsapp"] = WhatsApp(
            _whatsapp_settings(values),
            secrets=WhatsAppSecrets(values["WHATSAPP_APP_SECRET"], values["WHATSAPP_VERIFY_TOKEN"]),
            timeout=timeout,
            connections=connections,
            public_base_url=public_base_url,
        )
    return found


def _authentica(values: Mapping[str, Any], *, timeout: float, connections: int) -> Provider:
    settings = AuthenticaSettings(
        api_key=values["AUTHENTICA_API_KEY"],
        base_url=values["AUTHENTICA_BASE_URL"],
        mode=values["AUTHENTICA_MODE"],
        template_id=values["AUTHENTICA_TEMPLATE_ID"],
        whatsapp_template_id=values["AUTHENTICA_WHATSAPP_TEMPLATE_ID"],
        whatsapp_open=values["OTP_WHATSAPP_TEMPLATE_APPROVED"],
        sender_name=values["AUTHENTICA_SENDER_NAME"],
        verify_ttl_seconds=values["AUTHENTICA_VERIFY_TTL_SECONDS"],
        min_balance=values["AUTHENTICA_MIN_BALANCE"],
        ca_bundle=values["AUTHENTICA_CA_BUNDLE"],
    )
    kind = AuthenticaMint if settings.mode == "verify" else Authentica
    try:
        return kind(settings, timeout=timeout, connections=connections)
    except OSError as error:
        raise ValueError("AUTHENTICA_CA_BUNDLE cannot be read as certificates") from error


def _twilio_settings(values: Mapping[str, Any]) -> TwilioSettings:
    return TwilioSettings(
        account_sid=values["TWILIO_ACCOUNT_SID"],
        auth_token=values["TWILIO_AUTH_TOKEN"],
        phone_number=values["TWILIO_PHONE_NUMBER"],
        messaging_service_sid=values["TWILIO_MESSAGING_SERVICE_SID"],
        whatsapp_from=values["TWILIO_WHATSAPP_FROM"],
        content_sid=values["TWILIO_CONTENT_SID"],
        whatsapp_open=values["OTP_WHATSAPP_TEMPLATE_APPROVED"],
        base_url=values["TWILIO_BASE_URL"],
        min_balance=values["TWILIO_MIN_BALANCE"],
    )


def _whatsapp_settings(values: Mapping[str, Any]) -> WhatsAppSettings:
    return WhatsAppSettings(
        token=values["WHATSAPP_TOKEN"],
        phone_number_id=values["WHATSAPP_PHONE_NUMBER_ID"],
        business_account_id=values["WHATSAPP_BUSINESS_ACCOUNT_ID"],
        template_name=values["WHATSAPP_TEMPLATE_NAME"],
        template_approved=values["OTP_WHATSAPP_TEMPLATE_APPROVED"],
        api_version=values["WHATSAPP_API_VERSION"],
        base_url=values["WHATSAPP_BASE_URL"],
    )
