"""`make run` and `make serve`, started for real on SQLite, from the first word to the last."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from salon_api.serve import ServeFault, require_free

BACKEND = Path(__file__).resolve().parents[2]
_KINDS = {"salon_api.succession": "web", "otp_worker": "worker"}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _environment(folder: Path, **settings: str) -> dict[str, str]:
    store = f"sqlite:///{folder / 'serve.sqlite3'}"
    return {
        **os.environ,
        "PYTHONPATH": str(BACKEND),
        "DJANGO_SETTINGS_MODULE": "salon_api.settings",
        "OTP_ENV_FILE": os.devnull,
        "DEBUG": "True",
        "DATABASE_URL": store,
        "REDIS_URL": "",
        "WEB_CONCURRENCY": "4",
        "OTP_TEST_NUMBERS": "+1234567890:123456",
        **settings,
    }


def _serve(*arguments: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "salon_api.serve", *arguments],
        cwd=BACKEND,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _until(port: int, *, within_s: float = 120) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if _status(port, "/healthz"):
            return True
        time.sleep(0.1)
    return False


def _children(pid: int) -> dict[str, int]:
    """Return the serving process' own children by what they are; one that only begins or has ended is nothing yet."""
    found: dict[str, int] = {}
    for one in _workers(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
            said = Path(f"/proc/{one}/cmdline").read_text().split("\0")
            found |= {_KINDS[word]: one for word in said if word in _KINDS}
    return found


def _documents(text: str) -> list[dict[str, Any]]:
    """Read JSON documents that follow each other without a space."""
    found = []
    while text.strip():
        document, end = json.JSONDecoder().raw_decode(text.strip())
        found.append(document)
        text = text.strip()[end:]
    return found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = _free_port()
    environment = _environment(tmp_path_factory.mktemp("serve"), PORT=str(port))
    process = _serve("--development", environment=environment)
    try:
        assert _until(port), process.stdout and process.stdout.read()
        yield process, port
    finally:
        process.terminate()
        assert process.stdout is not None
        process.stdout.close()
        process.wait(120)


def test_development_is_one_web_process_whatever_web_concurrency_says(
    running: tuple[subprocess.Popen[str], int],
) -> None:
    process, _ = running
    assert len(_workers(_children(process.pid)["web"])) == 1


def test_no_answer_names_the_server(running: tuple[subprocess.Popen[str], int]) -> None:
    _, port = running
    for path in ("/healthz", "/nowhere", "/dev/phone/"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.read()
        connection.close()
        assert not answer.headers["Server"]
        assert answer.headers["Content-Length"]


def test_the_login_in_the_readme_works_when_it_is_pasted(running: tuple[subprocess.Popen[str], int]) -> None:
    _, port = running
    blocks = re.findall(r"```sh\n(.*?)```", (BACKEND.parent / "README.md").read_text(), flags=re.DOTALL)
    (login,) = [block for block in blocks if "/api/auth/phone/verify/" in block]
    assert login.count("curl ") == 4
    done = subprocess.run(
        ["bash", "-eu", "-c", login.replace("127.0.0.1:8000", f"127.0.0.1:{port}")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    asked, status, refreshed = _documents(done.stdout)
    assert asked["message"] == "Verification code sent successfully"
    assert status["authenticated"] is True
    assert refreshed["access"]


def test_a_killed_background_worker_is_back_by_itself(running: tuple[subprocess.Popen[str], int]) -> None:
    process, _ = running
    before = _children(process.pid)["worker"]
    os.kill(before, signal.SIGKILL)
    until = time.monotonic() + 60
    while time.monotonic() < until and _children(process.pid).get("worker") in {None, before}:
        time.sleep(0.1)
    assert _children(process.pid).get("worker") not in {None, before}


def test_a_killed_web_server_is_back_by_itself(running: tuple[subprocess.Popen[str], int]) -> None:
    process, port = running
    os.kill(_children(process.pid)["web"], signal.SIGKILL)
    time.sleep(0.3)
    assert _until(port)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_every_process_with_status_zero(tmp_path: Path, signum: signal.Signals) -> None:
    port = _free_port()
    process = _serve("--development", environment=_environment(tmp_path, PORT=str(port)))
    assert process.stdout is not None
    assert any(f"http://127.0.0.1:{port}/dev/phone/" in line for line in process.stdout)
    children = _children(process.pid).values()
    process.send_signal(signum)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert _status(port, "/healthz") == 0


def test_a_request_that_is_half_way_when_the_stop_comes_is_answered(tmp_path: Path) -> None:
    port = _free_port()
    process = _serve("--development", environment=_environment(tmp_path, PORT=str(port)))
    assert _until(port)
    body = b'{"phone_number": "+1234567890"}'
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("POST", "/api/auth/phone/request/")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[:10])
    time.sleep(1.5)  # the server is to have taken the connection
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    connection.send(body[10:])
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out


SLOW = """
import pathlib, sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "salon_api.rsgi" and pathlib.Path({flag!r}).exists():
            time.sleep(8)
sys.meta_path.insert(0, Slow())
"""


def test_a_reload_leaves_nobody_alone_while_the_new_process_loads(tmp_path: Path) -> None:
    port, flag = _free_port(), tmp_path / "slow"
    (tmp_path / "sitecustomize.py").write_text(SLOW.format(flag=str(flag)))
    process = _serve(
        "--development", environment=_environment(tmp_path, PORT=str(port), PYTHONPATH=f"{tmp_path}:{BACKEND}")
    )
    try:
        assert _until(port)
        web = _children(process.pid)["web"]
        before = _workers(web)
        flag.touch()
        process.send_signal(signal.SIGHUP)
        alone, until = 0, time.monotonic() + 120
        while before & _workers(web) and time.monotonic() < until:
            alone += _status(port, "/healthz") != 200
            time.sleep(0.1)
        assert not before & _workers(web)
        for _ in range(20):
            alone += _status(port, "/healthz") != 200
            time.sleep(0.1)
        assert alone <= 2  # a connection may have been on its way to the old one
    finally:
        process.terminate()
        process.communicate(timeout=120)


def _workers(web: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{web}/task/{web}/children").read_text().split()}


def test_a_fault_of_the_configuration_ends_with_status_78_and_the_whole_list(tmp_path: Path) -> None:
    environment = _environment(tmp_path, DEBUG="False", OTP_EXPIRY_MINUTES="99", OTP_SECRET="short-and-secret")
    process = _serve(environment=environment)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 78
    for name in ("OTP_EXPIRY_MINUTES", "OTP_SECRET", "SECRET_KEY", "REDIS_URL", "OTP_PROVIDER"):
        assert name in out
    assert "short-and-secret" not in out


def test_a_service_that_cannot_be_loaded_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'salon_api.succession' in sys.orig_argv:\n    sys.modules['salon_api.rsgi'] = None\n"
    )
    environment = _environment(tmp_path, PORT=str(_free_port()), PYTHONPATH=f"{tmp_path}:{BACKEND}")
    process = _serve("--development", environment=environment)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1, out
    assert "could not start" in out


def test_a_taken_port_ends_with_a_sentence_that_names_another(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as the server's own sockets do
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = _serve("--development", environment=_environment(tmp_path, PORT=str(port)))
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"Port {port}" in out
    assert "PORT=" in out


def test_a_free_port_is_accepted() -> None:
    require_free("127.0.0.1", _free_port())


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ServeFault, match=r"192\.0\.2\.1"):
        require_free("192.0.2.1", 8000)


def test_a_database_that_cannot_be_reached_ends_the_start_without_its_address(tmp_path: Path) -> None:
    environment = _environment(tmp_path, DATABASE_URL="postgres://anna:hunter2@127.0.0.1:9/none")
    done = subprocess.run(
        [sys.executable, str(BACKEND.parent / "manage.py"), "otp_migrate", "--wait", "0.1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "DATABASE_URL cannot be reached" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
