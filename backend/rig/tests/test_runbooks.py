"""Every runbook is followed, block by block, under its own fault; its last check must hold."""

import os
import re
import sys
from pathlib import Path

import pytest

from rig.faults import FAULTS, heal, stage
from rig.runbooks import FOLDER, Runbook, all_runbooks, follow
from rig.service import stores_answer

RUNBOOKS = all_runbooks()
MOST_BLOCKS_NOT_RUN = 0.1
pytestmark = pytest.mark.servers


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda runbook: runbook.name)
def test_a_runbook_holds_under_its_own_fault(runbook: Runbook, tmp_path: Path) -> None:
    reason = stores_answer()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with stage() as on:
        FAULTS[runbook.fault](on)
        environ = {
            **on.service.environment(),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "BACKEND_URL": on.service.url,
            "SCRATCH": str(tmp_path),
            "SMOKE_TEST_NUMBER": "+15550001111:246810",
        }
        assert follow(runbook, environ=environ, heal=lambda: heal(on)) > 0


def test_every_fault_of_a_runbook_is_known() -> None:
    assert {runbook.fault for runbook in RUNBOOKS} <= set(FAULTS)


def test_at_most_one_block_in_ten_is_not_run_and_each_says_why() -> None:
    blocks = [block for runbook in RUNBOOKS for block in runbook.blocks]
    not_run = [block for block in blocks if block.not_run]
    assert blocks
    assert len(not_run) <= MOST_BLOCKS_NOT_RUN * len(blocks)
    assert all(len(block.not_run) > 15 for block in not_run)


def test_the_blocks_use_only_variables_that_the_first_page_names() -> None:
    named = set(re.findall(r"`([A-Z_]+)`", (FOLDER / "README.md").read_text(encoding="utf-8").split("| you see |")[0]))
    for runbook in RUNBOOKS:
        for block in runbook.blocks:
            used = set(re.findall(r"\$\{?([A-Z_]+)", block.script)) - set(
                re.findall(r"^([A-Z_]+)=", block.script, re.M)
            )
            assert used <= named, f"{runbook.name}.md, line {block.line}"


def test_a_folder_that_was_not_named_is_never_written_beside() -> None:
    assert not any("$SCRATCH" in block.script for runbook in RUNBOOKS for block in runbook.blocks)
