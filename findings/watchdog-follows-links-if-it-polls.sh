#!/usr/bin/env bash
# watchdog's PollingObserver follows symbolic links to folders, its inotify observer does not. A program that changes to
# polling for a network file system, as the manual advises, then gets events for files outside of the watched folder,
# under the link's name, and looks through whole trees that a link leads to. Pass PollingObserverVFS(stat=os.lstat, ...)
# to leave links alone.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv" && "$home/venv/bin/pip" install --quiet --disable-pip-version-check \
    watchdog==7.1.0 || exit 2

cat >"$home/try.py" <<'PYTHON'
import importlib.metadata
import os
import sys
import tempfile
import time
from pathlib import Path

from watchdog.events import FileSystemEventHandler
from watchdog.observers.inotify import InotifyObserver
from watchdog.observers.polling import PollingObserver, PollingObserverVFS


class Created(FileSystemEventHandler):
    def __init__(self, top):
        self.top, self.seen = top, set()

    def on_created(self, event):
        self.seen.add(str(Path(event.src_path).relative_to(self.top)))


def watch(observer):
    """The files that an observer sees being made, in the folder itself and behind a link in it."""
    with tempfile.TemporaryDirectory() as top:
        inside, outside = Path(top, "inside"), Path(top, "outside")
        inside.mkdir()
        outside.mkdir()
        (inside / "link").symlink_to(outside)
        created = Created(inside)
        observer.schedule(created, str(inside), recursive=True)
        observer.start()
        time.sleep(1.5)
        (outside / "elsewhere.txt").write_text("not in the watched folder")
        (inside / "here.txt").write_text("in the watched folder")
        time.sleep(2.5)
        observer.stop()
        observer.join()
        return sorted(created.seen)


print("watchdog", importlib.metadata.version("watchdog"), "on Python", sys.version.split()[0], "and", sys.platform)
seen = {
    "InotifyObserver": watch(InotifyObserver()),
    "PollingObserver": watch(PollingObserver()),
    "PollingObserverVFS with lstat": watch(PollingObserverVFS(stat=os.lstat, listdir=os.scandir, polling_interval=1)),
}
for name, files in seen.items():
    print(f"{name}: {files}")
print(
    "A good guess: the observers differ in speed and cost, not in the set of files. recursive=True means the folders "
    "inside. Wrong: polling asks stat(), which follows links, and walks into them."
)
only_here = ["here.txt"]
as_described = list(seen.values()) == [only_here, ["here.txt", "link/elsewhere.txt"], only_here]
sys.exit(0 if as_described else 1)
PYTHON
"$home/venv/bin/python" "$home/try.py"
