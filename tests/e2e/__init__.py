"""feedsvc from the outside: the command line as subprocesses, and HTTP."""
