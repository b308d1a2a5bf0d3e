"""One command: wall time, processor time, peak memory."""

import mmap
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass
class Figures:
    wall: float  # seconds
    cpu: float  # seconds, user and system, of the command alone
    peak: float  # MiB resident
    code: int

    def __str__(self):
        return f"{self.wall:7.3f} s  cpu {self.cpu:5.2f} s  peak {self.peak:5.1f} MiB"

    @classmethod
    def median(cls, figures):
        middle = {it: statistics.median(getattr(one, it) for one in figures) for it in ("wall", "cpu", "peak")}
        return cls(**middle, code=max(one.code for one in figures))


def settle(much):
    """Nothing is left to be written; and where `much` is moved, memory that will be asked for was touched just
    before: on a virtual machine the host takes free memory away, and whoever needs it next would pay for it."""
    os.sync()
    if not much:
        return
    size = 3 << 30
    with mmap.mmap(-1, size) as memory:
        for page in range(0, size, mmap.PAGESIZE):
            memory[page] = 1


def measure(command, environment, scratch, much=False):
    """GNU time is the command's parent, so that the peak is not that of this interpreter. `much`: it moves so much
    that the state of the machine's memory counts."""
    settle(much)
    told, output = scratch / "time", scratch / "output"
    begin = time.monotonic()
    with output.open("wb") as file:
        timed = ["/usr/bin/time", "-q", "-f", "%U %S %M", "-o", told, *command]
        code = subprocess.run(timed, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False).returncode
    wall = time.monotonic() - begin
    if code != 0:
        print(f"{command[0]} ended with {code}: {output.read_text()[-500:]}", file=sys.stderr)
    user, system, kilobytes = told.read_text().split()[-3:]
    return Figures(wall, float(user) + float(system), int(kilobytes) / 1024, code)
