"""Watched folders: their files that have settled, those that are gone, and lists of all.

    inotify or polling -> watchdog's observer -> Settling -> deliver(Change)
    start, rescan, lost events, folder back   -> scan     -> deliver(Listing)

Files, everywhere alike:

- Regular files only, by `lstat`: no symbolic link is followed, and no FIFO, socket or device is opened. A file
  inside the folder is delivered under its own name, even if a link leads to it.
- A watched folder may itself be a symbolic link: it is followed, and paths keep the name that was configured.
- Hidden folders (`.git`, `.stfolder`) are not entered. Hidden files are delivered.
- A folder that lies inside another watched folder, or is the same one, is dropped: a file has one path only.
"""

from __future__ import annotations

from feedsvc.watch.files import Change, FileState, Listing
from feedsvc.watch.watcher import Watcher

__all__ = ["Change", "FileState", "Listing", "Watcher"]
