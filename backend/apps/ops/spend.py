"""What messages cost, by the operator's price table, beside what may be spent. Pure.

It must not know how messages are counted, nor what happens when a budget is used up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.accounts.config import Config
from apps.accounts.prices import as_money

Carried = Mapping[tuple[str, str], int]  # how many messages by channel and country


@dataclass(frozen=True, slots=True)
class Spend:
    """Money in the price table's currency. A limit of 0 is none."""

    window: float
    today: float
    limit: float
    countries: tuple[tuple[str, float, float], ...]  # country, today, its limit; dearest first

    def as_json(self) -> dict[str, Any]:
        """Return the members of the dashboard's `spend`."""
        return {
            "window": self.window,
            "today": self.today,
            "daily_limit": self.limit,
            "countries": [
                {"country": country, "today": today, "daily_limit": limit} for country, today, limit in self.countries
            ],
        }


def spend(*, window: Carried, today: Carried, config: Config) -> Spend:
    """Return what the messages of the window and of the day (UTC) cost."""
    prices, limits = config.prices, config.country_spend_limits
    by_country: dict[str, int] = {}
    for (channel, country), count in today.items():
        by_country[country] = by_country.get(country, 0) + count * prices.of(country, channel)
    rows = [
        (country, as_money(cost), limits.get(country, limits.get("*", 0.0)))
        for country, cost in sorted(by_country.items(), key=lambda item: (-item[1], item[0]))
    ]
    return Spend(
        window=as_money(sum(count * prices.of(country, channel) for (channel, country), count in window.items())),
        today=as_money(sum(by_country.values())),
        limit=float(config["OTP_DAILY_SPEND_LIMIT"]),
        countries=tuple(rows),
    )
