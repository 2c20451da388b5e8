"""Does each pattern find what it is for, and leave the right way alone?"""

import pytest

from scripts.checks.security_rules import faults_of

WRONG = {
    "a secret compared with ==": "if given_token == expected: pass",
    "a counter in Python": "challenge.attempts += 1",
    "a forwarding header": "ip = request.META['HTTP_X_FORWARDED_FOR']",
    "a guessable number": "import random",
    "a code in a log": "logger.info('otp.sent', otp=otp)",
    "a code in a log's text": "log.info(f'sent {code}')",
    "a plain transaction": "with transaction.atomic(): pass",
    "certificates unverified": "requests.post(url, verify=False, timeout=3)",
    "a redirect followed": "requests.post(url, allow_redirects=True, timeout=3)",
    "SQL built from a value": "def f(name):\n    run(f\"SELECT 1 FROM t WHERE name = '{name}'\")",
    "SQL from a caller": "def f(column):\n    run(f'SELECT 1 FROM t WHERE {column} = 1')",
    "SQL from a careless caller": (
        "def _f(column):\n    run(f'SELECT 1 FROM t WHERE {column} = 1')\n"
        "def g(request):\n    _f('id')\n    _f(request.column)"
    ),
    "SQL from a private function that returns a value, used twice": (
        "def _m(s):\n    return s.text\n"
        "def f(s):\n    m = _m(s)\n    run('x', m)\n    run(f'SELECT 1 FROM t WHERE {m} = 1')\n"
        "def g(s):\n    run(f'SELECT 1 FROM t WHERE {_m(s)} = 1')"
    ),
    "SQL from a row": "def f():\n    t = statements.row('SELECT 1')[0]\n    run(f'DELETE FROM {t} WHERE a = 1')",
    "SQL from a loop over values": "def f(names):\n    for t in names:\n        run(f'DELETE FROM {t} WHERE a = 1')",
}
RIGHT = {
    "a constant-time comparison": "if hmac.compare_digest(given_token, expected): pass",
    "an empty secret": "if secret == '': pass",
    "a durable transaction": "with transaction.atomic(durable=True): pass",
    "an error's name in a log": "logger.info('otp.refused', reason=reason)",
    "SQL of our own words": (
        "def f():\n    now = statements.now_sql()\n    run(f'SELECT 1 FROM {_TABLE} WHERE at < {now}')"
    ),
    "SQL from a loop over literals": "def f():\n    for t in ('a', 'b'):\n        run(f'DELETE FROM {t} WHERE a = 1')",
    "SQL with as many marks as values": (
        'def f(ids):\n    run(f\'DELETE FROM t WHERE id IN ({", ".join(["%s"] * len(ids))})\', ids)'
    ),
    "SQL from a private function's callers": (
        "def _f(value, column):\n    run(f'SELECT 1 FROM t WHERE {column} = %s', value)\n"
        "def g(v):\n    _f(v, 'id')\n    _f(v, column='phone')"
    ),
    "SQL from a private function's text": (
        "def _m(s):\n    return statements.now_sql(), s\n"
        "def f():\n    now, p = _m(3)\n    run(f'SELECT 1 FROM t WHERE at < {now}', p)"
    ),
    "a line with its reason": "if digest == row[5]: pass  # safe: both come out of our database",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_what_broke_such_services_before_is_found(text: str) -> None:
    assert list(faults_of("some.py", text))


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT.keys())
def test_the_right_way_is_left_alone(text: str) -> None:
    assert list(faults_of("some.py", text)) == []
