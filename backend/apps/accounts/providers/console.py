"""The development gateway: the message goes to the handset page and to the developer's own screen.

It must not know who keeps messages, and it must never be built outside development: it shows codes on purpose.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

from apps.accounts.providers.base import Carries, Channel, Order, Receipt, Unavailable


class Console:
    """Gives every message to `record(to, channel=, text=, code=, sent_at=)` and prints it on standard error.

    `whatsapp` lets it stand in for WhatsApp as well.
    """

    name = "console"
    carries = frozenset({Carries.CODE, Carries.TEXT})

    def __init__(self, record: Callable[..., Any], *, whatsapp: bool = False, screen: TextIO | None = None) -> None:
        self._record = record
        self._channels = frozenset(Channel) if whatsapp else frozenset({Channel.SMS})
        self._screen = screen

    def channels(self) -> frozenset[Channel]:
        """Return SMS, and WhatsApp where the configuration opens it."""
        return self._channels

    def send(self, order: Order) -> Receipt:
        """Show the message.

        Raises:
            Unavailable: it could not be kept, or the deadline has passed.
        """
        if order.seconds_left() <= 0 or not self._kept(order):
            raise Unavailable("outbox")
        screen = self._screen or sys.stderr
        # The code on this screen is what the gateway is for; the number is not.
        print(f"[{order.channel} to …{order.to[-4:]}] {' / '.join(order.text.splitlines())}", file=screen, flush=True)
        return Receipt()

    def _kept(self, order: Order) -> bool:
        try:
            self._record(
                order.to, channel=str(order.channel), text=order.text, code=order.code, sent_at=datetime.now(UTC)
            )
        except OSError:
            return False
        return True
