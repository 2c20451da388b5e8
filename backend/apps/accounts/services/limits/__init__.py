"""Hold limits exactly over any trailing window, in Redis or in memory, as one indivisible step per call.

This package must not know HTTP, phones or gateways: it is given opaque subjects and numbers.
"""

from .health import StoreHealth
from .memory import MemoryLimiter
from .model import (
    Admission,
    Limit,
    Limiter,
    LimiterUnavailable,
    Standing,
    Store,
    StoreState,
)
from .redis_connection import prompt_pool, redis_connection_options
from .redis_store import RedisLimiter
from .resilient import ResilientLimiter

__all__ = [
    "Admission",
    "Limit",
    "Limiter",
    "LimiterUnavailable",
    "MemoryLimiter",
    "RedisLimiter",
    "ResilientLimiter",
    "Standing",
    "Store",
    "StoreHealth",
    "StoreState",
    "prompt_pool",
    "redis_connection_options",
]
