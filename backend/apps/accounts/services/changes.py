"""Numbers each change of something that processes keep in memory: to ask whether it changed costs one small read.

The number is taken under a lock that lasts until the commit: whoever sees a number sees every change up to it.
It must not know what changed.
"""

from datetime import datetime
from typing import Final

from apps.accounts.services import statements

BLOCKS: Final = "blocks"
CHOICE: Final = "choice"


def bump(name: str) -> int:
    """Return the number of the change that the caller's transaction makes."""
    found = statements.row(
        "INSERT INTO accounts_changecounter (name, value) VALUES (%s, 1) ON CONFLICT (name) DO UPDATE "
        "SET value = accounts_changecounter.value + 1 RETURNING value",
        (name,),
    )
    assert found is not None
    return int(found[0])


def latest(name: str) -> tuple[int, datetime]:
    """Return the number of the last change, 0 for none, and the database's clock."""
    found = statements.row(
        f"SELECT {statements.now_sql()}, (SELECT value FROM accounts_changecounter WHERE name = %s)", (name,)
    )
    assert found is not None
    return int(found[1] or 0), statements.as_time(found[0])
