"""Reads every variable, collects every fault, and makes the configuration of what is left. It must not know Django."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from apps.accounts import messages
from apps.accounts.codes import CodeKey
from apps.accounts.config import compound
from apps.accounts.config.shape import Config, ConfigurationError, Route
from apps.accounts.prices import BadPriceTable, PriceTable
from apps.accounts.prices import load as load_prices
from apps.accounts.variables import BY_NAME, VARIABLES, Unreadable, url

DEVELOPMENT_SECRET: Final = "development-only-secret-key-that-production-refuses"
DEVELOPMENT_OTP_SECRET: Final = "development-only-otp-secret-that-production-refuses"
_DEFAULTS: Final = frozenset({DEVELOPMENT_SECRET, DEVELOPMENT_OTP_SECRET, "change-me", "changeme"})
assert len(BY_NAME) == len(VARIABLES)


class Reader:
    """Collects faults while it reads; no fault ever repeats a value."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self.values: dict[str, Any] = {}

    def fault(self, name: str, reason: str) -> None:
        self.faults.append(f"{name} {reason}")

    def config(self) -> Config:
        for variable in VARIABLES:
            raw = self.environ.get(variable.name, "") or variable.default
            try:
                self.values[variable.name] = variable.read(raw)
            except Unreadable as error:
                self.fault(variable.name, str(error))
                self.values[variable.name] = variable.read(variable.default)
        debug = bool(self.values["DEBUG"])
        if debug:
            self.values["SECRET_KEY"] = self.values["SECRET_KEY"] or DEVELOPMENT_SECRET
            self.values["OTP_SECRET"] = self.values["OTP_SECRET"] or DEVELOPMENT_OTP_SECRET
        config = self._assemble(debug)
        self._serve_callbacks()
        self._check_providers()
        self._check_proof()
        if not debug:
            self._check_production()
        if self.faults:
            raise ConfigurationError(sorted(set(self.faults)))
        return replace(config, warnings=tuple(self.warnings))

    def _assemble(self, debug: bool) -> Config:
        v = self.values  # Long because it names each attribute once.
        texts = messages.TextOptions(
            app_name=v["APP_NAME"], web_domain=v["OTP_WEB_DOMAIN"], android_app_hash=v["OTP_ANDROID_APP_HASH"]
        )
        self.faults.extend(messages.check_options(texts))
        if v["PUBLIC_BASE_URL"]:
            try:
                v["PUBLIC_BASE_URL"] = url(v["PUBLIC_BASE_URL"])
            except Unreadable as error:
                self.fault("PUBLIC_BASE_URL", str(error))
        else:
            self.warnings.append("PUBLIC_BASE_URL is not set: no delivery receipts are asked for")
        if v["OTP_PROVIDER_TIMEOUT_SECONDS"] > v["OTP_SEND_DEADLINE_SECONDS"]:
            self.fault("OTP_PROVIDER_TIMEOUT_SECONDS", "must not exceed OTP_SEND_DEADLINE_SECONDS")
        secrets = [v["OTP_SECRET"], v["OTP_SECRET_PREVIOUS"]]
        return Config(
            values=v,
            code_keys=tuple(CodeKey(secret.encode()) for secret in secrets if secret),
            routes=self._routes(),
            test_numbers=compound.test_numbers(v["OTP_TEST_NUMBERS"], self.fault, debug=debug),
            admin_tokens=self._admin_tokens(),
            twilio_webhook_keys=self._pairs("TWILIO_WEBHOOK_KEYS"),
            country_spend_limits=compound.country_spend_limits(v["OTP_COUNTRY_SPEND_LIMITS"], self.fault),
            debug=debug,
            secret_key=v["SECRET_KEY"],
            app_name=v["APP_NAME"],
            public_base_url=v["PUBLIC_BASE_URL"],
            processes=self._processes(),
            expiry_seconds=v["OTP_EXPIRY_MINUTES"] * 60,
            send_limit=v["OTP_MAX_PER_WINDOW"],
            send_window_seconds=v["OTP_WINDOW_MINUTES"] * 60,
            cooldown_seconds=v["OTP_RESEND_COOLDOWN_SECONDS"],
            max_attempts=v["OTP_MAX_ATTEMPTS"],
            max_failures_per_day=v["OTP_MAX_FAILURES_PER_DAY"],
            global_per_minute=v["OTP_GLOBAL_MAX_PER_MINUTE"],
            global_failures_per_minute=v["OTP_GLOBAL_MAX_FAILURES_PER_MINUTE"],
            ip_limit=v["PHONE_AUTH_IP_MAX_PER_WINDOW"],
            device_limit=v["PHONE_AUTH_DEVICE_MAX_PER_WINDOW"],
            risk_window_seconds=v["PHONE_AUTH_RISK_WINDOW_MINUTES"] * 60,
            ip_failures_limit=v["PHONE_AUTH_IP_MAX_FAILURES_PER_WINDOW"],
            allow_signup=v["PHONE_AUTH_ALLOW_SIGNUP"],
            allowed_countries=frozenset(v["OTP_ALLOWED_COUNTRIES"]),
            phone_min_digits=v["PHONE_MIN_DIGITS"],
            provider_timeout=v["OTP_PROVIDER_TIMEOUT_SECONDS"],
            send_deadline=v["OTP_SEND_DEADLINE_SECONDS"],
            trusted_proxies=v["TRUSTED_PROXY_CIDRS"],
            prices=self._prices(),
            texts=texts,
        )

    def _prices(self) -> PriceTable:
        name = str(self.values["OTP_PRICE_TABLE"])
        try:
            return load_prices(Path(name)) if name else load_prices()
        except BadPriceTable as error:
            self.fault("OTP_PRICE_TABLE", str(error))
            return load_prices()

    def _serve_callbacks(self) -> None:
        """Serve the host that receipts come to, or the door would turn every one of them away."""
        host, served = _host(self.values["PUBLIC_BASE_URL"]), self.values["ALLOWED_HOSTS"]
        if host and not compound.is_served(host, served):
            self.values["ALLOWED_HOSTS"] = (*served, host)

    def _check_proof(self) -> None:
        if self.values["OTP_PROOF_PROVIDER"] != "off":
            self._need(f"{self.values['OTP_PROOF_PROVIDER']} proof", "OTP_PROOF_SECRET")
        if self.values["OTP_PROOF_URL"]:
            try:
                self.values["OTP_PROOF_URL"] = url(self.values["OTP_PROOF_URL"])
            except Unreadable as error:
                self.fault("OTP_PROOF_URL", str(error))

    def _processes(self) -> int:
        raw = str(self.values["WEB_CONCURRENCY"]).strip()
        if not raw:
            return max(2, os.cpu_count() or 1)
        if not re.fullmatch(r"[0-9]{1,3}", raw, re.ASCII) or int(raw) < 1:
            self.fault("WEB_CONCURRENCY", "must be a whole number from 1 to 999")
            return 1
        return int(raw)

    def _admin_tokens(self) -> tuple[tuple[str, str], ...]:
        named = list(self._pairs("ADMIN_TOKENS"))
        if self.values["ADMIN_TOKEN"]:
            named.append(("operator", self.values["ADMIN_TOKEN"]))
        return tuple(named)

    def _pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        return compound.pairs(name, str(self.values[name]), self.fault)

    def _routes(self) -> tuple[Route, ...]:
        return compound.routes(str(self.values["OTP_ROUTES"]), self.values["OTP_FALLBACK_PROVIDERS"], self.fault)

    def _named_gateways(self) -> set[str]:
        named = {self.values["OTP_PROVIDER"], *self.values["OTP_FALLBACK_PROVIDERS"]}
        for route in self._routes():
            named.update(route.gateways)
        return named

    def _check_providers(self) -> None:
        v, named = self.values, self._named_gateways()
        if "authentica" in named:
            self._need("authentica gateway", "AUTHENTICA_API_KEY")
            if v["AUTHENTICA_MODE"] == "sms":
                self._need("authentica gateway", "AUTHENTICA_SENDER_NAME")
            for name in ("AUTHENTICA_TEMPLATE_ID", "AUTHENTICA_WHATSAPP_TEMPLATE_ID"):
                if v[name] and not re.fullmatch(r"[0-9]{1,9}", v[name], re.ASCII):
                    self.fault(name, "must be a whole number")
        if "twilio" in named and v["TWILIO_ENABLED"]:
            self._need("twilio gateway", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN")
            if v["TWILIO_ACCOUNT_SID"] and not re.fullmatch(r"AC[0-9a-fA-F]{32}", v["TWILIO_ACCOUNT_SID"], re.ASCII):
                self.fault("TWILIO_ACCOUNT_SID", "must be AC and 32 hex digits")
            if not (v["TWILIO_PHONE_NUMBER"] or v["TWILIO_MESSAGING_SERVICE_SID"] or v["TWILIO_WHATSAPP_FROM"]):
                self.fault("TWILIO_PHONE_NUMBER", "or TWILIO_MESSAGING_SERVICE_SID is needed by the twilio gateway")
        if "whatsapp" in named:
            self._need("whatsapp gateway", "WHATSAPP_TOKEN", "WHATSAPP_PHONE_NUMBER_ID", "WHATSAPP_TEMPLATE_NAME")

    def _need(self, user: str, *names: str) -> None:
        for name in names:
            if not self.values[name]:
                self.fault(name, f"is needed by the {user}")

    def _check_production(self) -> None:
        v = self.values
        for name in ("SECRET_KEY", "OTP_SECRET"):
            self._strong(name, v[name])
        if v["ADMIN_TOKEN"]:
            self._strong("ADMIN_TOKEN", v["ADMIN_TOKEN"])
        for _, token in self._pairs("ADMIN_TOKENS"):
            self._strong("ADMIN_TOKENS", token)
        if "console" in self._named_gateways() and not any(one.startswith("OTP_PROVIDER ") for one in self.faults):
            self.fault("OTP_PROVIDER", "(or a route) must not be console with DEBUG=False")
        if not v["REDIS_URL"]:
            self.fault("REDIS_URL", "is needed with DEBUG=False: limits in one process's memory are no limits")
        if "*" in v["ALLOWED_HOSTS"]:
            self.fault("ALLOWED_HOSTS", "must not hold * with DEBUG=False")
        if not v["DATABASE_URL"] or v["DATABASE_URL"].startswith("sqlite"):
            self.warnings.append("DATABASE_URL is SQLite: one writer at a time, no row locks")

    def _strong(self, name: str, secret: str) -> None:
        if not secret or secret in _DEFAULTS:
            self.fault(name, "must be set to a secret of its own with DEBUG=False")
        elif len(secret.strip()) < 32:
            self.fault(name, "must have 32 characters or more with DEBUG=False")


def _host(address: str) -> str:
    """Return the host of an address as a request spells it, empty where none can be read."""
    try:
        host = (urlsplit(address).hostname or "").rstrip(".")
        return f"[{host}]" if ":" in host else host.encode("idna").decode()
    except ValueError:
        return ""
