"""What a call waits for a silent database is bounded as a whole; one that met silence spares the others the wait."""

import time

from salon_api.postgresql.patience import CALL_SECONDS, DOUBTFUL_SECONDS, LEAST_SECONDS, Patience


def test_without_a_bound_a_wait_has_no_end() -> None:
    assert Patience().seconds() is None


def test_a_call_has_its_time_once_and_the_next_one_has_it_again() -> None:
    patience = Patience()
    patience.bound()
    patience.begin_call()
    assert patience.seconds() == CALL_SECONDS
    patience.waited(3)
    assert patience.seconds(3.0) == CALL_SECONDS - 3
    patience.waited(3)
    assert patience.seconds() == LEAST_SECONDS
    patience.begin_call()
    assert patience.seconds() == CALL_SECONDS


def test_after_silence_nobody_waits_long_until_the_database_is_heard_again() -> None:
    patience = Patience()
    patience.bound()
    patience.met_silence(1)
    patience.begin_call()
    assert patience.seconds() == DOUBTFUL_SECONDS
    patience.heard()
    assert patience.seconds() == CALL_SECONDS


def test_a_queue_for_connections_is_no_silence_while_the_database_answers_others() -> None:
    patience = Patience()
    patience.bound()
    patience.heard()
    patience.met_a_queue()
    assert patience.seconds() == CALL_SECONDS
    patience._heard_at = time.monotonic() - 10
    patience.met_a_queue()
    assert patience.seconds() == DOUBTFUL_SECONDS
