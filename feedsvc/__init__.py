"""feedsvc: watches a folder of dump files, cleans them, serves a clean Atom feed."""

__all__ = ["__version__"]

__version__ = "0.1.0"
