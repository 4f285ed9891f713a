"""Wiring: the configuration, the service, the daemon, the command line."""
