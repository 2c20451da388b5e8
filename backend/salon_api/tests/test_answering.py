"""The threads that answer: few where few are needed, never more than allowed, and none is ever lost."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from salon_api.answering import Pool, Reply


@dataclass
class Wire:
    """What the server's protocol object takes."""

    replies: list[Reply] = field(default_factory=list)
    broken: bool = False

    def response_bytes(self, *reply: Any) -> None:
        if self.broken:
            raise RuntimeError("gone")
        self.replies.append(reply)


def run(act: Callable[[Pool], Awaitable[None]], *, answer: Callable[[dict[str, Any]], Reply], threads: int) -> None:
    async def inside() -> None:
        await act(Pool(answer, threads=threads, loop=asyncio.get_running_loop(), crashed=lambda _: (500, [], b"")))

    asyncio.run(asyncio.wait_for(inside(), 120))


def test_one_call_after_the_other_is_answered_by_one_thread() -> None:
    seen: set[int] = set()

    def answer(_: dict[str, Any]) -> Reply:
        seen.add(threading.get_ident())
        return 200, [], b""

    async def act(pool: Pool) -> None:
        for _ in range(20):
            wire = Wire()
            await pool.submit({}, wire)
            assert wire.replies == [(200, [], b"")]
            while not pool._idle:  # a busy machine may stop the thread between its reply and its rest
                await asyncio.sleep(0.001)

    run(act, answer=answer, threads=8)
    assert len(seen) == 1


def test_many_calls_share_the_threads_there_are_and_all_are_answered() -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def answer(environ: dict[str, Any]) -> Reply:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.002)
        with lock:
            inside -= 1
        return 200, [], str(environ["n"]).encode()

    async def act(pool: Pool) -> None:
        wires = [Wire() for _ in range(300)]
        await asyncio.gather(*(pool.submit({"n": n}, wire) for n, wire in enumerate(wires)))
        assert [wire.replies for wire in wires] == [[(200, [], str(n).encode())] for n in range(300)]

    run(act, answer=answer, threads=4)
    assert most == 4


def test_an_answer_that_crashes_is_a_problem_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def answer(environ: dict[str, Any]) -> Reply:
        if environ:
            raise ValueError("bug")
        return 200, [], b""

    async def act(pool: Pool) -> None:
        crashed, fine = Wire(), Wire()
        await pool.submit({"crash": True}, crashed)
        assert crashed.replies[0][0] == 500
        await pool.submit({}, fine)
        assert fine.replies[0][0] == 200

    run(act, answer=answer, threads=1)


def test_a_reply_that_nobody_takes_costs_no_thread() -> None:
    async def act(pool: Pool) -> None:
        await pool.submit({}, Wire(broken=True))
        fine = Wire()
        await pool.submit({}, fine)
        assert fine.replies == [(200, [], b"")]

    run(act, answer=lambda _: (200, [], b""), threads=1)


def test_a_reply_is_out_before_the_loop_wakes_again() -> None:
    async def act(pool: Pool) -> None:
        wire = Wire()
        future = pool.submit({}, wire)
        for _ in range(12_000):  # the loop stands still meanwhile
            if wire.replies:
                break
            time.sleep(0.005)
        assert wire.replies == [(200, [], b"")]
        assert not future.done()
        await future

    run(act, answer=lambda _: (200, [], b""), threads=1)


def test_a_thread_that_the_host_cannot_spare_is_made_later(monkeypatch: pytest.MonkeyPatch) -> None:
    start, spare, both = threading.Thread.start, [1], threading.Barrier(2)

    def if_spared(thread: threading.Thread) -> None:
        if not spare[0]:
            raise RuntimeError("can't start new thread")
        spare[0] -= 1
        start(thread)

    def answer(environ: dict[str, Any]) -> Reply:
        if environ:
            both.wait(timeout=20)
        return 200, [], b""

    async def act(pool: Pool) -> None:
        wires = [Wire() for _ in range(6)]
        await asyncio.gather(*[pool.submit({}, wire) for wire in wires])
        spare[0] = 1
        together = [Wire(), Wire()]
        await asyncio.gather(*[pool.submit({"meet": True}, wire) for wire in together])
        assert all(wire.replies == [(200, [], b"")] for wire in wires + together)

    monkeypatch.setattr(threading.Thread, "start", if_spared)
    run(act, answer=answer, threads=2)
