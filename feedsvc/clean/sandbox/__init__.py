"""Cleaning within bounds: dumps are parsed and cleaned in processes of their own.

    Ingest -> Pool -> Process == socket ==> child: Job -> Cleaned

A dump that takes too much time or memory, or that ends the process, harms nothing but itself. Each process has one dump
in hand at a time, so the one at fault is known.
"""

from feedsvc.clean.sandbox.pool import Pool, Ticket
from feedsvc.clean.sandbox.process import Limits
from feedsvc.clean.sandbox.work import Cleaned, Job, clean_job, parse_safely

__all__ = ["Cleaned", "Job", "Limits", "Pool", "Ticket", "clean_job", "parse_safely"]
