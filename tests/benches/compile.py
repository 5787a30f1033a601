"""What it costs to check a plan: beside ruff on as many functions, and beside peers on plans of the same size."""

import pathlib
import subprocess

import plans
from measure import Case, by_turns, installed, megabytes, milliseconds, table

RUFF = "ruff==0.17.5"
SPECFUSE = "specfuse-loop==0.29.1"
SPEC_RUNNER = "spec-runner==5.0.0"

# What spec/benchmarks.md promises for 10,000 units.
AGAINST_RUFF = 0.5
MOST_MEMORY = 64_000_000


def options(parser):
    parser.add_argument("--runs", type=int, default=21, help="runs of each command (fewer where one takes seconds)")
    parser.add_argument("--sizes", default="10,100,1000,10000", help="units of the plans")
    parser.add_argument("--no-peers", action="store_true", help="neither install nor run other tools")


def run(arguments, work):
    root = pathlib.Path.cwd()
    loopc = root / "target/release/loopc"
    sizes = [int(size) for size in arguments.sizes.split(",")]
    peers = not arguments.no_peers
    ruff = installed(work, RUFF, "ruff") if peers else None
    specfuse = installed(work, SPECFUSE, "specfuse-lint") if peers else None
    spec_runner = installed(work, SPEC_RUNNER, "spec-runner") if peers else None

    cases = []
    for size in sizes:
        directory = work / f"loop-{size}"
        plan = plans.loop(directory, size)
        group = [Case(f"loopc check, {size:,} units", [loopc, "check", plan], directory)]
        if size == 10_000 and ruff:
            directory = work / "python"
            module = plans.functions(directory, size)
            command = [ruff, "check", "--isolated", "--no-cache", module]
            group.append(Case(f"ruff check, {size:,} functions", command, directory))
        if specfuse:
            directory = work / f"specfuse-{size}"
            feature = plans.specfuse(directory, size)
            group.append(Case(f"specfuse-lint, {size:,} units", [specfuse, feature], directory))
        if spec_runner:
            directory = work / f"spec-runner-{size}"
            plans.spec_runner(directory, size)
            group.append(Case(f"spec-runner validate, {size:,} tasks", [spec_runner, "validate"], directory))
        by_turns(group, arguments.runs)
        cases.append(group)
    report(cases)
    largest = work / f"loop-{sizes[-1]}" / "bench.loop.kdl"
    print(f"\nphases of {largest.stat().st_size / 1e6:.2f} MB in one process, least and middle of {arguments.runs} runs")
    subprocess.run([root / "target/release/phases", largest, str(arguments.runs)], check=True, cwd=largest.parent)


def report(cases):
    rows = []
    for group in cases:
        own = group[0]
        for case in group:
            ratio = case.middle() / own.middle()
            rows.append([
                case.name,
                str(len(case.cpu)),
                milliseconds(case.cpu),
                milliseconds(case.wall),
                megabytes(case.memory),
                "1" if case is own else f"{ratio:,.1f}",
            ])
    print("least / middle / most; `times` is the middle of the processor time over that of `loopc`")
    table(["command", "runs", "processor ms", "wall ms", "MB", "times"], rows)
    for group in cases:
        own = group[0]
        anchor = next((case for case in group if case.name.startswith("ruff")), None)
        if anchor:
            ratio = own.middle() / anchor.middle()
            print(f"\nagainst ruff: {ratio:.2f} (the aim is at most {AGAINST_RUFF})")
            if own.memory is not None:
                print(f"memory: {own.memory / 1e6:.1f} MB (the aim is less than {MOST_MEMORY / 1e6:.0f})")
