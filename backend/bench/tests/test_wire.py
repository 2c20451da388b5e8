"""The readers of the wire count what is there, however it is cut into pieces."""

import struct

import pytest

from bench.client import AnswerReader, ProtocolFault, http_message
from bench.taps import PostgresReader, RedisReader, Tally, shape_of


def typed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def startup() -> bytes:
    body = struct.pack("!I", 196608) + b"user\0postgres\0\0"
    return struct.pack("!I", len(body) + 4) + body


SSL_REQUEST = struct.pack("!II", 8, 80877103)
EXTENDED = (
    typed(b"P", b"\0select id from challenge where phone = $1\0\0\0")
    + typed(b"B", b"\0\0\0\0\0\0\0\0")
    + typed(b"D", b"P\0")
    + typed(b"E", b"\0\0\0\0\0")
    + typed(b"S", b"")
)


def feed_bytewise(reader: PostgresReader | RedisReader, data: bytes) -> bytes:
    onward = b""
    for byte in data:
        onward += reader.feed(bytes([byte]))[0]
    return onward


def test_an_offer_of_encryption_is_declined_and_not_passed_on() -> None:
    reader = PostgresReader(Tally())
    assert reader.feed(SSL_REQUEST) == (b"", b"N")
    assert reader.feed(startup()) == (startup(), b"")


def test_a_simple_query_is_one_statement_and_one_wait() -> None:
    tally = Tally()
    reader = PostgresReader(tally)
    reader.feed(startup() + typed(b"Q", b"BEGIN\0"))
    assert (tally.work, tally.waits, dict(tally.shapes)) == (1, 1, {"begin": 1})


def test_an_extended_query_is_one_statement_and_one_wait() -> None:
    tally = Tally()
    PostgresReader(tally).feed(startup() + EXTENDED)
    assert (tally.work, tally.waits, dict(tally.shapes)) == (1, 1, {"select challenge": 1})


def test_a_prepared_statement_is_counted_each_time_it_runs() -> None:
    tally = Tally()
    prepare = typed(b"P", b"s1\0update users set a = $1\0\0\0")
    run = typed(b"B", b"\0s1\0\0\0\0\0\0\0") + typed(b"E", b"\0\0\0\0\0") + typed(b"S", b"")
    PostgresReader(tally).feed(startup() + prepare + run + run)
    assert (tally.work, dict(tally.shapes)) == (2, {"update users": 2})


def test_statements_in_one_pipeline_share_one_wait() -> None:
    tally = Tally()
    half = EXTENDED[: -len(typed(b"S", b""))]
    PostgresReader(tally).feed(startup() + half + half + typed(b"S", b""))
    assert (tally.work, tally.waits) == (2, 1)


def test_postgres_messages_in_single_bytes_count_the_same_and_pass_unchanged() -> None:
    tally = Tally()
    data = startup() + EXTENDED + typed(b"Q", b"COMMIT\0")
    assert feed_bytewise(PostgresReader(tally), data) == data
    assert (tally.work, tally.waits) == (2, 2)


@pytest.mark.parametrize(
    ("query", "shape"),
    [
        (b'INSERT INTO "accounts_user" ("phone") VALUES (\'+966501234567\')', "insert accounts_user"),
        (b"  select 1", "select"),
        (b"update only challenge set used = true", "update challenge"),
        (b"with live as (select 1 from sessions) select 2", "with sessions"),
        (b"delete from x", "delete x"),
        (b"", "(empty)"),
    ],
)
def test_a_shape_is_verb_and_table_and_never_a_value(query: bytes, shape: str) -> None:
    assert shape_of(query) == shape


def test_redis_commands_sent_together_share_one_wait() -> None:
    tally = Tally()
    data = b"*2\r\n$4\r\nINCR\r\n$5\r\na\r\nbc\r\n*3\r\n$6\r\nEXPIRE\r\n$5\r\na\r\nbc\r\n$4\r\n3600\r\n"
    assert RedisReader(tally).feed(data) == (data, b"")
    assert (tally.work, tally.waits, dict(tally.shapes)) == (2, 1, {"incr": 1, "expire": 1})


def test_a_redis_command_in_pieces_is_counted_once() -> None:
    tally = Tally()
    data = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\n"
    assert feed_bytewise(RedisReader(tally), data) == data
    assert (tally.work, tally.waits) == (1, 1)


def test_an_answer_of_fixed_length_is_cut_out_whole() -> None:
    reader = AnswerReader()
    data = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    assert reader.feed(data[:30]) is None
    assert reader.feed(data[30:-1]) is None
    assert reader.feed(data[-1:]) == (200, b"{}")


def test_a_chunked_answer_is_joined() -> None:
    data = b"HTTP/1.1 429 Too Many Requests\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    reader = AnswerReader()
    found = None
    for byte in data:
        assert found is None
        found = reader.feed(bytes([byte]))
    assert found == (429, b"abcde")


def test_an_answer_without_a_body_ends_with_its_head() -> None:
    assert AnswerReader().feed(b"HTTP/1.1 204 No Content\r\n\r\n") == (204, b"")


def test_two_answers_in_turn_do_not_mix() -> None:
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na") == (200, b"a")
    assert reader.feed(b"HTTP/1.1 400 Bad\r\ncontent-length: 1\r\n\r\nb") == (400, b"b")


def test_what_is_no_http_is_a_fault() -> None:
    with pytest.raises(ProtocolFault):
        AnswerReader().feed(b"SSH-2.0-x\r\n\r\n")


def test_a_call_with_a_body_says_its_length_and_type() -> None:
    message = http_message("POST", "/a/", body=b'{"x":1}', headers=(("X-Forwarded-For", "198.18.0.1"),))
    head, _, body = message.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /a/ HTTP/1.1"
    assert b"Content-Length: 7" in head
    assert b"X-Forwarded-For: 198.18.0.1" in head
    assert body == b'{"x":1}'
