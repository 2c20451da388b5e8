"""The gateway sink and the client speak over a real socket."""

import asyncio
import json

import pytest

from bench.client import Connection, connect, http_message
from bench.sink import GatewaySink


async def send(connection: Connection, *, phone: str, code: str) -> bytes:
    body = json.dumps({"method": "sms", "phone": phone, "template_id": 1, "otp": code}).encode()
    reply = await connection.call(http_message("POST", "/api/v2/send-otp", body=body), timeout=5)
    assert reply.status == 200
    return reply.body


async def with_sink(sink: GatewaySink) -> Connection:
    await sink.start()
    return await connect(sink.port)


def test_a_code_is_accepted_in_the_vendors_words_and_handed_out_once() -> None:
    async def story() -> None:
        sink = GatewaySink()
        connection = await with_sink(sink)
        answer = json.loads(await send(connection, phone="+966501234567", code="012345"))
        assert answer == {"success": True, "data": None, "message": "OTP send successfully"}
        assert await sink.take("+966501234567") == "012345"
        with pytest.raises(TimeoutError):
            await sink.take("+966501234567", timeout=0.05)
        await sink.stop()

    asyncio.run(story())


def test_one_who_waits_gets_the_code_when_it_comes() -> None:
    async def story() -> None:
        sink = GatewaySink()
        connection = await with_sink(sink)
        waiting = asyncio.create_task(sink.take("+966501234567"))
        await asyncio.sleep(0.01)
        await send(connection, phone="+966501234567", code="654321")
        assert await waiting == "654321"
        await sink.stop()

    asyncio.run(story())


def test_a_connection_is_kept_for_many_sends() -> None:
    async def story() -> None:
        sink = GatewaySink()
        connection = await with_sink(sink)
        for index in range(20):
            await send(connection, phone=f"+96650000{index:04d}", code="111111")
        assert (sink.accepted, sink.connections) == (20, 1)
        await sink.stop()

    asyncio.run(story())


def test_a_slow_gateway_answers_after_its_latency() -> None:
    async def story() -> None:
        sink = GatewaySink(latency=0.15)
        connection = await with_sink(sink)
        begun = asyncio.get_running_loop().time()
        await send(connection, phone="+966501234567", code="111111")
        assert asyncio.get_running_loop().time() - begun >= 0.15
        await sink.stop()

    asyncio.run(story())


def test_another_path_is_not_found() -> None:
    async def story() -> None:
        sink = GatewaySink()
        connection = await with_sink(sink)
        reply = await connection.call(http_message("POST", "/api/v2/verify-otp", body=b"{}"), timeout=5)
        assert reply.status == 404
        await sink.stop()

    asyncio.run(story())
