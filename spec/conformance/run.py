#!/usr/bin/env python3
"""Runs the cases beside this file against a compiler of the plan language. Python 3.8, and its standard library alone.

    python3 run.py [--cases DIRECTORY] COMMAND...

COMMAND is called as README.md says, in a copy of each case's repository. Each case is told in one line.
Exit 0: all passed. Exit 1: some did not. Exit 2: there was nothing to run.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FORMAT = 1
DAY = "1767225600"  # 2026-01-01, the day on which every case is judged.
LIMIT = 60  # Seconds for one call.


class Failed(Exception):
    pass


def call(command, root, *arguments):
    """One run of the compiler, which must end by itself."""
    surroundings = {"PATH": os.environ.get("PATH", ""), "SOURCE_DATE_EPOCH": DAY, "HOME": str(root.parent)}
    try:
        return subprocess.run([*command, *arguments], cwd=root, env=surroundings, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(arguments)}: did not end in {LIMIT} seconds")


def as_json(what, bytes_):
    try:
        return json.loads(bytes_.decode("utf-8"))
    except ValueError as error:
        raise Failed(f"{what}: standard output is no JSON ({error})")


def place(position):
    return tuple(position[name] for name in ("line", "column", "offset"))


def normative(finding):
    """What counts of a finding, as something that can be sorted and compared."""
    spread = finding["range"]
    return (finding["file"], place(spread["start"]), place(spread["end"]),
            finding["code"], finding["name"], finding["severity"])


def told(finding):
    file, start, end, code, name, severity = finding
    return (f"{file}:{start[0]}:{start[1]} to {end[0]}:{end[1]} (bytes {start[2]} to {end[2]}) "
            f"{severity} {code} {name}")


def difference(wanted, found):
    """Items of two lists that the other has not, each as often as it is missing."""
    lines = []
    for sign, some, others in (("missing", wanted, found), ("unexpected", found, wanted)):
        others = list(others)
        for item in some:
            if item in others:
                others.remove(item)
            else:
                lines.append(f"{sign}: {item}")
    return lines


def findings(case, root, command):
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    if expected["format_version"] != FORMAT:
        raise Failed(f"expected.json is of format {expected['format_version']}, this script reads {FORMAT}")
    wanted = [normative(finding) for finding in expected["diagnostics"]]
    run = call(command, root, "check", "--format", "json")
    code = 1 if any(finding[5] == "error" for finding in wanted) else 0
    lines = []
    if run.returncode != code:
        lines.append(f"check: exit {run.returncode}, expected {code}")
    try:
        found = [normative(finding) for finding in as_json("check", run.stdout)["diagnostics"]]
    except (KeyError, TypeError) as error:
        raise Failed(f"check: a member is missing or of another kind: {error}")
    return lines + difference([told(one) for one in sorted(wanted)], [told(one) for one in sorted(found)])


def digests(case, root, command):
    file = case / "expected.digest"
    wanted = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    plans = sorted({line.split(" ")[0] for line in wanted}
                   | {path.relative_to(root).as_posix() for path in root.rglob("*.loop.kdl") if path.is_file()})
    found = []
    for plan in plans:
        run = call(command, root, "build", plan, "--digest")
        if run.returncode == 0:
            found.append(f"{plan} graph {run.stdout.decode('utf-8').strip()}")
            run = call(command, root, "build", plan)
            for node in as_json(f"build {plan}", run.stdout)["nodes"]:
                if node["kind"] == "dispatch":
                    found.append(f"{plan} ask {node['id']} {node['ask_digest']}")
    return difference(wanted, found)


def judge(case, command):
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory).resolve() / "repo"
        shutil.copytree(case / "repo", root, symlinks=True)
        # What makes a directory a repository; nothing is ever read from it.
        (root / ".git").mkdir()
        try:
            return findings(case, root, command) + digests(case, root, command)
        except Failed as failure:
            return [str(failure)]


def main(arguments):
    cases = Path(__file__).resolve().parent / "cases"
    if arguments[:1] == ["--cases"]:
        cases, arguments = Path(arguments[1]), arguments[2:]
    if not arguments:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    program = shutil.which(arguments[0])
    if program is None:
        print(f"there is no program {arguments[0]}", file=sys.stderr)
        return 2
    command = [os.path.abspath(program), *arguments[1:]]
    found = sorted(file.parent for file in cases.rglob("expected.json"))
    if not found:
        print(f"there is no case below {cases}", file=sys.stderr)
        return 2
    failed = 0
    for case in found:
        lines = judge(case, command)
        name = case.relative_to(cases).as_posix()
        print(f"FAIL {name}" if lines else f"pass {name}")
        for line in lines:
            print(f"    {line}")
        failed += bool(lines)
    print(f"{len(found) - failed} of {len(found)} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
