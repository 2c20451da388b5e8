"""Who carries messages: what happens when the first gateway is gone, and who can carry a notice. It must not send."""

from collections.abc import Iterator

from apps.accounts.providers.base import Carries, Channel
from apps.accounts.services.wiring import Services
from apps.ops.doctor.findings import Finding, error, note, warning


def look(rooms: Services) -> Iterator[Finding]:
    """Say which routes hang on one gateway, and whether notices can leave."""
    yield from _routes(rooms)
    yield from _notices(rooms)
    if "console" in rooms.providers and rooms.config["OTP_PROVIDER"] == "console":
        yield warning("console_gateway", "OTP_PROVIDER=console prints codes and sends nothing: development only.")


def _regions(rooms: Services) -> list[str]:
    named = {route.region for route in rooms.config.routes} | set(rooms.config.allowed_countries) | {"*"}
    return sorted(named)


def _routes(rooms: Services) -> Iterator[Finding]:
    alone: dict[str, list[str]] = {}
    nowhere: list[str] = []
    for region in _regions(rooms):
        route = rooms.courier.route(region, Channel.SMS)
        if not route:
            nowhere.append(region)
        elif len(route) == 1:
            alone.setdefault(route[0], []).append(region)
    if nowhere:
        yield error("no_gateway", "No configured gateway carries SMS there: every login fails.", regions=nowhere)
    for gateway, regions in alone.items():
        yield warning(
            "no_fallback",
            f"SMS goes out by {gateway} alone: when it is down, out of credit or silently losing messages, nobody can "
            "log in. Name a second one in OTP_FALLBACK_PROVIDERS or OTP_ROUTES.",
            gateway=gateway,
            regions=regions,
        )
    if not nowhere and not alone:
        yield note("fallbacks", "Every SMS route has at least two gateways.")


def _notices(rooms: Services) -> Iterator[Finding]:
    able = [name for name, provider in rooms.providers.items() if Carries.TEXT in provider.carries]
    if able:
        yield note("notices", f"Notices to people (a changed number, a read-out code) go out by {', '.join(able)}.")
    else:
        yield warning(
            "no_notices",
            "No configured gateway carries free text, so people are not told when their number is changed or a code is "
            "read out for them; each such notice is an audit event and counted as unsent. Twilio, or Authentica with "
            "AUTHENTICA_SENDER_NAME, can.",
        )
