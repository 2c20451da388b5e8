"""Python imports this by its name when it starts, where this folder is on its path (`PATIENT` in rig/service.py).

A host that stands still for a fifth of a second is no Redis that is gone: where limits are counted exactly, no process
may judge them from its own memory meanwhile. It must not know what is proven.
"""

from apps.accounts.services.limits import redis_connection as waits

waits.CONNECT_TIMEOUT_SECONDS = waits.READ_TIMEOUT_SECONDS = waits.BUDGET_SECONDS = 20.0
