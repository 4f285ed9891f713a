"""Looks for inputs that break a target, by atheris, and says how many were tried.

    cd tests && python -m fuzz [--executions N] [--seed N] [--findings DIR] [TARGET[=N]...]

Every target runs in a process of its own. An input that breaks something is written to DIR/TARGET and does not end the
run; of those that break at the same line, the first few are. An input that takes longer than 25 s, or more than 2 GB
of memory, ends its target.
"""

from __future__ import annotations

import argparse
import logging
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.pieces import changer
from fuzz.targets import CORPUS, TARGETS, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MOST_ALIKE = 3
_LIMITS = ("-max_len=600", "-timeout=25", "-rss_limit_mb=2048", "-print_final_stats=1")
_DONE = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
_COVERED = re.compile(r"cov: (\d+)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the targets; 1 where something broke."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = ", ".join(TARGETS)
    parser.add_argument("targets", nargs="*", metavar="TARGET[=N]", help=f"of {names}; all by default")
    parser.add_argument("--executions", type=int, default=1000, help="of each target that has no number of its own")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="targets that run at once")
    parser.add_argument("--findings", type=Path, default=Path("findings"), help="where inputs that break it are put")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    wanted = [(name, int(number or given.executions)) for name, _, number in map(_parted, given.targets or TARGETS)]
    unknown = {name for name, _ in wanted} - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}; there are {names}")
    if given.inside:
        [(name, executions)] = wanted
        _fuzz(name, executions, given.seed, given.findings)
    with ThreadPoolExecutor(given.jobs) as pool:
        runs = [pool.submit(_run, name, executions, given.seed, given.findings) for name, executions in wanted]
    print(f"{sum(run.result()[0] for run in runs):,} executions in all")
    return int(any(run.result()[1] for run in runs))


def _parted(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def _run(name: str, executions: int, seed: int, findings: Path) -> tuple[int, bool]:
    """Run one target; tell how often, and whether something broke."""
    started = time.monotonic()
    options = ["--seed", str(seed), "--findings", str(findings)]
    command = [sys.executable, "-m", "fuzz", "--inside", *options, f"{name}={executions}"]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    said = done.stderr.decode("utf-8", "replace")
    count = int(found[1]) if (found := _DONE.search(said)) else 0
    covered = [0, *map(int, _COVERED.findall(said))][-1]
    seconds = time.monotonic() - started
    print(f"{name}: {count:,} executions in {seconds:.0f} s, {covered} edges covered", flush=True)
    breaks = "\n".join(line for line in said.splitlines() if line.startswith("BROKEN"))
    if breaks or done.returncode:
        print(breaks or said[-3000:], flush=True)
    return count, bool(breaks or done.returncode)


def _fuzz(name: str, executions: int, seed: int, findings: Path) -> None:
    """Fuzz one target; does not return."""
    import atheris  # noqa: PLC0415 - only the fuzzer needs it, and it hooks the imports that follow

    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=["feedsvc"]):
        target = load(name)
    with tempfile.TemporaryDirectory() as folder:
        known = [str(CORPUS / name)] if (CORPUS / name).is_dir() else []
        atheris.Setup(
            ["fuzz", f"-runs={executions}", f"-seed={seed}", f"-artifact_prefix={folder}/", *_LIMITS, folder, *known],
            _recording(target.check, findings / name),
            custom_mutator=changer(target.PIECES),
        )
        atheris.Fuzz()


def _recording(check: Callable[[bytes], None], folder: Path) -> Callable[[bytes], None]:
    """Let the run go on when an input breaks something."""
    alike: Counter[tuple[str, str, int | None]] = Counter()

    def run(data: bytes) -> None:
        try:
            check(data)
        except Exception as error:  # noqa: BLE001 - any is a finding
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = (type(error).__name__, last.filename, last.lineno)
            alike[place] += 1
            if alike[place] <= _MOST_ALIKE:
                folder.mkdir(parents=True, exist_ok=True)
                path = folder / sha256(data).hexdigest()[:12]
                path.write_bytes(data)
                sys.stderr.write(f"BROKEN {path} {Path(last.filename).name}:{last.lineno} {error!r:.500}\n")

    return run


if __name__ == "__main__":
    sys.exit(main())
