from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Two threads' worth of blocks, freed but for a small one behind each: as renders leave them.
CHURN = """
import ctypes, sys, threading
from feedsvc.runtime.heap import keep_heap_small
told = sys.argv[1] == "told" and keep_heap_small()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def churn():
    libc.free(libc.malloc(30 << 20))  # from now on glibc would keep blocks up to this size
    large = []
    for _ in range(100):
        large.append(libc.malloc(1 << 20))
        ctypes.memset(large[-1], 1, 1 << 20)
        libc.malloc(4000)
    for block in large:
        libc.free(block)
threads = [threading.Thread(target=churn) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with open("/proc/self/statm") as file:
    print(int(file.read().split()[1]) * 4096, told)
"""


def churn(how: str) -> tuple[int, bool]:
    done = subprocess.run([sys.executable, "-c", CHURN, how], capture_output=True, text=True, check=True)
    size, told = done.stdout.split()
    return int(size), told == "True"


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_large_blocks_go_back_though_small_ones_stay_between_them() -> None:
    size, told = churn("told")
    assert told
    assert churn("untold")[0] - size > 100 << 20
