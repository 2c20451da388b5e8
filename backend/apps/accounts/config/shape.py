"""What the environment decides, as one frozen value. It must not know where the texts come from, nor Django."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from apps.accounts import messages
from apps.accounts.codes import CodeKey
from apps.accounts.prices import PriceTable
from apps.accounts.prices import load as load_prices


class ConfigurationError(Exception):
    """The configuration cannot be used; `faults` says everything that is wrong, by variable name."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("The configuration has faults:\n" + "\n".join(f"  - {fault}" for fault in faults))


@dataclass(frozen=True, slots=True)
class Route:
    """`region` is ISO 3166 or `*`, `channel` is empty for both."""

    region: str
    channel: str
    gateways: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class TestNumber:
    e164: str
    code: str
    until: date | None


@dataclass(frozen=True, slots=True, repr=False)
class Config:
    """Everything that the environment decides. Secrets are here, so it never prints itself."""

    values: Mapping[str, Any]
    code_keys: tuple[CodeKey, ...]
    routes: tuple[Route, ...]
    test_numbers: tuple[TestNumber, ...]
    admin_tokens: tuple[tuple[str, str], ...]  # (operator's name, token)
    twilio_webhook_keys: tuple[tuple[str, str], ...]
    country_spend_limits: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    # The settings that hot paths read, as attributes.
    debug: bool = False
    secret_key: str = ""
    app_name: str = ""
    public_base_url: str = ""
    processes: int = 1
    expiry_seconds: int = 600
    send_limit: int = 3
    send_window_seconds: int = 3600
    cooldown_seconds: int = 60
    max_attempts: int = 5
    max_failures_per_day: int = 20
    global_per_minute: int = 600
    global_failures_per_minute: int = 300
    ip_limit: int = 5
    device_limit: int = 5
    risk_window_seconds: int = 3600
    ip_failures_limit: int = 30
    allow_signup: bool = True
    allowed_countries: frozenset[str] = frozenset()
    phone_min_digits: int = 10
    provider_timeout: float = 4.0
    send_deadline: float = 9.0
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    prices: PriceTable = field(default_factory=load_prices)
    texts: messages.TextOptions = field(default_factory=lambda: messages.TextOptions(app_name=""))

    def __repr__(self) -> str:
        return "Config(…)"

    def __getitem__(self, name: str) -> Any:
        """Return the read value of the variable `name`."""
        return self.values[name]
