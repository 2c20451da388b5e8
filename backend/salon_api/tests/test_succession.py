"""Of two web processes the old one ends when the new one takes connections, however long that takes."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from salon_api import succession
from salon_api.tests.test_serve import _children, _environment, _free_port, _serve, _status, _until, _workers


@dataclass
class Worker:
    """What the server holds of one of its processes."""

    name: str
    told: list[str]
    alive: bool = True
    interrupt_by_parent: bool = False

    def is_alive(self) -> bool:
        return self.alive

    def terminate(self) -> None:
        self.told.append(f"{self.name} ends")

    def _id(self) -> int:
        return 1


@dataclass
class Server:
    """The server's own way of replacing: the new one is started, and the old one is told to end after a fixed time."""

    told: list[str] = field(default_factory=list)
    interrupt_signal: bool = False

    def __post_init__(self) -> None:
        self.wrks = [Worker("old-0", self.told), Worker("old-1", self.told)]

    def respawn(self, workers: list[int], target: Any, loader: Any, delay: float = 0.0) -> None:
        for place in workers:
            old = self.wrks.pop(place)
            self.wrks.insert(place, Worker(f"new-{place}", self.told))
            old.terminate()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server whose new processes listen at the third look."""
    made, looks = Server(), iter([False, False, True] * 2)

    def listens(_: int) -> bool:
        made.told.append("looked")
        return next(looks)

    monkeypatch.setattr(succession, "listens", listens)
    monkeypatch.setattr(succession, "_LOOK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(succession, "_BREATH_SECONDS", 0.0)
    return made


def test_each_process_ends_when_its_successor_listens(server: Server) -> None:
    succession.in_turn(Server.respawn)(server, [0, 1], None, None, delay=5)
    looks = ["looked"] * 3
    assert server.told == [*looks, "old-0 ends", *looks, "old-1 ends"]


def test_a_stop_in_the_middle_replaces_nobody_more(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped_meanwhile(_: int) -> bool:
        server.interrupt_signal = True
        return False

    monkeypatch.setattr(succession, "listens", stopped_meanwhile)
    succession.in_turn(Server.respawn)(server, [0, 1], None, None, delay=5)
    assert server.told == ["old-0 ends"]


def test_a_process_that_died_is_replaced_at_once(server: Server) -> None:
    succession.in_turn(Server.respawn)(server, [1], None, None)
    assert server.told == ["old-1 ends"]


def test_a_stop_ends_the_wait(server: Server) -> None:
    server.interrupt_signal = True
    succession.until_it_listens(server, Worker("new", server.told))
    assert server.told == []


def test_where_the_new_process_does_not_come_up_the_old_ones_go_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(_: int) -> bool:
        server.wrks[0].alive = False
        return False

    monkeypatch.setattr(succession, "listens", dies)
    old = list(server.wrks)
    succession.in_turn(Server.respawn)(server, [0, 1], None, None, delay=5)
    assert (server.told, server.wrks) == ([], old)
    server.wrks[0].terminate()
    assert server.told == ["old-0 ends"]  # at a later stop, and without a wait


def test_a_reload_onto_faulty_settings_costs_nobody_an_answer(tmp_path: Path) -> None:
    port, settings = _free_port(), tmp_path / "settings"
    settings.touch()
    process = _serve("--development", environment=_environment(tmp_path, PORT=str(port), OTP_ENV_FILE=str(settings)))
    assert process.stdout is not None
    try:
        assert _until(port)
        before = _workers(_children(process.pid)["web"])
        settings.write_text("OTP_EXPIRY_MINUTES=99")
        process.send_signal(signal.SIGHUP)
        assert any("did not come up" in line for line in process.stdout)
        assert _status(port, "/healthz") == 200
        assert _workers(_children(process.pid)["web"]) == before
        settings.write_text("")
        process.send_signal(signal.SIGHUP)
        ends = time.monotonic() + 120
        while before & _workers(_children(process.pid)["web"]) and time.monotonic() < ends:
            time.sleep(0.1)
        assert not before & _workers(_children(process.pid)["web"])
        assert _status(port, "/healthz") == 200
    finally:
        process.terminate()
        process.communicate(timeout=120)


def test_a_process_listens_when_it_has_a_socket_of_its_own_that_does() -> None:
    script = "import time; print(1, flush=True); time.sleep(600)"
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    with socket.create_server(("127.0.0.1", 0)):
        try:
            assert other.stdout is not None
            other.stdout.readline()
            assert succession.listens(os.getpid())
            assert not succession.listens(other.pid)
        finally:
            other.kill()
            other.communicate()
    assert not succession.listens(other.pid)
