"""Posts receipts beside the sending, bounded and in the order of each message's story; knows no vendor's words."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from fakegateways.config import HouseConfig, MetaConfig, ReceiptPlan
from fakegateways.dialect import Dialect, Letter, Persistence
from fakegateways.ledger import Entry, Posted
from fakegateways.signatures import origin_of

WORKERS: Final = 32
PENDING_LIMIT: Final = 20_000
Job = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Batch:
    """Statuses that wait to leave in one webhook."""

    dialect: Dialect
    plan: ReceiptPlan
    url: str
    items: list[tuple[Entry, str]] = field(default_factory=list)


@dataclass(slots=True)
class Postman:
    """Everything on its way to the service. At most `PENDING_LIMIT` receipts wait; more are dropped and counted."""

    house: HouseConfig
    meta: MetaConfig
    dice: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    pending: int = 0
    _queue: asyncio.Queue[Job] = field(default_factory=asyncio.Queue)
    _workers: list[asyncio.Task[None]] = field(default_factory=list)
    _session: aiohttp.ClientSession | None = None
    _batch: _Batch | None = None
    _trusted: dict[str, ssl.SSLContext] = field(default_factory=dict)

    async def start(self) -> None:
        """Open the outgoing connections and set the workers going."""
        connector = aiohttp.TCPConnector(limit=WORKERS * 2)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._workers = [asyncio.create_task(self._work(self._queue)) for _ in range(WORKERS)]

    async def stop(self) -> None:
        """Stop posting; what has not left is lost."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def forget(self) -> None:
        """Drop whatever has not left yet and begin to count anew."""
        self._batch = None
        self.pending = 0
        self.counts.clear()
        for worker in self._workers:
            worker.cancel()
        # A new queue, because timers that are still running put their jobs into the old one, where nobody looks.
        self._queue = asyncio.Queue()
        self._workers = [asyncio.create_task(self._work(self._queue)) for _ in self._workers]

    def follow(self, entry: Entry, dialect: Dialect, plan: ReceiptPlan) -> Job | None:
        """Arrange the receipts of an accepted message.

        Return what must be awaited before the answer leaves when the plan says so, else None.
        """
        url = dialect.callback_url(entry)
        story = dialect.story(plan)
        if not url or not story:
            return None
        if plan.before_answer:
            return lambda: self._tell_at_once(entry, dialect, plan, story, url)
        self._later(plan.delay_seconds, lambda: self._tell(entry, dialect, plan, story, url))
        return None

    async def post_now(
        self, entries: Sequence[tuple[Entry, str]], dialect: Dialect, plan: ReceiptPlan, *, url: str = "", batch: bool
    ) -> list[Posted]:
        """Post chosen receipts at once, one by one or in one webhook, and return how each was answered."""
        target = url or dialect.callback_url(entries[0][0])
        groups = [list(entries)] if batch else [[one] for one in entries]
        posted = []
        for group in groups:
            posted.extend(await self._post_copies(group, dialect, plan, target))
        return posted

    async def fetch(self, url: str, *, params: dict[str, str]) -> tuple[int, str]:
        """Call an address of the service by GET and return its status and text; 0 when nothing answered."""
        assert self._session is not None
        target, host = self._route(url)
        try:
            timeout = aiohttp.ClientTimeout(total=15)
            async with self._session.get(
                target, params=params, headers=host, timeout=timeout, allow_redirects=False, ssl=self._trust()
            ) as answer:
                return answer.status, (await answer.text(errors="replace"))[:10_000]
        except (aiohttp.ClientError, TimeoutError) as problem:
            return 0, type(problem).__name__

    def _later(self, seconds: float, job: Job) -> None:
        if self.pending >= PENDING_LIMIT:
            self.counts["dropped"] += 1
            return
        self.pending += 1
        asyncio.get_running_loop().call_later(seconds, self._queue.put_nowait, job)

    async def _work(self, queue: asyncio.Queue[Job]) -> None:
        while True:
            job = await queue.get()
            try:
                await job()
            except Exception as problem:
                self.counts[f"broken:{type(problem).__name__}"] += 1
            finally:
                if queue is self._queue:
                    self.pending -= 1

    async def _tell(self, entry: Entry, dialect: Dialect, plan: ReceiptPlan, story: Sequence[str], url: str) -> None:
        if dialect.vendor == "meta" and self.meta.batch_size > 1:
            self._put_in_batch(entry, dialect, plan, story, url)
            return
        await self._post_copies([(entry, story[0])], dialect, plan, url)
        if len(story) > 1:
            self._later(plan.gap_seconds, lambda: self._tell(entry, dialect, plan, story[1:], url))

    async def _tell_at_once(
        self, entry: Entry, dialect: Dialect, plan: ReceiptPlan, story: Sequence[str], url: str
    ) -> None:
        for status in story:
            await self._post_copies([(entry, status)], dialect, plan, url)

    def _put_in_batch(self, entry: Entry, dialect: Dialect, plan: ReceiptPlan, story: Sequence[str], url: str) -> None:
        if self._batch is None:
            batch = self._batch = _Batch(dialect, plan, url)
            self._later(self.meta.batch_window_seconds, lambda: self._flush(batch))
        self._batch.items.extend((entry, status) for status in story)
        if len(self._batch.items) >= self.meta.batch_size:
            full = self._batch
            self._later(0, lambda: self._flush(full))
            self._batch = None

    async def _flush(self, batch: _Batch) -> None:
        if self._batch is batch:
            self._batch = None
        items, batch.items = batch.items, []
        if items:
            await self._post_copies(items, batch.dialect, batch.plan, batch.url)

    async def _post_copies(
        self, group: list[tuple[Entry, str]], dialect: Dialect, plan: ReceiptPlan, url: str
    ) -> list[Posted]:
        letter = dialect.letter(group, plan, url)
        patience = dialect.persistence(url)
        posted = []
        for _ in range(max(1, plan.copies)):
            posted.append(await self._post(group, letter, patience, attempt=0))
        return posted

    async def _post(
        self, group: list[tuple[Entry, str]], letter: Letter, patience: Persistence, *, attempt: int
    ) -> Posted:
        answer, kind = await self._exchange(letter, patience)
        self.counts["posted"] += 1
        self.counts[f"answer:{answer or kind}"] += 1
        now = time.time()
        posted = Posted("+".join(status for _, status in group[:5]), now, answer, letter.genuine)
        for entry, status in group:
            entry.receipts.append(Posted(status, now, answer, letter.genuine))
        if kind in patience.on and attempt < patience.retries:
            self.counts["retried"] += 1
            token = {"I-Twilio-Idempotency-Token": f"{self.dice.getrandbits(128):032x}"}
            again = letter if attempt else replace(letter, headers={**token, **letter.headers})
            self._later(
                patience.first_gap_seconds * 2**attempt, lambda: self._post_again(group, again, patience, attempt + 1)
            )
        return posted

    async def _post_again(
        self, group: list[tuple[Entry, str]], letter: Letter, patience: Persistence, attempt: int
    ) -> None:
        await self._post(group, letter, patience, attempt=attempt)

    async def _exchange(self, letter: Letter, patience: Persistence) -> tuple[int, str]:
        """Post once; return the status (0 for none) and the kind of failure as Twilio names it, empty for success."""
        assert self._session is not None
        target, host = self._route(letter.url)
        timeout = aiohttp.ClientTimeout(total=patience.total_seconds, connect=patience.connect_seconds)
        headers = {**letter.headers, **host}
        try:
            async with self._session.post(
                target, data=letter.body, headers=headers, timeout=timeout, allow_redirects=False, ssl=self._trust()
            ) as answer:
                await answer.read()
                return answer.status, "" if answer.status < 300 else f"{answer.status // 100}xx"
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
            return 0, "ct"
        except (aiohttp.ClientError, TimeoutError):
            return 0, "rt"

    def _route(self, url: str) -> tuple[URL, dict[str, str]]:
        """Return where the socket goes and, when that is not what the URL says, the Host it would have had."""
        bare = url.partition("#")[0]
        origin = self.house.connect_callbacks_to
        if not origin:
            return URL(bare, encoded=True), {}
        rest = bare[len(origin_of(bare)) :]
        return URL(origin.rstrip("/") + rest, encoded=True), {"Host": urlsplit(bare).netloc}

    def _trust(self) -> ssl.SSLContext:
        file = self.house.callback_ca_file
        if file not in self._trusted:
            context = ssl.create_default_context()
            if file:
                context.load_verify_locations(file)
            self._trusted[file] = context
        return self._trusted[file]
