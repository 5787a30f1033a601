"""Writes plans of any size, for each tool in its own format: the same units with the same dependencies.

Units come in gates of 25. In a gate each unit needs the one before it, and every fourth one also the one three before
it. Knows nothing of what is measured.
"""

import subprocess

GATE = 25


def dependencies(unit):
    """The units that a unit needs."""
    place = unit % GATE
    near = [unit - 1] if place else []
    return near + ([unit - 3] if place > 3 and place % 4 == 0 else [])


GOAL = "Add module {} of the application, with its interface and its tests."
CRITERION = "module {} answers as its specification says"


def repository(directory):
    """An empty git repository; false if it has been filled before."""
    if (directory / "complete").exists():
        return False
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "--quiet", directory], check=True)
    return True


PROJECT = """\
project bench {
    agent writer via=command { run "./agent.sh"; }
    defaults agent=writer { verify test; }
    verifier test { run cargo test; }
    verifier lint { run cargo clippy; }
}
"""


def loop(directory, units):
    """A plan of this project: about 440 bytes a unit, with patterns, criteria and predicates."""
    plan = directory / "bench.loop.kdl"
    if not repository(directory):
        return plan
    (directory / "loop.kdl").write_text(PROJECT)
    requirements = -(-units // 10)
    with plan.open("w") as out:
        out.write('feature FEAT-2026-0001 title="A plan of many units" {\n')
        out.write('    goal "The compiler is measured."\n')
        for at in range(requirements):
            out.write(f'    requirement R{at} "the application does the thing number {at}"\n')
        for unit in range(units):
            if unit % GATE == 0:
                out.write("    }\n" if unit else "")
                out.write(f'    gate g{unit // GATE} {{\n        goal "Stage {unit // GATE} works."\n')
            needs = dependencies(unit)
            out.write(f'        unit u{unit} {{\n')
            out.write(f'            goal "{GOAL.format(unit)}"\n')
            if needs:
                out.write(f"            needs {' '.join(f'u{need}' for need in needs)}\n")
                out.write(f'            inputs "docs/m{needs[0]}.md"\n')
            out.write(f'            writes "src/m{unit}/**" "tests/m{unit}/*.rs"\n')
            out.write(f'            creates "docs/m{unit}.md"\n')
            out.write(f"            covers R{unit // 10}\n")
            out.write(f'            accept "{CRITERION.format(unit)}" by=test\n')
            out.write(f'            accept "its page is there" {{ exists "docs/m{unit}.md"; }}\n')
            out.write("        }\n")
        out.write("    }\n}\n")
    (directory / "complete").touch()
    return plan


def functions(directory, count):
    """A Python module of this many functions, about 130 bytes each, in which a linter finds nothing."""
    directory.mkdir(parents=True, exist_ok=True)
    module = directory / "functions.py"
    with module.open("w") as out:
        for at in range(count):
            gap = "\n\n" if at else ""
            out.write(f'{gap}def step_{at}(first, second):\n    """Adds up step {at}."""\n')
            out.write(f"    if first > {at}:\n        return first + second * {at}\n    return -first\n")
    return module


SECTIONS = """
# Make module {unit}

## Objective

{goal}

## Context

docs/m{unit}.md and src/m{unit}

## Acceptance criteria

- {criterion}

## Do not touch

- .git

## Verification

cargo test

## Escalation triggers

none
"""


def specfuse(directory, units):
    """A feature for specfuse-loop, in one gate; its lint finds no error. The path of the feature."""
    feature = directory / ".specfuse/features/FEAT-2026-0001-bench"
    if not repository(directory):
        return feature
    feature.mkdir(parents=True)
    # Two digits are all that an id of a unit may have; a letter and any number may follow.
    ids = [f"FEAT-2026-0001/T{at % 99 + 1:02}" + (f"H{at // 99}" if at >= 99 else "") for at in range(units)]
    with (feature / "PLAN.md").open("w") as out:
        out.write("---\nfeature_id: FEAT-2026-0001\ntitle: Bench\nbranch: feat/bench\nroadmap_goal: bench\n")
        out.write("status: active\nautonomy_default: review\n---\n\n# Bench\n\n```yaml\ngates:\n  - gate: 1\n")
        out.write("    file: GATE-01.md\n    work_units:\n")
        for unit, name in enumerate(ids):
            needs = ", ".join(ids[need] for need in dependencies(unit))
            out.write(f"      - id: {name}\n        file: WU-{unit:05}.md\n        depends_on: [{needs}]\n")
        out.write(f"      - id: FEAT-2026-0001/G1-CLOSE\n        file: WU-close.md\n        depends_on: [{ids[-1]}]\n```\n")
    (feature / "GATE-01.md").write_text(
        '---\ngate: 1\nstatus: open\nfeature_oracle: "true"\n---\n\n## Definition of done\n\nAll done.\n'
    )
    head = "---\nid: {}\ntype: {}\nstatus: pending\nattempts: 0\nmodel: sonnet\neffort: medium\n"
    for unit, name in enumerate(ids):
        text = head.format(name, "implementation") + f"planned_cost_usd: 0.10\nproduces: src/m{unit}/mod.rs\n---\n"
        text += SECTIONS.format(unit=unit, goal=GOAL.format(unit), criterion=CRITERION.format(unit))
        (feature / f"WU-{unit:05}.md").write_text(text)
    close = head.format("FEAT-2026-0001/G1-CLOSE", "close")
    close += "planned_cost_usd: 5.00\nauto_close_disabled: true\nverdict:\n---\n"
    (feature / "WU-close.md").write_text(close + SECTIONS.format(unit=0, goal="Close.", criterion="all is done"))
    (directory / "complete").touch()
    return feature


def spec_runner(directory, units):
    """The tasks of a spec-runner project; `validate` finds nothing in them."""
    if not repository(directory):
        return
    (directory / "spec").mkdir()
    with (directory / "spec/tasks.md").open("w") as out:
        out.write("# Tasks\n\n")
        for unit in range(units):
            if unit % GATE == 0:
                out.write(f"## Milestone {unit // GATE}\n\n")
            needs = ", ".join(f"[TASK-{need + 1:05}]" for need in dependencies(unit)) or "—"
            out.write(f"### TASK-{unit + 1:05}: Make module {unit}\n🟡 P2 | ⬜ TODO | Est: 1h\n\n")
            out.write(f"{GOAL.format(unit)}\n\n**Checklist:**\n- [ ] {CRITERION.format(unit)}\n")
            out.write(f"- [ ] its page is there\n\n**Traces to:** [REQ-{unit // 10 + 1:03}]\n")
            out.write(f"**Depends on:** {needs}\n**Blocks:** —\n\n")
    (directory / "complete").touch()
