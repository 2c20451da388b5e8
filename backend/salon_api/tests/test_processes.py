"""Children are watched, restarted and stopped, whatever they do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from salon_api.processes import SETTLED_SECONDS, Child, stop_all

SLEEPER = "import time; time.sleep(60)"
PARENT = f"""
import os, sys, time
from salon_api.processes import Child
child = Child(name="c", command=[sys.executable, "-c", {SLEEPER!r}], environment=dict(os.environ), essential=True)
child.start()
print(child.process.pid, flush=True)
time.sleep(60)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({said!r}, 'w'); time.sleep(600)"


def _child(code: str, *, clock: Callable[[], float] = time.monotonic) -> Child:
    return Child(
        name="child", command=[sys.executable, "-c", code], environment=os.environ.copy(), essential=True, clock=clock
    )


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the second one is for an end between opening and reading
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _eventually(condition: Callable[[], bool], *, within_s: float = 60) -> bool:
    until = time.monotonic() + within_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


def test_the_status_of_a_dead_child_is_told() -> None:
    child = _child("raise SystemExit(78)")
    child.start()
    assert _eventually(lambda: child.died() is not None)
    assert child.died() == 78
    assert not child.settled


def test_a_child_that_lived_long_enough_has_settled() -> None:
    now = [0.0]
    child = _child(SLEEPER, clock=lambda: now[0])
    child.start()
    try:
        assert child.died() is None
        assert not child.settled
        now[0] = SETTLED_SECONDS
        assert child.died() is None
        assert child.settled
    finally:
        stop_all([child], grace_seconds=5)


def test_each_quick_death_makes_the_pause_longer_and_a_long_life_makes_it_short_again() -> None:
    now = [0.0]
    child = _child("pass", clock=lambda: now[0])
    pauses = []
    for _ in range(8):
        child.start()
        assert child.process is not None
        child.process.wait()
        pauses.append(child.schedule_restart())
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0
    child.start()
    now[0] += 60
    assert child.schedule_restart() == min(pauses[0], 0.2)


def test_a_restart_is_due_only_after_its_pause() -> None:
    now = [0.0]
    child = _child("pass", clock=lambda: now[0])
    child.start()
    pause = child.schedule_restart()
    assert not child.due()
    now[0] += pause
    assert child.due()


def test_a_deaf_child_is_killed_after_the_grace(tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    child = _child(DEAF.format(said=str(deaf)))
    child.start()
    assert child.process is not None
    assert _eventually(deaf.exists)
    began = time.monotonic()
    stop_all([child], grace_seconds=1)
    assert child.process.poll() == -signal.SIGKILL
    assert time.monotonic() - began >= 1


def test_what_a_killed_child_left_behind_is_killed_before_the_restart() -> None:
    child = _child(
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "time.sleep(60)"
    )
    child.start()
    assert child.process is not None
    pid = child.process.pid
    assert _eventually(lambda: bool(_children_of(pid)))
    (grandchild,) = _children_of(pid)
    child.send(signal.SIGKILL)
    assert _eventually(lambda: child.died() is not None)
    child.schedule_restart()
    assert _eventually(lambda: not _alive(grandchild))


def test_a_child_stops_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert _alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert _eventually(lambda: not _alive(pid))


def _children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(found) for found in children.read().split()]
