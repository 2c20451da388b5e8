"""The service's standing in the words of contract section 5. It must not know HTTP, nor hold anything personal."""

from typing import Any, Final

from apps.accounts.config import Config
from apps.accounts.services.limits import StoreState
from apps.ops.board import Board, GatewayState, Standing

REDIS_WORDS: Final = {
    StoreState.REDIS: "redis connected",
    StoreState.MEMORY_FALLBACK: "memory fallback",
    StoreState.UNAVAILABLE: "Redis unavailable",
    StoreState.NONE: "not configured",
}
_STORES: Final = {
    StoreState.REDIS: "redis",
    StoreState.MEMORY_FALLBACK: "memory",
    StoreState.UNAVAILABLE: "none",
    StoreState.NONE: "memory",
}


def status(board: Board) -> dict[str, Any]:
    """Return the status object."""
    standing, config = board.standing(), board.services.config
    return {
        "status": standing.level.value,
        "redis": REDIS_WORDS[standing.store],
        "database": _database(standing),
        "rateLimits": _rate_limits(config, standing.store),
        "providers": [_gateway(gateway) for gateway in standing.gateways],
        "whatsapp": {
            "templateApproved": config["OTP_WHATSAPP_TEMPLATE_APPROVED"] and standing.templates_approved,
            "rateLimitDoc": config["OTP_WHATSAPP_RATE_LIMIT_DOC"],
        },
    }


def readiness(board: Board) -> tuple[bool, dict[str, Any]]:
    """Say whether this process can serve, and why: cache and gateways are told, and decide nothing."""
    standing = board.standing()
    return standing.ready, {
        "status": "ready" if standing.ready else "not ready",
        "database": _database(standing),
        "migrations": ("applied" if standing.migrated else "missing") if standing.database else "unknown",
        "code_secret": _code_secret(standing),
        "redis": REDIS_WORDS[standing.store],
        "providers": [{"name": gateway.name, "state": gateway.state} for gateway in standing.gateways],
    }


def _database(standing: Standing) -> str:
    return "connected" if standing.database else "unavailable"


def _code_secret(standing: Standing) -> str:
    if not standing.database:
        return "unknown"
    return "differs" if standing.secret_differs else "shared"


def _rate_limits(config: Config, store: StoreState) -> dict[str, Any]:
    risk_window = config.risk_window_seconds
    return {
        "store": _STORES[store],
        "phone": {"limit": config.send_limit, "window_seconds": config.send_window_seconds},
        "ip": {"limit": config.ip_limit, "window_seconds": risk_window},
        "device": {"limit": config.device_limit, "window_seconds": risk_window},
        "cooldown_seconds": config.cooldown_seconds,
    }


def _gateway(gateway: GatewayState) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": gateway.name,
        "channels": list(gateway.channels),
        "state": gateway.state,
        "primary": gateway.primary,
    }
    if gateway.audit is not None:
        shown["audit"] = {"finding": gateway.audit.finding, "at": gateway.audit.at.isoformat()}
    return shown
