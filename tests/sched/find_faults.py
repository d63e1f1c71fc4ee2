#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants faults in copies of lido's sources and wants the scheduler to find each of them.

    find_faults.py SOURCE_ROOT WORK_FOLDER PARTS_ARCHIVE LIDO_ARCHIVE COMPILER... -- FLAGS...

The flags are those for compiling and linking.  LIDO_SCHED_FAULT in the environment names one
that is wanted alone.  Each file in tests/sched/faults/ is a fault:

    # A comment that says what is wrong.
    file pool/release.c
    replace
    ...the exact text, which must be there once...
    by
    ...what stands there instead...
    end

with as many files and replacements as it needs.  One that few schedules of one scenario show
says which that is, and no other is played:

    scenario cancel-static

Only what is changed is compiled: of a header whatever includes it.  It must find all of them:
the last line says how many it found.
"""

import concurrent.futures
import os
import re
import subprocess
import sys
import time
from pathlib import Path

SEEDS = "30000"
LONGEST_S = 120
FOLDERS = ["base", "hooks", "driver", "pool", "txn", "engine"]


def read_fault(path):
    """The changes of a fault, [file, old, new] each, and the scenario to play, or None."""
    changes, scenario, file, old, new, part = [], None, None, [], [], None
    for line in path.read_text().split("\n"):
        if part is None:
            if line.startswith("file "):
                file = line[5:].strip()
            elif line.startswith("scenario "):
                scenario = line[9:].strip()
            elif line == "replace":
                part, old, new = "old", [], []
            elif line and not line.startswith("#"):
                raise ValueError(f"{path.name}: not understood: {line}")
        elif part == "old" and line == "by":
            part = "new"
        elif part == "new" and line == "end":
            changes.append((file, "\n".join(old) + "\n", "\n".join(new) + "\n"))
            part = None
        else:
            (old if part == "old" else new).append(line)
    if part is not None or not changes:
        raise ValueError(f"{path.name}: it has no end, or changes nothing")
    return changes, scenario


def plant(fault, changes, root, folder):
    """Writes the changed files below folder; answers their names."""
    texts = {}
    for file, old, new in changes:
        text = texts.get(file) or (root / file).read_text()
        if text.count(old) != 1:
            raise ValueError(
                f"{fault.name}: its text is {text.count(old)} times in {file}:\n{old}"
            )
        texts[file] = text.replace(old, new if new != "\n" else "")
    for file, text in texts.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    return list(texts)


def included_by(root, headers):
    """All C files that include one of the headers, directly or not."""
    texts = {
        str(path.relative_to(root)): path.read_text()
        for name in FOLDERS
        for path in (root / name).glob("*.[ch]")
    }
    reached = set(headers)
    while True:
        more = {
            name
            for name, text in texts.items()
            if any(re.search(f'#include "{re.escape(to)}"', text) for to in reached)
        } - reached
        if not more:
            return {name for name in reached if name.endswith(".c")}
        reached |= more


def build(fault, changes, root, work, archives, command, flags):
    """The scheduler with that fault."""
    folder = work / fault.name
    changed = plant(fault, changes, root, folder)
    sources = {name for name in changed if name.endswith(".c")}
    sources |= included_by(root, [name for name in changed if name.endswith(".h")])
    paths = [folder / name if name in changed else root / name for name in sorted(sources)]
    program = folder / "sched-play"
    includes = [f"-I{folder}", f"-I{root}", f"-I{root / 'include'}"]
    subprocess.run(
        [*command, "-w", "-UNDEBUG", *includes]
        + ["-include", str(root / "tests/sched/build.h"), *map(str, paths)]
        + ["-Wl,--whole-archive", archives[0], "-Wl,--no-whole-archive", archives[1]]
        + [*flags, "-o", str(program)],
        check=True,
    )
    return program


def tell(run):
    """What a run of the scheduler complained of, or None."""
    story = re.search(r"^sched: (.*)", run.stderr, re.MULTILINE)
    return story[1] if story else None


def find(fault, *how):
    """What the scheduler says of that fault, and whether it found it."""
    began = time.monotonic()
    try:
        changes, scenario = read_fault(fault)
        program = build(fault, changes, *how)
        chosen = ["--scenario", scenario] if scenario else []
        run = subprocess.run(
            [str(program), *chosen, "--count", SEEDS],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    except ValueError as error:
        return False, str(error)
    except subprocess.CalledProcessError:
        return False, f"{fault.name}: it does not compile"
    except subprocess.TimeoutExpired:
        return False, f"{fault.name}: no end"
    seconds = time.monotonic() - began
    story = tell(run)
    if run.returncode != 1 or story is None:
        return False, f"{fault.name}: NOT FOUND, status {run.returncode} ({seconds:.1f} s)"
    seed = re.search(r"--seed (\d+)", run.stderr)
    # Played again by its seed alone it must fail again; not in the same words, as what stands
    # in memory that the fault uses after its end is not in the seed.
    again = subprocess.run(
        re.search(r"replay: (.*)", run.stderr)[1].split(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if tell(again) is None:
        return False, f"{fault.name}: found, but not again by its seed: {story}"
    return True, f"{fault.name}: {story}, seed {seed[1]} ({seconds:.1f} s)"


def main():
    root, work = Path(sys.argv[1]), Path(sys.argv[2])
    archives, divide = sys.argv[3:5], sys.argv.index("--")
    how = root, work, archives, sys.argv[5:divide], sys.argv[divide + 1 :]
    only = os.environ.get("LIDO_SCHED_FAULT")
    faults = sorted((root / "tests/sched/faults").iterdir())
    faults = [fault for fault in faults if only in (None, fault.name)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda fault: find(fault, *how), faults)
        found = 0
        for is_found, text in results:
            print(text, flush=True)
            found += is_found
    print(f"{found} of {len(faults)} faults found")
    return 0 if faults and found == len(faults) else 1


if __name__ == "__main__":
    sys.exit(main())
