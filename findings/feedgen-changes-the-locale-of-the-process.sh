#!/usr/bin/env bash
# feedgen writes each date of an RSS feed under the locale "C", and sets it for the whole process: all categories, all
# threads, twice a date. Threads of the same program that format numbers, dates or sort words by locale get those of
# "C" now and then. Replace feedgen's formatRFC2822 with email.utils.format_datetime, or render in a process of its own.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv" && "$home/venv/bin/pip" install --quiet --disable-pip-version-check \
    feedgen==1.0.0 lxml==6.1.3 python-dateutil==2.9.0.post0 six==1.17.0 || exit 2

cat >"$home/try.py" <<'PYTHON'
import importlib.metadata
import locale
import sys
import threading
from datetime import datetime, timezone

from feedgen.feed import FeedGenerator

locale.setlocale(locale.LC_ALL, "C.UTF-8")
seen, done = set(), threading.Event()


def look():
    """Another part of the program, which never changes the locale."""
    while not done.is_set():
        seen.add(locale.setlocale(locale.LC_ALL))


def make(entries):
    feed = FeedGenerator()
    feed.title("Example")
    feed.link(href="https://example.org/")
    feed.description("Example")
    feed.lastBuildDate(datetime(2024, 4, 3, tzinfo=timezone.utc))
    for number in range(entries):
        entry = feed.add_entry()
        entry.title(f"Entry {number}")
        entry.pubDate(datetime(2024, 4, 3, tzinfo=timezone.utc))
    return feed


feed = make(200)
sys.setswitchinterval(1e-6)
other = threading.Thread(target=look)
other.start()
for _ in range(50):
    feed.rss_str()
done.set()
other.join()

calls = []
real = locale.setlocale
locale.setlocale = lambda *args: (calls.append(args), real(*args))[1]
make(10).rss_str()
changes = [args for args in calls if len(args) > 1]

print("feedgen", importlib.metadata.version("feedgen"), "on Python", sys.version.split()[0])
print("locales that another thread saw while RSS was rendered:", sorted(seen))
print("changes of the locale for 10 entries with a date each:", len(changes), "such as", changes[:2])
print(
    "A good guess: writing a date is a pure function, and RFC 822 dates do not depend on the locale. Wrong: feedgen uses "
    "strftime, and guards it by setlocale(), which is the whole process's and safe for no thread."
)
sys.exit(0 if seen == {"C", "C.UTF-8"} and len(changes) >= 20 else 1)
PYTHON
"$home/venv/bin/python" "$home/try.py"
