"""The fake gateways in a thread, for tests and drills of this interpreter; no HTTP needed to give orders."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from fakegateways import config as settings
from fakegateways import control
from fakegateways.server import Gateways
from fakegateways.tls import Certificate, make, server_context

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Received:
    """One call of a sending endpoint as the vendor saw it; `delivered` means that the handset really got it."""

    seq: int
    at: float
    vendor: str
    channel: str
    to: str
    code: str
    text: str
    endpoint: str
    outcome: str
    accepted: bool
    delivered: bool
    id: str
    auth_ok: bool
    error: str
    raw_fields: Mapping[str, Any]
    receipts: tuple[Mapping[str, Any], ...]


class FakeGateways:
    """Three vendors on an ephemeral port of 127.0.0.1; a context manager, or `start()` and `stop()`."""

    def __init__(
        self, *, port: int = 0, seed: int = 1, ledger_limit: int = 50_000, tls: Certificate | None = None
    ) -> None:
        self._gateways = Gateways(seed=seed, ledger_limit=ledger_limit)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-gateways", daemon=True)
        self._tls = tls
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._ca_file = ""
        self.port = port

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen and return when connections are taken."""
        self._thread.start()
        context = None
        if self._tls is not None:
            self._folder = tempfile.TemporaryDirectory(prefix="fakegateways-")
            files = make(self._tls, Path(self._folder.name))
            self._ca_file = str(files.authority)
            old = self._tls is Certificate.OLD_PROTOCOL
            context = server_context(files.chain, files.key, old_protocol=old)
        self.port = self._wait(self._gateways.start("127.0.0.1", self.port, tls=context))
        return self

    def stop(self) -> None:
        """Close every connection; from then on the port refuses."""
        self._wait(self._gateways.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def url(self) -> str:
        """Return the origin, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def authentica_url(self) -> str:
        """Return the value for AUTHENTICA_BASE_URL."""
        return f"{self.url}/authentica/api/v2"

    @property
    def twilio_url(self) -> str:
        """Return the value for TWILIO_BASE_URL."""
        return f"{self.url}/twilio"

    @property
    def meta_url(self) -> str:
        """Return the value for WHATSAPP_BASE_URL."""
        return f"{self.url}/meta"

    @property
    def ca_file(self) -> str:
        """Return the authority a client has to trust, empty without TLS."""
        return self._ca_file

    def script(
        self,
        vendor: str,
        fault: str,
        *,
        prefix: str = "",
        suffix: str = "",
        times: int | None = None,
        share: float = 1.0,
        **params: Any,
    ) -> int:
        """Put a fault in force and return the number of its rule. Raises `ValueError` for one that does not exist."""
        order: dict[str, Any] = {"vendor": vendor, "fault": fault, "prefix": prefix, "suffix": suffix}
        order |= {"times": times, "share": share, "params": params}
        return int(self._call(lambda: control.add_rule(self._gateways, order))["id"])

    def lift(self, vendor: str | None = None, *, rule: int | None = None) -> int:
        """Lift every rule, those of one vendor, or one; return how many went."""
        chosen = settings.Vendor(vendor) if vendor else None
        return self._call(lambda: self._gateways.book.clear(chosen, rule_id=rule))

    def messages(self, *, vendor: str = "", phone: str = "", since: int = 0) -> list[Received]:
        """Return what was received with a number above `since`, newest last."""
        query = {"vendor": vendor, "phone": phone, "since": str(since)}
        found = self._call(lambda: [entry.as_json() for entry in control.select(self._gateways, query)])
        return [Received(**(one | {"receipts": tuple(one["receipts"])})) for one in found]

    def wait_for_message(self, phone: str, *, since: int = 0, seconds: float = 60.0) -> Received:
        """Return the newest message that this phone's handset got, waiting for it. Raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        while True:
            got = [one for one in self.messages(phone=phone, since=since) if one.delivered]
            if got:
                return got[-1]
            if time.monotonic() > deadline:
                raise TimeoutError("no message reached this handset")
            time.sleep(0.01)

    def reset(self) -> None:
        """Forget messages, rules, counts and receipts that have not left; the configuration stays."""
        self._call(self._gateways.reset)

    def configure(self, **parts: Mapping[str, Any]) -> None:
        """Change settings, such as `meta={"webhook_url": …}`. Raises `ValueError` for one that does not exist."""
        self._call(lambda: settings.apply(self._gateways.config, parts))

    def restore(self) -> None:
        """Set everything back to what it is at the start: `reset()`, and every setting too."""
        self._call(lambda: settings.restore(self._gateways.config))
        self.reset()

    def send_receipt(
        self, vendor: str, *, id: str = "", phone: str = "", status: str = "delivered", **options: Any
    ) -> list[int]:
        """Post a receipt at once and return the HTTP status the service gave to each copy (0 for no answer).

        Options are those of `POST /_control/receipt`: error_code, copies, forgery, shared_key, statuses, ids, batch, …
        """
        order: dict[str, Any] = {"vendor": vendor, "status": status, **options}
        order |= {"id": id} if id else {}
        order |= {"phone": phone} if phone else {}
        return [int(one["answer"]) for one in self._wait(control.send_receipt(self._gateways, order))]

    def handshake(self, **options: Any) -> Mapping[str, Any]:
        """Do Meta's verification of the webhook and return `status`, `body` and `echoed`."""
        return self._wait(control.shake_hands(self._gateways, options))

    def stats(self) -> Mapping[str, Any]:
        """Return the counts."""
        return self._call(lambda: control.stats(self._gateways))

    def wait_for_receipts(self, *, seconds: float = 60.0) -> None:
        """Return when no receipt is on its way any more. Raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        while self.stats()["receipts_pending"]:
            if time.monotonic() > deadline:
                raise TimeoutError("receipts are still on their way")
            time.sleep(0.01)

    def drop_connections(self, seconds: float) -> None:
        """Reset every connection, and each new one before a request is read, for this long."""

        def drop() -> None:
            self._gateways.traffic.refuse_until = self._loop.time() + seconds
            for connection in list(self._gateways.traffic.live):
                connection.reset()

        self._call(drop)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def _call(self, work: Callable[[], T]) -> T:
        async def run() -> T:
            return work()

        return self._wait(run())
