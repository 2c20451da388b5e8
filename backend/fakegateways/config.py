"""Everything about the three vendors that a test, a drill or a runbook may change while they run; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, get_type_hints

from fakegateways.signatures import Forgery


class Vendor(StrEnum):
    """The three gateways."""

    AUTHENTICA = "authentica"
    TWILIO = "twilio"
    META = "meta"


class Receipts(StrEnum):
    """The story that the receipts of one message tell."""

    NONE = "none"
    DELIVERED = "delivered"
    READ = "read"
    SENT_ONLY = "sent_only"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    OUT_OF_ORDER = "out_of_order"


@dataclass(frozen=True, slots=True)
class ReceiptPlan:
    """How receipts are posted: their story, seconds before the first and between two, and what is wrong with them.

    A story that says *failed* keeps the message from the handset, unless `arrives_anyway`.
    """

    mode: Receipts = Receipts.DELIVERED
    error_code: int | None = None
    delay_seconds: float = 0.05
    gap_seconds: float = 0.05
    copies: int = 1
    before_answer: bool = False
    forgery: Forgery = Forgery.NONE
    shared_key: str = ""
    without_recipient: bool = False
    age_seconds: float = 0.0
    arrives_anyway: bool = False

    @property
    def says_arrived(self) -> bool:
        """Tell whether a person who believes these receipts expects the message on the handset."""
        return self.mode not in (Receipts.UNDELIVERED, Receipts.FAILED)


@dataclass(frozen=True, slots=True)
class Template:
    """One WhatsApp template of the fake business account."""

    name: str
    language: str
    status: str = "APPROVED"
    category: str = "AUTHENTICATION"
    id: str = "300000000000001"


@dataclass(slots=True)
class AuthenticaConfig:
    """The account at Authentica. The balance is a text, as the live service was seen to answer."""

    api_key: str = "fake-authentica-key"
    balance: str = "91.00"
    balance_is_number: bool = False
    honours_own_code: bool = True
    mint_ttl_seconds: float = 120.0
    mint_length: int = 6


@dataclass(slots=True)
class TwilioConfig:
    """The account at Twilio. `shared_keys` are id to secret; a receipt names one when the plan does."""

    account_sid: str = "AC" + "0" * 32
    auth_token: str = "fake-twilio-token"
    api_keys: dict[str, str] = field(default_factory=dict)
    shared_keys: dict[str, str] = field(default_factory=lambda: {"fake-shared-key": "fake-shared-secret"})
    account_status: str = "active"
    balance: str = "91.00"
    phone_number: str = "+15005550006"
    messaging_service_sid: str = "MG" + "0" * 32
    test_credentials: bool = False
    errors_by_suffix: bool = False
    content_statuses: dict[str, str] = field(default_factory=dict)
    receipts: ReceiptPlan = ReceiptPlan()


@dataclass(slots=True)
class MetaConfig:
    """The WhatsApp business account. Without a webhook URL no receipts are posted."""

    token: str = "fake-meta-token"
    token_is_valid: bool = True
    app_secret: str = "fake-meta-secret"
    phone_number_id: str = "100000000000001"
    business_account_id: str = "200000000000001"
    verify_token: str = "fake-verify-token"
    webhook_url: str = ""
    display_phone_number: str = "966500000000"
    quality_rating: str = "GREEN"
    templates: list[Template] = field(
        default_factory=lambda: [
            Template("otp_code", "ar", id="300000000000001"),
            Template("otp_code", "en", id="300000000000002"),
            Template("otp_ar", "ar", id="300000000000003"),
            Template("otp_en", "en", id="300000000000004"),
        ]
    )
    batch_size: int = 1
    batch_window_seconds: float = 0.2
    pair_limit_seconds: float = 0.0
    retries: int = 3
    receipts: ReceiptPlan = ReceiptPlan()


@dataclass(slots=True)
class HouseConfig:
    """The process itself. `connect_callbacks_to` is an origin: the socket goes there, the signed URL stays
    the given one. `callback_ca_file` is an authority to trust besides the usual ones when a callback is https."""

    connect_callbacks_to: str = ""
    callback_ca_file: str = ""


@dataclass(slots=True)
class Config:
    """The four parts together."""

    authentica: AuthenticaConfig = field(default_factory=AuthenticaConfig)
    twilio: TwilioConfig = field(default_factory=TwilioConfig)
    meta: MetaConfig = field(default_factory=MetaConfig)
    house: HouseConfig = field(default_factory=HouseConfig)


class BadConfig(ValueError):
    """A change that names an unknown setting or gives a value of the wrong type."""


def apply(config: Config, changes: Mapping[str, Any]) -> None:
    """Change settings in place; all of the changes or none. Raises `BadConfig`."""
    staged: list[tuple[object, str, Any]] = []
    for part, values in changes.items():
        section = getattr(config, part, None) if part in {one.name for one in fields(config)} else None
        if section is None or not isinstance(values, Mapping):
            raise BadConfig(f"there is no part called {part}")
        known = get_type_hints(type(section))
        for name, value in values.items():
            if name not in known:
                raise BadConfig(f"{part} has no setting called {name}")
            staged.append((section, name, _convert(f"{part}.{name}", value, getattr(section, name))))
    for section, name, value in staged:
        setattr(section, name, value)


def restore(config: Config) -> None:
    """Set everything back to what it is at the start, in place."""
    fresh = Config()
    for part in fields(Config):
        present, usual = getattr(config, part.name), getattr(fresh, part.name)
        for one in fields(usual):
            setattr(present, one.name, getattr(usual, one.name))


def plan_from(values: Mapping[str, Any], *, base: ReceiptPlan) -> ReceiptPlan:
    """Return the plan with some of its values changed. Raises `BadConfig`."""
    known = {one.name for one in fields(ReceiptPlan)}
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise BadConfig(f"a receipt plan has no value called {name}")
        changed[name] = _convert(f"receipts.{name}", value, getattr(base, name))
    return replace(base, **changed)


def _convert(where: str, value: Any, present: Any) -> Any:
    if isinstance(present, ReceiptPlan):
        return plan_from(_mapping(where, value), base=present)
    if isinstance(present, StrEnum):
        try:
            return type(present)(value)
        except ValueError as problem:
            raise BadConfig(f"{where} must be one of {', '.join(type(present))}") from problem
    if where == "meta.templates":
        return _templates(value)
    if isinstance(present, dict):
        return {str(key): str(one) for key, one in _mapping(where, value).items()}
    if where.endswith(".error_code"):
        return None if value is None else _number(where, value, int)
    if isinstance(present, bool):
        if not isinstance(value, bool):
            raise BadConfig(f"{where} must be true or false")
        return value
    if isinstance(present, int | float):
        return _number(where, value, type(present))
    if not isinstance(value, str):
        raise BadConfig(f"{where} must be a text")
    return value


def _number(where: str, value: Any, kind: type) -> Any:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value < 0
        or (kind is int and value != int(value))
    ):
        raise BadConfig(f"{where} must be a number that is not negative")
    return kind(value)


def _mapping(where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadConfig(f"{where} must be an object")
    return value


def _templates(value: Any) -> list[Template]:
    known = {one.name for one in fields(Template)}
    if not isinstance(value, list) or not all(isinstance(one, Mapping) and set(one) <= known for one in value):
        raise BadConfig(f"meta.templates must be a list of objects with {', '.join(sorted(known))}")
    try:
        return [Template(**{str(key): str(text) for key, text in one.items()}) for one in value]
    except TypeError as problem:
        raise BadConfig("every template needs a name and a language") from problem
