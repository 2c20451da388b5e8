"""The environment as one typed, frozen value, checked as a whole, every fault reported together.

It is the only reader of the environment's text and must not know Django.
"""

from collections.abc import Mapping

from apps.accounts.config.compound import SAMPLE_TEST_NUMBER
from apps.accounts.config.reading import DEVELOPMENT_OTP_SECRET, DEVELOPMENT_SECRET, Reader
from apps.accounts.config.shape import Config, ConfigurationError, Route, TestNumber

__all__ = [
    "DEVELOPMENT_OTP_SECRET",
    "DEVELOPMENT_SECRET",
    "SAMPLE_TEST_NUMBER",
    "Config",
    "ConfigurationError",
    "Route",
    "TestNumber",
    "load",
]


def load(environ: Mapping[str, str]) -> Config:
    """Read and check the whole environment.

    Raises:
        ConfigurationError: with the list of everything that is wrong.
    """
    return Reader(environ).config()
