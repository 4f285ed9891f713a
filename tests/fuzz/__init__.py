"""Fuzzing: what must hold for any bytes, and a driver that looks for bytes for which it does not.

    target: bytes -> check -> nothing, or an AssertionError, or whatever feedsvc raises and should not

The targets import no fuzzer, so that every test run replays the corpus: small inputs that cover much, and each input
that once broke something. `python -m fuzz` in the folder above runs them under atheris, which changes inputs by the
code that they reach.
"""
