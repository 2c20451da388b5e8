"""Which gateways could take a message to a region by a channel, in the configured order.

It must not know how they fare.
"""

from collections.abc import Callable, Mapping

from apps.accounts.config import Config
from apps.accounts.providers.base import Carries, Channel, Provider


class Routes:
    """Answers from the configuration and from what is known of templates. Thread-safe."""

    def __init__(
        self, *, config: Config, providers: Mapping[str, Provider], is_shut: Callable[[str], bool] = lambda name: False
    ) -> None:
        """Take the gateways, and who knows whether a gateway's WhatsApp template is not approved now."""
        self._config = config
        self._providers = providers
        self._is_shut = is_shut

    def route(self, region: str, channel: Channel, *, carries: Carries = Carries.CODE) -> tuple[str, ...]:
        """Return the gateways that could take a message of `channel` to `region`, in order; empty if none."""
        able = tuple(name for name in self._named(region, channel) if self.can(name, channel, carries))
        if channel is Channel.WHATSAPP and not able and self.can("whatsapp", channel, carries):
            able = ("whatsapp",)
        return able

    def can(self, name: str, channel: Channel, carries: Carries = Carries.CODE) -> bool:
        """Say whether the gateway is configured and carries such a message."""
        provider = self._providers.get(name)
        if provider is None or channel not in provider.channels():
            return False
        if channel is Channel.WHATSAPP and self._is_shut(name):
            return False
        return carries is not Carries.TEXT or Carries.TEXT in provider.carries

    def _named(self, region: str, channel: Channel) -> tuple[str, ...]:
        best: tuple[str, ...] | None = None
        rank = -1
        for route in self._config.routes:
            fits = route.region in (region, "*") and route.channel in ("", channel.value)
            weight = (2 if route.region == region else 0) + (1 if route.channel else 0)
            if fits and weight > rank:
                best, rank = route.gateways, weight
        if best is not None:
            return best
        return tuple(dict.fromkeys((self._config["OTP_PROVIDER"], *self._config["OTP_FALLBACK_PROVIDERS"])))
