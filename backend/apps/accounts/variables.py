"""Every environment variable of the service: its name, its default, one line about it, and how its text is read.

`.env.example` and docs/configuration.md are generated from this table. It must not know Django.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

from phonenumbers import SUPPORTED_REGIONS

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", re.ASCII)


class Unreadable(ValueError):
    """The text cannot be read as what the variable holds; the message never repeats the text."""


def text(raw: str) -> str:
    """Read any text without control characters."""
    if any(ord(char) < 32 or ord(char) == 127 for char in raw):
        raise Unreadable("must not hold control characters")
    return raw


def boolean(raw: str) -> bool:
    """Read 1/0, true/false, yes/no."""
    lowered = raw.strip().lower()
    if lowered in {"1", "true", "yes"}:
        return True
    if lowered in {"0", "false", "no"}:
        return False
    raise Unreadable("must be one of 1, 0, true, false, yes, no")


def whole(low: int, high: int = 10_000_000) -> Callable[[str], int]:
    """Return a reader of whole numbers from `low` to `high`."""

    def read(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", raw.strip(), re.ASCII) or not low <= int(raw) <= high:
            raise Unreadable(f"must be a whole number from {low} to {high}")
        return int(raw)

    return read


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Return a reader of seconds, fractions allowed, from `low` to `high`."""

    def read(raw: str) -> float:
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", raw.strip(), re.ASCII) or not low <= float(raw) <= high:
            raise Unreadable(f"must be seconds from {low:g} to {high:g}")
        return float(raw)

    return read


def money(raw: str) -> float:
    """Read a non-negative amount."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,4})?", raw.strip(), re.ASCII):
        raise Unreadable("must be an amount such as 250 or 12.50")
    return float(raw)


def listed(raw: str) -> tuple[str, ...]:
    """Read a comma-separated list."""
    return tuple(part.strip() for part in text(raw).split(",") if part.strip())


def regions(raw: str) -> tuple[str, ...]:
    """Read a comma-separated list of ISO 3166 regions."""
    found = tuple(part.upper() for part in listed(raw))
    if any(part not in SUPPORTED_REGIONS for part in found):
        raise Unreadable("must be ISO 3166 region codes such as SA,AE")
    return found


def origins(raw: str) -> tuple[str, ...]:
    """Read a comma-separated list of browser origins; `*` would let every page call in a person's name."""
    found = listed(raw)
    if any(not _ORIGIN.fullmatch(part) for part in found):
        raise Unreadable("must be origins such as https://app.example.com, without a path")
    return found


def store(*schemes: str, example: str) -> Callable[[str], str]:
    """Return a reader of a store's address with one of `schemes`; empty is none."""

    def read(raw: str) -> str:
        address = text(raw).strip()
        if address and _scheme(address) not in schemes:
            raise Unreadable(f"must look like {example}")
        return address

    return read


def _scheme(address: str) -> str:
    """Return the scheme of an address whose port can be read, or nothing."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return ""
    return parts.scheme if "://" in address else ""


def networks(raw: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read a comma-separated list of CIDR blocks."""
    try:
        return tuple(ip_network(part, strict=False) for part in listed(raw))
    except ValueError as error:
        raise Unreadable("must be CIDR blocks such as 10.0.0.0/8,fd00::/8") from error


def one_of(*names: str) -> Callable[[str], str]:
    """Return a reader of one word out of `names`."""

    def read(raw: str) -> str:
        word = raw.strip().lower()
        if word not in names:
            raise Unreadable("must be one of " + ", ".join(names))
        return word

    return read


