"""Write `.env.example` and docs/configuration.md from the table of variables.

It must not know what the variables do.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from apps.accounts.variables import VARIABLES, Variable

# What a fresh checkout needs to be tried out; production refuses both.
DEVELOPMENT_VALUES: Final = {"DEBUG": "True", "OTP_TEST_NUMBERS": "+1234567890:123456"}

_ENV_HEAD: Final = """\
# Every setting of the service, with its default. Copied to backend/.env by `make run`; the process environment
# overrides that file, and an empty value means the default. As it stands it is for development only.
# Made from backend/apps/accounts/variables.py by `manage.py otp_configuration_docs`: change it there.
"""

_DOCS_HEAD: Final = """\
# Configuration

Every setting is an environment variable. `backend/.env` is read first, the process environment lies over it, and a
variable that is set to the empty string means its default. Booleans are `1`/`0`, `true`/`false`, `yes`/`no`. For a send
limit or the cooldown, `0` means off.

A wrong or missing setting stops the start with one list of everything that is wrong, by name, never with a secret
value, and exit status 78. With `DEBUG=False` these refuse to start: the console provider; a default or short (under 32
characters) `SECRET_KEY`, `OTP_SECRET` or admin token; no `REDIS_URL`; `*` in `ALLOWED_HOSTS`. SQLite is a warning.
The host
of `PUBLIC_BASE_URL` is served whether or not `ALLOWED_HOSTS` names it.

Made from `backend/apps/accounts/variables.py` by `manage.py otp_configuration_docs`. **Secret** values are never shown.
"""


def env_example() -> str:
    """Return the text of `.env.example`."""
    lines = [_ENV_HEAD]
    for title, variables in _sections():
        lines.append(f"# --- {title} ---")
        for variable in variables:
            value = DEVELOPMENT_VALUES.get(variable.name, variable.default)
            lines += [f"# {variable.about}", f"{variable.name}={_quoted(value)}"]
        lines.append("")
    return "\n".join(lines)


def configuration_page() -> str:
    """Return the text of docs/configuration.md."""
    lines = [_DOCS_HEAD]
    for title, variables in _sections():
        lines += [f"## {title}", "", "| variable | default | |", "|---|---|---|"]
        for variable in variables:
            default = f"`{variable.default}`" if variable.default else ""
            note = " **Secret.**" if variable.secret else ""
            lines.append(f"| `{variable.name}` | {default} | {variable.about.replace('|', chr(92) + '|')}.{note} |")
        lines.append("")
    return "\n".join(lines)


def _sections() -> Iterator[tuple[str, list[Variable]]]:
    for title, variables in groupby(VARIABLES, key=lambda variable: variable.section):
        yield title, list(variables)


def _quoted(value: str) -> str:
    """Quote what a shell that sources the file, or an env file's reader, would read differently."""
    return f"'{value}'" if any(char in value for char in " $#;*") else value
