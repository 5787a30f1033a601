"""Runs commands by turns and says what they cost. Knows nothing of the commands.

Processor time is user + system of the process and of the children it waited for. Peak memory is measured in a run of
its own: a process that this one starts would be charged with this one's memory.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv


class Case:
    """A command with its measured runs. `seconds` bounds what all of its runs may take together."""

    def __init__(self, name, command, directory, seconds=20.0, expect=0):
        self.name = name
        self.command = [str(word) for word in command]
        self.directory = directory
        self.seconds = seconds
        self.expect = expect
        self.cpu = []
        self.wall = []
        self.memory = None

    def once(self):
        start = time.perf_counter()
        process = os.posix_spawn(
            self.command[0],
            self.command,
            dict(os.environ, RAYON_NUM_THREADS="1"),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
        )
        _, status, usage = os.wait4(process, 0)
        wall = time.perf_counter() - start
        code = os.waitstatus_to_exitcode(status)
        if code != self.expect:
            sys.exit(f"{self.name}: {' '.join(self.command)} ended with {code}, not {self.expect}")
        self.wall.append(wall)
        self.cpu.append(usage.ru_utime + usage.ru_stime)

    def measure_memory(self):
        """Peak resident memory in bytes; `None` without GNU time, which starts from almost nothing."""
        tool = shutil.which("time")
        if tool is None:
            return
        with tempfile.NamedTemporaryFile("r") as out:
            command = [tool, "-q", "-f", "%M", "-o", out.name, *self.command]
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.run(command, cwd=self.directory, check=False, **quiet)
            self.memory = int(out.read().split()[-1]) * 1024

    def middle(self):
        return statistics.median(self.cpu)


def by_turns(cases, runs):
    """Runs each case once, then again and again by turns, so that a busy machine slows all of them alike."""
    for case in cases:
        os.chdir(case.directory)
        case.once()
        case.measure_memory()
        # The first run warmed the caches; it does not count.
        first = case.wall.pop()
        case.cpu.clear()
        case.runs = max(1, min(runs, int(case.seconds / max(first, 0.001))))
    for turn in range(max(case.runs for case in cases)):
        for case in cases:
            if turn < case.runs:
                os.chdir(case.directory)
                case.once()


def table(headings, rows):
    """Prints rows of text, the first column to the left and the others to the right."""
    widths = [max(len(row[at]) for row in [headings, *rows]) for at in range(len(headings))]
    for row in [headings, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        print("  ".join(cells).rstrip())


def milliseconds(values):
    """`least / middle / most`."""
    return " / ".join(f"{1000 * value:.1f}" for value in (min(values), statistics.median(values), max(values)))


def megabytes(memory):
    return "?" if memory is None else f"{memory / 1e6:.1f}"


def installed(work, requirement, program):
    """The program of a PyPI package, installed into an environment of its own; `None` if that is not possible."""
    home = work / "venv" / requirement
    path = home / "bin" / program
    if not path.exists():
        print(f"installing {requirement}", file=sys.stderr)
        try:
            venv.create(home, with_pip=True, clear=True)
            pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, requirement], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(home, ignore_errors=True)
            print(f"without {requirement}: {error}", file=sys.stderr)
            return None
    return path if path.exists() else None
