"""watchdog's events of one folder -> the agenda."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from watchdog.events import (
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEventHandler,
)

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

    from feedsvc.watch.agenda import Agenda
    from feedsvc.watch.folder import Folder

__all__ = ["FolderHandler"]


class FolderHandler(FileSystemEventHandler):
    """Takes the events of one folder, but for those that say nothing about a file's content."""

    def __init__(self, folder: Folder, agenda: Agenda, *, recursive: bool, polling: bool) -> None:
        """Note the events of `folder` in `agenda`."""
        self._folder = folder
        self._agenda = agenda
        self._recursive = recursive
        self._polling = polling

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take one event, in the observer's thread."""
        source, destination = self._path(event.src_path), self._path(event.dest_path)
        match event:
            case FileClosedEvent() if source:
                self._agenda.touch(source, finished=True)
            case FileCreatedEvent() | FileModifiedEvent() | FileAttribEvent() if source:
                self._agenda.touch(source)
            case FileDeletedEvent() | FileMovedEvent():
                if source:
                    self._agenda.replace(source)
                if destination:
                    # Polling calls it a move when another file got the inode, which may still be written.
                    self._agenda.replace(destination, finished=not self._polling)
            case DirDeletedEvent() | DirMovedEvent():
                # The files inside are not known here.
                self._agenda.request_listing(self._folder)
                if event.src_path == self._folder.real:
                    self._agenda.check_at_once()

    def _path(self, event_path: bytes | str) -> str | None:
        return self._folder.path_of(os.fsdecode(event_path), recursive=self._recursive)
