"""How a check ends when it does not simply pass. It must not know any check."""


class Failed(Exception):
    """The project does not hold what the check asks; the message shows where."""


class Skipped(Exception):
    """The check cannot run on this machine; the message says what is missing."""
