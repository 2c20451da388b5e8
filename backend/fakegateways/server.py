"""One process that is three vendors: routing, faults and life-cycle; the vendors' words are in their own files."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from typing import Final

from fakegateways import control, effects
from fakegateways.authentica import Authentica
from fakegateways.catalogue import Fault
from fakegateways.config import Config, Vendor
from fakegateways.dialect import Answered, Call, Dialect, as_json
from fakegateways.effects import Effect
from fakegateways.faults import FaultBook
from fakegateways.ledger import Ledger
from fakegateways.meta import Meta
from fakegateways.receipts import Postman
from fakegateways.twilio import Twilio
from fakegateways.wire import Connection, Exchange, Reply, Request, Traffic

LEDGER_LIMIT: Final = 50_000
_GUIDE: Final = (
    b"Fake gateways. Base URLs: /authentica/api/v2, /twilio, /meta. Orders: /_control/script, messages, receipt, "
    b"handshake, config, stats, reset.\n"
)


class Gateways:
    """The three vendors, the rules in force, the ledger and the postman, all on one event loop."""

    def __init__(self, config: Config | None = None, *, seed: int = 1, ledger_limit: int = LEDGER_LIMIT) -> None:
        self.config = config or Config()
        self.ledger = Ledger(ledger_limit)
        self.book = FaultBook(seed)
        self.traffic = Traffic()
        self.calls: Counter[str] = Counter()
        self.started = time.time()
        # Ids must not repeat between two runs, or a receipt of yesterday would meet a message of today.
        ids = random.Random()
        self.postman = Postman(self.config.house, self.config.meta, ids)
        self.dialects: dict[Vendor, Dialect] = {
            Vendor.AUTHENTICA: Authentica(self.config.authentica, ledger=self.ledger, dice=ids),
            Vendor.TWILIO: Twilio(self.config.twilio, ledger=self.ledger, dice=ids),
            Vendor.META: Meta(self.config.meta, ledger=self.ledger, dice=ids),
        }
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None) -> int:
        """Listen and return the port."""
        await self.postman.start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, host, port, ssl=tls, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every connection and stop."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.traffic.live):
            connection.close()
        await self.postman.stop()

    def reset(self) -> None:
        """Forget messages, rules, counts and whatever has not been posted; the configuration stays."""
        self.book.clear()
        self.ledger.clear()
        self.postman.forget()
        self.calls.clear()
        for dialect in self.dialects.values():
            dialect.forget()

    def answer(self, request: Request) -> Exchange:
        """Answer one request of a client of a vendor."""
        first, _, rest = request.path[1:].partition("/")
        if first not in self.dialects:
            return Exchange(Reply(200, _GUIDE, "text/plain") if request.path == "/" else _nothing_here())
        vendor = Vendor(first)
        dialect = self.dialects[vendor]
        call = dialect.read(request, f"/{rest}")
        if call is None:
            self.calls[f"{vendor}:unknown"] += 1
            return Exchange(dialect.at_status(404))
        self.calls[f"{vendor}:{call.endpoint}"] += 1
        rule = self.book.meet(vendor, operation=call.operation, phone=call.phone)
        if rule is None:
            return self._carry_out(dialect, call, effects.NONE)
        return self._carry_out(dialect, call, effects.of(rule, dialect, dice=self.book.random))

    def _carry_out(self, dialect: Dialect, call: Call, effect: Effect) -> Exchange:
        if not effect.accepted:
            assert effect.reply is not None
            dialect.note(call, effect.outcome, error=_error_of(effect))
            return Exchange(effect.reply, effect.manner)
        done: Answered = dialect.act(call, effect)
        first = None
        if done.entry is not None and done.plan is not None:
            first = self.postman.follow(done.entry, dialect, done.plan)
        return Exchange(effect.reply or done.reply, effect.manner, first)

    async def order(self, request: Request) -> Reply:
        """Answer one request of the control API."""
        return await control.answer(self, request)

    def _connection(self) -> Connection:
        return Connection(self.answer, later=self.order, traffic=self.traffic)


def _error_of(effect: Effect) -> str:
    if effect.fault is Fault.VENDOR_ERROR:
        return str(effect.param("code"))
    if effect.manner.cut_at == 0 or effect.reply is None:
        return ""
    return str(effect.reply.status)


def _nothing_here() -> Reply:
    return as_json(404, {"message": "No vendor has this address."})
