#!/usr/bin/env bash
# pytest-xdist 3.8 puts tests with one xdist_group mark on one worker by writing the group into the private _nodeid of
# each test. pytest 9.2 keeps ids elsewhere: with it, --dist loadgroup spreads a group over all workers, without an
# error or a warning. Tests that share an expensive or exclusive thing by group are affected. Run such tests in a call
# of their own without workers, or use --dist loadfile, until a newer xdist is out.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cat >"$home/test_group.py" <<'PYTHON'
import os
import threading

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(12))
def test_worker(number):
    threading.Event().wait(0.2)
    print("ran on", os.environ["PYTEST_XDIST_WORKER"])
PYTHON

workers() { # PYTEST-VERSION -> how many workers ran tests of the group
    python3 -m venv "$home/$1" && "$home/$1/bin/pip" install --quiet --disable-pip-version-check \
        "pytest==$1" pytest-xdist==3.8.0 execnet==2.1.2 || exit 2
    (cd "$home" && "$home/$1/bin/pytest" -p no:cacheprovider -n 3 --dist loadgroup -rP test_group.py) |
        grep -o 'ran on gw[0-9]*' | sort -u | wc -l
}

before=$(workers 9.0.2)
after=$(workers 9.2.0)
echo "$(python3 --version), pytest-xdist 3.8.0, 3 workers, 12 tests of one group"
echo "pytest 9.0.2: the group ran on $before worker(s)"
echo "pytest 9.2.0: the group ran on $after worker(s)"
echo "A good guess: a plug-in that a new pytest breaks fails, or says so, and pip would refuse the pair. Wrong: writing"
echo "the attribute still succeeds, nobody reads it, and the tests only fail if they miss each other."
[ "$before" = 1 ] && [ "$after" -gt 1 ]
