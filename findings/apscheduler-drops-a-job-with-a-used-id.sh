#!/usr/bin/env bash
# APScheduler 3 lets a job that runs once be added again under its id while its earlier run goes on, and then drops the
# new run: the limit of instances counts runs by id, although the earlier job is no longer in the store. Services that
# ask "render soon" under a fixed id, at any time, are affected: the last request before a pause is lost. Add such jobs
# without an id, and count requests yourself.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv" && "$home/venv/bin/pip" install --quiet --disable-pip-version-check \
    APScheduler==3.11.3 tzlocal==5.3.1 || exit 2

cat >"$home/try.py" <<'PYTHON'
import importlib.metadata
import logging
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

from apscheduler.events import EVENT_JOB_MAX_INSTANCES
from apscheduler.schedulers.background import BackgroundScheduler

logging.getLogger("apscheduler").addHandler(logging.NullHandler())


def run_twice(**key):
    """Add a job that takes a second; while it runs, add it once more. Returns what was seen."""
    runs, events = [], []
    begun, go_on = threading.Event(), threading.Event()

    def work(name):
        runs.append(name)
        begun.set()
        go_on.wait(1.0)

    def add(name):
        soon = datetime.now(timezone.utc) + timedelta(milliseconds=50)
        return scheduler.add_job(work, "date", run_date=soon, args=[name], misfire_grace_time=None, **key)

    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.add_listener(events.append, EVENT_JOB_MAX_INSTANCES)
    scheduler.start()
    add("first")
    begun.wait()
    time.sleep(0.2)
    left = len(scheduler.get_jobs())
    second = add("second")
    time.sleep(2.0)
    go_on.set()
    still_there = scheduler.get_job(second.id) is not None
    scheduler.shutdown()
    return {"jobs stored while the first runs": left, "runs": runs, "dropped": len(events), "tried later": still_there}


print("APScheduler", importlib.metadata.version("APScheduler"), "on Python", sys.version.split()[0])
same, none = run_twice(id="render"), run_twice()
print("under one id:  ", same)
print("without an id: ", none)
print(
    "A good guess: the store is empty while the first job runs and add_job() raises no ConflictingIdError, so the second "
    "job is a new one, and waits for a thread or runs beside the first. Wrong: max_instances (1 by default) counts runs "
    "by id. The run is skipped with a warning in the log, and since its trigger has no further time, the job is gone."
)
as_described = (
    same == {"jobs stored while the first runs": 0, "runs": ["first"], "dropped": 1, "tried later": False}
    and none["runs"] == ["first", "second"]
)
sys.exit(0 if as_described else 1)
PYTHON
"$home/venv/bin/python" "$home/try.py"
