"""Feeds and entries as pages for people."""
