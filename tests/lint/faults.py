#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does each planted fault still fit the sources?

A change to the text that a fault replaces is found here, in a second, and not by the runs that
try the faults, which stop at it.

Usage: faults.py SOURCE_ROOT
"""
import importlib.util
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    root = Path(sys.argv[1]).resolve()
    of_tests = load(root / 'tests/mutants/run.py')
    of_sched = load(root / 'tests/sched/find_faults.py')
    count, wrong = 0, []
    for path in sorted((root / 'tests/mutants').glob('*.fault')):
        count += 1
        try:
            of_tests.Fault(path)
        except SystemExit as why:
            wrong.append(why)
    for path in sorted((root / 'tests/sched/faults').iterdir()):
        count += 1
        with tempfile.TemporaryDirectory() as folder:
            try:
                of_sched.plant(path, of_sched.read_fault(path)[0], root, Path(folder))
            except ValueError as why:
                wrong.append(why)
    for why in wrong:
        print(why)
    print(f'{count} faults, {len(wrong)} do not fit')
    return len(wrong) > 0 or count == 0


if __name__ == '__main__':
    sys.exit(main())
