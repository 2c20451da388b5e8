"""A full disk for the log, a reader that stopped, clients that drip: the service answers everybody else."""

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakegateways.handle import FakeGateways
from rig.around import web_processes
from rig.crowds import Crowd
from rig.ground import REQUEST, VERIFY, by_twilio, log_in, new_address, new_phone, require_stores
from rig.service import RunningService

pytestmark = pytest.mark.servers
# Whoever waited for what is clogged would wait for ever; a busy machine takes its time with some calls, not with most.
USUAL_CALL_SECONDS, LONGEST_CALL_SECONDS = 1.5, 12.0
HALF_OPEN = 2000


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeGateways]:
    with FakeGateways() as running:
        yield running


def a_service(fake: FakeGateways, log: Path | None = None) -> RunningService:
    require_stores()
    service = RunningService(environ=by_twilio(fake, OTP_GLOBAL_MAX_PER_MINUTE="0"))
    if log is not None:
        service.log = log
    return service


@pytest.fixture(scope="module")
def plain(fake: FakeGateways) -> Iterator[RunningService]:
    with a_service(fake) as running:
        yield running


def require_all_went_well(crowd: Crowd) -> None:
    assert not crowd.errors(), crowd.errors()
    assert not crowd.lost
    assert crowd.usual() < USUAL_CALL_SECONDS
    assert crowd.slowest() < LONGEST_CALL_SECONDS


def logins_recorded(service: RunningService) -> int:
    ((count,),) = service.query("SELECT count(*) FROM accounts_auditevent WHERE event = 'login.succeeded'")
    return int(count)


def test_a_full_disk_for_the_log_costs_no_login(fake: FakeGateways) -> None:
    with a_service(fake, Path("/dev/full")) as service:
        with Crowd(service, fake) as crowd:
            crowd.live(3)
        require_all_went_well(crowd)
        assert logins_recorded(service) == crowd.statuses()[("verify", 200, "")]


def test_a_reader_of_the_log_that_stopped_costs_no_login(fake: FakeGateways, tmp_path: Path) -> None:
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    script = f"import sys\nwith open({str(pipe)!r}, 'rb') as log:\n    sys.stdout.write('open')\n    log.read()"
    reader = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    try:
        with a_service(fake, pipe) as service:
            reader.send_signal(signal.SIGSTOP)
            with Crowd(service, fake, people=6, pause=0.01) as crowd:
                crowd.live(0, calls=600)  # several times what the pipe holds
            require_all_went_well(crowd)
            assert logins_recorded(service) == crowd.statuses()[("verify", 200, "")]
    finally:
        reader.send_signal(signal.SIGCONT)
        reader.kill()
        reader.wait(10)


def half_open(service: RunningService, *, count: int, said: bytes) -> list[socket.socket]:
    found = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", service.port), timeout=10)
        one.sendall(said)
        found.append(one)
    return found


def threads_of(service: RunningService) -> int:
    return sum(len(list(Path(f"/proc/{process}/task").iterdir())) for process in web_processes(service))


def test_thousands_of_clients_that_never_finish_keep_nobody_waiting(plain: RunningService, fake: FakeGateways) -> None:
    service = plain
    log_in(service, fake, new_phone())
    silent = half_open(service, count=HALF_OPEN // 2, said=b"")
    silent += half_open(service, count=HALF_OPEN // 2, said=b"POST /api/auth/phone/verify/ HTTP/1.1\r\nHost: 127")
    try:
        with Crowd(service, fake) as crowd:
            crowd.live(3, calls=21)
        print(f"{len(silent)} half-open: {len(crowd.calls)} calls, slowest {crowd.slowest():.2f} s")
        require_all_went_well(crowd)
    finally:
        for one in silent:
            one.close()


def test_bodies_that_drip_are_ended_and_hold_no_thread(plain: RunningService, fake: FakeGateways) -> None:
    service = plain
    log_in(service, fake, new_phone())
    head = (
        f"POST {VERIFY} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n{{"
    ).encode()
    before = threads_of(service)
    dripping = half_open(service, count=300, said=head)
    began = time.monotonic()
    answers: dict[socket.socket, bytes] = {}
    try:
        with Crowd(service, fake, people=2, pause=0.2) as crowd:
            while len(answers) < len(dripping) and time.monotonic() - began < 90:
                waiting = [one for one in dripping if one not in answers]
                for one in select.select(waiting, [], [], 0)[0]:
                    with contextlib.suppress(OSError):
                        answers[one] = one.recv(4096)
                for one in waiting:
                    with contextlib.suppress(OSError):
                        one.send(b" ")
                time.sleep(1)
        took = time.monotonic() - began
        print(f"300 dripping: ended after {took:.1f} s; {len(crowd.calls)} calls, slowest {crowd.slowest():.2f} s")
        assert {answer[:12] for answer in answers.values()} == {b"HTTP/1.1 408"}
        assert len(answers) == len(dripping)
        assert threads_of(service) <= before + 8
        require_all_went_well(crowd)
    finally:
        for one in dripping:
            one.close()


def test_clients_that_hang_up_in_the_middle_cost_no_thread(plain: RunningService, fake: FakeGateways) -> None:
    service = plain
    log_in(service, fake, new_phone())
    for _ in range(6):
        body = b'{"phone_number": "%s"}' % new_phone().encode()
        whole = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" % REQUEST.encode()
        whole += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        for one in half_open(service, count=50, said=whole):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            one.close()
    time.sleep(1)
    with Crowd(service, fake) as crowd:
        time.sleep(1.5)
    require_all_went_well(crowd)


def test_a_request_that_is_cut_at_any_byte_sends_nothing_and_a_whole_one_sends_once(
    plain: RunningService, fake: FakeGateways
) -> None:
    service, phone, gone, heard = plain, new_phone(), new_phone(), new_phone()
    address = new_address().encode()  # whoever hung up before has used the limit of ours up

    def raw(number: str) -> bytes:
        body = b'{"phone_number": "%s"}' % number.encode()
        head = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" % REQUEST.encode()
        head += b"X-Forwarded-For: %s\r\n" % address
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)

    for cut in range(1, len(raw(phone))):
        (one,) = half_open(service, count=1, said=raw(phone)[:cut])
        one.close()
    # Of a whole call the server may see the end before it begins: then nothing is sent, and never twice.
    (one,) = half_open(service, count=1, said=raw(gone))
    one.close()
    # Whoever asked does not read a byte of the answer.
    (one,) = half_open(service, count=1, said=raw(heard))
    fake.wait_for_message(heard)
    one.close()
    log_in(service, fake, new_phone())
    assert fake.messages(phone=phone) == []
    assert len(fake.messages(phone=gone)) <= 1
    assert len(fake.messages(phone=heard)) == 1
    assert not re.search(r'"status": ?5', service.tail(2000))