def url(raw: str) -> str:
    """Read an address: https, or http to loopback only. The trailing slash is dropped."""
    if not _scheme(raw.strip()):
        raise Unreadable("must be an https address")
    parts = urlsplit(raw.strip())
    loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if not parts.hostname or parts.scheme not in {"http", "https"} or parts.username or parts.fragment:
        raise Unreadable("must be an https address")
    if parts.scheme == "http" and not loopback:
        raise Unreadable("plain http is allowed to loopback only")
    return raw.strip().rstrip("/")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. `default` is text as it would stand in the file; `secret` values are never shown."""

    name: str
    default: str
    about: str
    read: Callable[[str], Any] = text
    secret: bool = False
    section: str = ""


def _section(title: str, *variables: Variable) -> tuple[Variable, ...]:
    return tuple(Variable(v.name, v.default, v.about, v.read, v.secret, title) for v in variables)


V = Variable
_DATABASE = store("postgres", "postgresql", "pgsql", "sqlite", example="postgres://user:password@host:5432/name")
_REDIS = store("redis", "rediss", "unix", example="redis://host:6379/0")

VARIABLES: tuple[Variable, ...] = (
    *_section(
        "Service",
        V("SECRET_KEY", "", "keys of kept answers and private keys; 32+ characters with DEBUG=False", secret=True),
        V("DEBUG", "False", "development: console provider, handset page, HS256 tokens; never in production", boolean),
        V("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]", "host names this service answers to", listed),
        V("PORT", "8000", "port to listen on", whole(1, 65535)),
        V("HOST", "127.0.0.1", "address to listen on (containers: 0.0.0.0)"),
        V("WEB_CONCURRENCY", "", "server processes of this host; empty: max(2, cores)"),
        V("DATABASE_URL", "", "postgres://user:password@host:5432/name; empty: SQLite in backend/var", _DATABASE, True),
        V("DATABASE_POOL_MAX", "16", "PostgreSQL connections per process", whole(1, 500)),
        V("REDIS_URL", "", "redis://host:6379/0; empty: in-process cache", _REDIS, True),
        V("OTP_MEMORY_FALLBACK", "True", "without Redis: limits in process memory; False: sends answer 503", boolean),
        V("PUBLIC_BASE_URL", "", "public https address of this service, for provider callbacks and their signatures"),
        V("TRUSTED_PROXY_CIDRS", "", "proxies whose X-Forwarded-For is believed", networks),
        V("CORS_ALLOWED_ORIGINS", "", "browser origins that may call the API", origins),
        V("APP_NAME", "Salon", "the name in the message text and on the staff pages"),
        V("APP_VERSION", "", "what is running; a change shows on the dashboard as a deployment"),
        V("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR", one_of("debug", "info", "warning", "error")),
    ),
    *_section(
        "Route",
        V("OTP_PROVIDER", "console", "first gateway", one_of("console", "authentica", "twilio", "whatsapp")),
        V("OTP_FALLBACK_PROVIDERS", "", "the gateways after it, in order", listed),
        V("OTP_ROUTES", "", "per region and, if said, channel: SA/whatsapp=whatsapp,twilio;SA=authentica;*=twilio"),
        V("OTP_PROVIDER_TIMEOUT_SECONDS", "4", "wall clock of one gateway call", seconds(0.1, 30)),
        V("OTP_SEND_DEADLINE_SECONDS", "9", "wall clock of one request, all gateways together", seconds(0.1, 60)),
        V("OTP_GATEWAY_THREADS", "128", "calls to gateways that one process lets wait at a time", whole(1, 1000)),
    ),
    *_section(
        "Codes",
        V("OTP_SECRET", "", "keys the codes; 32 characters or more with DEBUG=False", secret=True),
        V("OTP_SECRET_PREVIOUS", "", "the former OTP_SECRET, or the next one, while it is being changed", secret=True),
        V("OTP_EXPIRY_MINUTES", "10", "life of a code", whole(1, 10)),
        V("OTP_WEB_DOMAIN", "", "adds the line @domain #code that browsers fill in from"),
        V("OTP_ANDROID_APP_HASH", "", "adds the 11 characters that Android SMS Retriever looks for"),
        V("OTP_TEST_NUMBERS", "", "+1234567890:123456@2027-01-31,…: fixed code until then, nothing sent", secret=True),
        V("OTP_DISCLOSE_NEW_USER", "False", "is_new_user in the answer to request (says who has an account)", boolean),
    ),
    *_section(
        "Limits (0 switches a send limit or the cooldown off)",
        V("OTP_MAX_PER_WINDOW", "3", "sends per phone and window", whole(0)),
        V("OTP_WINDOW_MINUTES", "60", "that window", whole(1, 10080)),
        V("OTP_RESEND_COOLDOWN_SECONDS", "60", "between two sends to one phone", whole(0, 86400)),
        V("OTP_MAX_ATTEMPTS", "5", "wrong codes per challenge, and per code for calls by phone alone", whole(1, 100)),
        V("OTP_MAX_FAILURES_PER_DAY", "20", "wrong codes per phone and lane in trailing 24 hours", whole(1, 90)),
        V("OTP_GLOBAL_MAX_PER_MINUTE", "600", "sends of the whole service", whole(0)),
        V("OTP_GLOBAL_MAX_FAILURES_PER_MINUTE", "300", "wrong codes of the whole service before the alarm", whole(1)),
        V("PHONE_AUTH_IP_MAX_PER_WINDOW", "5", "sends per client IP (IPv6: per /64, four times it per /48)", whole(0)),
        V("PHONE_AUTH_DEVICE_MAX_PER_WINDOW", "5", "sends per device", whole(0)),
        V("PHONE_AUTH_RISK_WINDOW_MINUTES", "60", "window of the two above and of wrong codes per IP", whole(1, 10080)),
        V("PHONE_AUTH_IP_MAX_FAILURES_PER_WINDOW", "30", "wrong codes per client IP over all numbers", whole(1)),
        V("PHONE_AUTH_ALLOW_SIGNUP", "True", "an unknown number opens an account", boolean),
        V("OTP_ALLOWED_COUNTRIES", "", "regions that may be texted, such as SA,AE; empty: all", regions),
        V("PHONE_MIN_DIGITS", "10", "fewest digits of a number", whole(7, 15)),
    ),
    *_section(
        "Pumping guard and proof before a send",
        V("OTP_GUARD_MODE", "observe", "observe only records what it would stop", one_of("observe", "enforce")),
        V("OTP_DAILY_SPEND_LIMIT", "0", "money per day for all countries; 0: no budget", money),
        V("OTP_COUNTRY_SPEND_LIMITS", "", "money per day and country: SA=200,*=20"),
        V("OTP_PRICE_TABLE", "", "a CSV file of region,channel,price that replaces the one shipped"),
        V("OTP_PROOF_PROVIDER", "off", "ask for a proof before a send", one_of("off", "turnstile", "recaptcha")),
        V("OTP_PROOF_SECRET", "", "the proof service's secret", secret=True),
        V("OTP_PROOF_URL", "", "address of the proof service; empty: its public one"),
        V("OTP_PROOF_WHEN", "risk", "always, or only at risk", one_of("always", "risk")),
        V("OTP_PROOF_COUNTRIES", "", "regions that are asked; empty: all", regions),
        V("OTP_PROOF_ON_ERROR", "allow", "what a proof service that is down means", one_of("allow", "refuse")),
    ),
    *_section(
        "Accounts and tokens",
        V("ACCOUNT_DEFAULT_ROLE", "customer", "role of a new account"),
        V("ACCOUNT_DORMANT_DAYS", "180", "silence after which a number may have a new owner", whole(1, 36500)),
        V("RECYCLED_HOLD_HOURS", "72", "wait before a dormant account opens without a known device", whole(1, 8760)),
        V("ACCOUNT_ERASURE_DAYS", "30", "until a deleted account's data is erased", whole(0, 3650)),
        V("REFRESH_REUSE_GRACE_SECONDS", "3600", "how long a lost refresh can be asked again", whole(0, 86400)),
        V("JWT_ISSUER", "salon-api", "`iss` of the tokens"),
        V("JWT_AUDIENCE", "salon-app", "`aud` of the tokens"),
    ),
    *_section(
        "Operators",
        V("ADMIN_TOKEN", "", "the operators' token; 32 characters or more with DEBUG=False", secret=True),
        V("ADMIN_TOKENS", "", "name:token,… so that the audit trail names who", secret=True),
        V("ADMIN_READOUT_MAX_PER_HOUR", "20", "read-out codes per operator", whole(1, 1000)),
        V("METRICS_TOKEN", "", "bearer token of /metrics", secret=True),
    ),
    *_section(
        "Authentica",
        V("AUTHENTICA_API_KEY", "", "portal.authentica.sa, Applications (quote it: it holds $)", secret=True),
        V("AUTHENTICA_BASE_URL", "https://api.authentica.sa/api/v2", "address of the API", url),
        V(
            "AUTHENTICA_MODE",
            "otp",
            "otp: our code in their template; sms: our text; verify: their code",
            one_of("otp", "sms", "verify"),
        ),
        V("AUTHENTICA_TEMPLATE_ID", "", "template of the SMS"),
        V("AUTHENTICA_WHATSAPP_TEMPLATE_ID", "", "template of the WhatsApp message; empty: no WhatsApp by Authentica"),
        V("AUTHENTICA_SENDER_NAME", "", "registered sender name (mode sms and notices)"),
        V("AUTHENTICA_VERIFY_TTL_SECONDS", "120", "how long Authentica keeps a code it made", whole(30, 600)),
        V("AUTHENTICA_MIN_BALANCE", "100", "credits below which the audit warns", whole(0)),
        V("AUTHENTICA_CA_BUNDLE", "", "file of trusted certificates; empty: the usual ones"),
    ),
    *_section(
        "Twilio",
        V("TWILIO_ENABLED", "True", "False takes Twilio out of every route", boolean),
        V("TWILIO_ACCOUNT_SID", "", "AC… and 32 hex digits"),
        V("TWILIO_AUTH_TOKEN", "", "auth token", secret=True),
        V("TWILIO_WEBHOOK_KEYS", "", "id:secret,… shared keys of signed webhooks", secret=True),
        V("TWILIO_PHONE_NUMBER", "", "sender number or name"),
        V("TWILIO_MESSAGING_SERVICE_SID", "", "MG… instead of a sender number"),
        V("TWILIO_WHATSAPP_FROM", "", "WhatsApp sender, E.164"),
        V("TWILIO_CONTENT_SID", "", "HX… content template of the WhatsApp message"),
        V("TWILIO_BASE_URL", "https://api.twilio.com", "address of the API", url),
        V("TWILIO_MIN_BALANCE", "10", "money below which the audit warns", whole(0)),
    ),
    *_section(
        "Meta WhatsApp",
        V("WHATSAPP_TOKEN", "", "system user token", secret=True),
        V("WHATSAPP_PHONE_NUMBER_ID", "", "id of the sending number"),
        V("WHATSAPP_BUSINESS_ACCOUNT_ID", "", "id of the business account"),
        V("WHATSAPP_APP_SECRET", "", "signs webhooks", secret=True),
        V("WHATSAPP_VERIFY_TOKEN", "", "answers the webhook handshake", secret=True),
        V("WHATSAPP_TEMPLATE_NAME", "", "authentication template"),
        V("WHATSAPP_API_VERSION", "v23.0", "Graph API version"),
        V("WHATSAPP_BASE_URL", "https://graph.facebook.com", "address of the API", url),
        V("OTP_WHATSAPP_TEMPLATE_APPROVED", "False", "the template is approved; False shuts the channel", boolean),
        V("OTP_WHATSAPP_RATE_LIMIT_DOC", "", "address of the policy shown in the status"),
    ),
)

BY_NAME: dict[str, Variable] = {variable.name: variable for variable in VARIABLES}
