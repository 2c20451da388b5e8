"""Runbooks that cannot rot: every command block of docs/runbooks is executed against a service with the fault in it.

A runbook says its fault in its first lines (`<!-- fault: redis-gone -->`). Each ```bash block runs in order, in one
folder, with the variables that docs/runbooks/README.md names, and must end with status 0. It may be
preceded by `<!-- waits: 20 -->` (tried again until it holds, seconds), `<!-- then: heal -->` (the fault ends before it)
or `<!-- not run: reason -->`. It must not know what any runbook says.
"""

import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "docs" / "runbooks"
_BLOCK: Final = re.compile(r"((?:^<!--[^\n]*-->\n)*)^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NOTE: Final = re.compile(r"<!--\s*(waits|then|not run):\s*(.*?)\s*-->")
_FAULT: Final = re.compile(r"<!--\s*fault:\s*([a-z-]+)\s*-->")
BLOCK_SECONDS: Final = 300
# The seconds that a block names are a person's on a machine that serves; where the suite runs, much else does.
PATIENCE: Final = 4


@dataclass(frozen=True, slots=True)
class Block:
    """One command block. `waits`: seconds within which it must hold; `not_run`: why it is not executed."""

    line: int
    script: str
    waits: float = 0.0
    heals: bool = False
    not_run: str = ""


@dataclass(frozen=True, slots=True)
class Runbook:
    """A runbook's name, its fault, its blocks in order."""

    name: str
    fault: str
    blocks: tuple[Block, ...]


class BlockFailed(AssertionError):
    """A block did not hold; the message says which and shows the end of its output."""


def read(path: Path) -> Runbook:
    """Read a runbook.

    Raises:
        ValueError: it names no fault.
    """
    text = path.read_text(encoding="utf-8")
    fault = _FAULT.search(text)
    if fault is None:
        raise ValueError(f"{path.name} names no fault")
    blocks = []
    for match in _BLOCK.finditer(text):
        notes = dict(_NOTE.findall(match[1]))
        blocks.append(
            Block(
                line=text[: match.start(2)].count("\n") + 1,
                script=match[2],
                waits=float(notes.get("waits", 0)),
                heals=notes.get("then") == "heal",
                not_run=notes.get("not run", ""),
            )
        )
    return Runbook(name=path.stem, fault=fault[1], blocks=tuple(blocks))


def all_runbooks() -> list[Runbook]:
    """Return every runbook, by name."""
    return [read(path) for path in sorted(FOLDER.glob("*.md")) if path.stem not in {"README", "templates"}]


def follow(runbook: Runbook, *, environ: Mapping[str, str], heal: Callable[[], None]) -> int:
    """Execute the blocks in order; return how many ran.

    Raises:
        BlockFailed: a block ended with another status than 0.
    """
    ran = 0
    for block in runbook.blocks:
        if block.not_run:
            continue
        if block.heals:
            heal()
        _hold(runbook, block, environ)
        ran += 1
    return ran


def _hold(runbook: Runbook, block: Block, environ: Mapping[str, str]) -> None:
    until = time.monotonic() + PATIENCE * block.waits
    while True:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.script],
            env=dict(environ), cwd=ROOT, capture_output=True, text=True, timeout=BLOCK_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return
        if time.monotonic() >= until:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise BlockFailed(
                f"{runbook.name}.md, line {block.line}, ended with {done.returncode}:\n{block.script}\n{tail}"
            )
        time.sleep(1)
