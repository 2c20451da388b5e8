"""`.env.example` and docs/configuration.md say what the table of variables says."""

from pathlib import Path

from dotenv import dotenv_values

from apps.accounts import config as accounts_config
from apps.accounts.variables import VARIABLES
from apps.ops import configuration_docs

ROOT = Path(__file__).resolve().parents[4]


def test_the_committed_files_are_in_step_with_the_table() -> None:
    assert (ROOT / ".env.example").read_text() == configuration_docs.env_example()
    assert (ROOT / "docs" / "configuration.md").read_text() == configuration_docs.configuration_page()


def test_the_example_holds_every_variable_once_and_no_secret() -> None:
    values = dotenv_values(ROOT / ".env.example", interpolate=False)
    assert list(values) == [variable.name for variable in VARIABLES]
    filled = {variable.name for variable in VARIABLES if variable.secret and values[variable.name]}
    assert filled == {"OTP_TEST_NUMBERS"}


def test_the_example_starts_as_it_is_with_the_sample_number() -> None:
    values = {name: value or "" for name, value in dotenv_values(ROOT / ".env.example", interpolate=False).items()}
    made = accounts_config.load(values)
    assert made.debug
    assert [(number.e164, number.code) for number in made.test_numbers] == [("+1234567890", "123456")]


def test_the_example_says_nothing_but_the_defaults_and_what_development_needs() -> None:
    values = dotenv_values(ROOT / ".env.example", interpolate=False)
    other = {variable.name for variable in VARIABLES if values[variable.name] != variable.default}
    assert other == set(configuration_docs.DEVELOPMENT_VALUES)


def test_the_page_never_shows_the_default_of_a_secret() -> None:
    for line in configuration_docs.configuration_page().splitlines():
        if line.endswith("**Secret.** |"):
            assert line.split("|")[2].strip() == ""
