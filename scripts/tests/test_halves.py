"""The suite's two halves: what the second one leaves out touches no store."""

from pathlib import Path

import pytest

from scripts.test import ROOT, STORELESS


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


@pytest.mark.parametrize("path", STORELESS)
def test_what_the_second_half_leaves_out_touches_no_store(path: str) -> None:
    files = [file for file in _files(ROOT / path) if file.name.startswith(("test_", "conftest"))]
    assert files
    stores = "pytest.mark.django" + "_db"
    assert [file for file in files if stores in file.read_text(encoding="utf-8")] == []
