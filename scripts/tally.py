#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts what `meson test` ran, and prints the logs of what failed.

Usage: tally.py TITLE TESTLOG...        (meson-logs/testlog*.json)

Failed logs and a summary go to stderr; "PASSED FAILED", two numbers, to stdout.
"""
import json
import sys

PASSES = ('OK', 'EXPECTEDFAIL')
LONGEST_LOG = 80  # lines; the end matters


def read(paths):
    for path in paths:
        with open(path, encoding='utf-8', errors='replace') as file:
            for line in file:
                yield json.loads(line)


def print_log(title, test):
    print(f"--- {title}: {test['name']}: {test['result']} "
          f"(exit {test.get('returncode')}, {test.get('duration', 0):.1f} s)", file=sys.stderr)
    text = (test.get('stdout') or '') + (test.get('stderr') or '')
    lines = text.splitlines()
    if len(lines) > LONGEST_LOG:
        print(f'    | ... {len(lines) - LONGEST_LOG} lines before', file=sys.stderr)
    for line in lines[-LONGEST_LOG:]:
        print('    | ' + line, file=sys.stderr)


def main():
    title, paths = sys.argv[1], sys.argv[2:]
    passed = failed = skipped = 0
    for test in read(paths):
        if test['result'] in PASSES:
            passed += 1
        elif test['result'] == 'SKIP':
            skipped += 1
            print(f"    {title}: {test['name']} is skipped", file=sys.stderr)
        else:
            failed += 1
            print_log(title, test)
    print(f'{title}: {passed} of {passed + failed} tests passed', file=sys.stderr)
    print(passed, failed)


main()
