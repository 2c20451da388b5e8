"""One run of forgetting, step by step, within a time. It must not know what is forgotten."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from apps.accounts.services import statements
from apps.accounts.services.purging import BATCH, DAYS, Purging
from apps.accounts.services.wiring import Services
from apps.ops import slots

# Between two batches others get the disk.
_BREATH_SECONDS: Final = 0.01


def forget(
    services: Services,
    *,
    days: int = DAYS,
    batch: int = BATCH,
    max_seconds: float = float("inf"),
    tell: Callable[[str, int], None] = lambda name, count: None,
) -> dict[str, int]:
    """Forget what is older than `days`; return how many rows of each kind. `tell` hears of each batch."""
    until = time.monotonic() + max_seconds
    now = statements.now() + services.clock.offset
    slots.catch_up(now - timedelta(days=days), now=now, until=until)  # the sums outlive the rows
    counts: dict[str, int] = {}
    purging = Purging(
        config=services.config, clock=services.clock, idempotency=services.idempotency, erasure=services.erasure,
        days=days, batch=batch,
    )  # fmt: skip
    for step in purging.steps():
        counts[step.name] = 0
        while time.monotonic() < until:
            gone = statements.retried(step.batch)  # an erasure and a purge beside it may wait for each other
            if not gone:
                break
            counts[step.name] += gone
            tell(step.name, gone)
            time.sleep(_BREATH_SECONDS)
    return counts
