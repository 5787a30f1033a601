"""The benchmarks' command line. Knows which benchmarks there are, not what they measure."""

import argparse
import pathlib
import sys

import compile

# Each has `options(parser)` and `run(arguments, work)`; `work` is a directory that may be filled and kept.
BENCHMARKS = {"compile": compile}


def main():
    parser = argparse.ArgumentParser(prog="tests/bench", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name, benchmark in BENCHMARKS.items():
        benchmark.options(commands.add_parser(name, description=benchmark.__doc__))
    arguments = parser.parse_args()
    work = pathlib.Path("target/lanes/bench").resolve()
    work.mkdir(parents=True, exist_ok=True)
    BENCHMARKS[arguments.benchmark].run(arguments, work)


if __name__ == "__main__":
    sys.exit(main())
