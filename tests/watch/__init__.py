"""Watching, told by a real Watcher about real files."""
