"""Do the rules of the house find what they are for?"""

import pytest

from scripts.checks.house_rules import long_functions, named_places


@pytest.mark.parametrize("folder", ["wor" + "k", "roo" + "t", "home" + "/anna", "Us" + "ers/anna"])
def test_a_folder_of_one_machine_is_found(folder: str) -> None:
    assert list(named_places("a.md", f"see /{folder}/notes"))


@pytest.mark.parametrize("host", ["pyp" + "i.org", "files.pythonh" + "osted.org", "registry.npm" + "js.org"])
def test_a_package_registry_is_found(host: str) -> None:
    assert list(named_places("a.txt", f"https://{host}/simple"))


@pytest.mark.parametrize("line", ["/app/backend", "https://example.com/work/1", "/tmp", "a framework/that works"])
def test_other_paths_are_left_alone(line: str) -> None:
    assert list(named_places("a.md", line)) == []


def _function(lines: int, comment: str = "") -> str:
    return f"{comment}\ndef f() -> None:\n    '''Say it.\n\n    More.\n    '''\n" + "    x = 1\n" * lines


def test_a_function_of_more_than_forty_lines_is_found() -> None:
    assert list(long_functions("a.py", _function(42)))


def test_a_long_function_with_a_reason_is_left_alone() -> None:
    assert list(long_functions("a.py", _function(42, "# Long because it is one table."))) == []


def test_a_docstring_does_not_make_a_function_long() -> None:
    assert list(long_functions("a.py", _function(38))) == []
