#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Searches the model of the write gate with spin, and wants its planted faults to be found.

    run.py [--only NAME] [--jobs N] MODEL COMPILER...

A check is passed if spin found no error and its search was complete.  A fault, one switch of
the model each, is found if spin says what it breaks.  The last line says how many of both.
It ends with 77 if spin is not there.
"""
import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent import futures
from pathlib import Path

LONGEST_S = 120  # a check takes 30 s at most on a machine that has nothing else to do
MEMORY_MB = 3000
DEPTH = 6000000

# What is searched: the switches of the model.
CHECKS = {
    'strict': '-DSTRICT -DTIMED -DRINGS',
    'strict-stopped': '-DSTRICT -DTIMED -DSTOPS',
    'aging': '-DRINGS -DNEWCOMERS',
    'aging-timed': '-DTIMED',
    'aging-stopped': '-DSTOPS',
    'aging-all': '-DTIMED -DSTOPS -DNEWCOMERS -DWAITERS=2',
    'any-age': '-DTIMED -DNEWCOMERS -DANY_AGE',
    'live-strict-high': '-DSTRICT -DLIVE=0',
    'live-strict-low': '-DSTRICT -DLIVE=2',
    'live-aging-high': '-DLIVE=0',
    'live-aging-low': '-DLIVE=2 -DNEWCOMERS',
}

# A mistake, the switches with which it shows, and what spin says of it.
FAULTS = {
    'GIVES_UP_SILENTLY': ('-DSTOPS -DWAITERS=2', 'yes'),
    'GOES_BEFORE_IT_IS_WOKEN': ('-DSTRICT -DTIMED', 'under_way'),
    'HANDED_STAYS': ('-DSTRICT', 'is_queued'),
    'LATE_WITH_THE_GATE': ('-DSTRICT -DTIMED -DWAITERS=2', 'holder==i'),
    'LEAVES_SILENTLY': ('', 'yes'),
    'LISTENS_LATE': ('-DSTOPS -DWAITERS=2', 'fired'),
    'NAP_ENDS_ALL_THE_SAME': ('-DNEWCOMERS -DWAITERS=2', 'under_way'),
    'NEVER_DUE': ('-DLIVE=2', 'acceptance cycle'),
    'NEWCOMER_OVERTAKES': ('-DNEWCOMERS -DWAITERS=2', '!=2)&&is_queued'),
    'SLEEPS_BEFORE_IT_NOTES': ('-DWAITERS=2', 'invalid end state'),
    'STOPPED_WITH_THE_GATE': ('-DSTRICT -DSTOPS -DWAITERS=2', 'holder==i'),
    'TAKES_WITHOUT_A_LOOK': ('', 'holder=='),
    'WOKEN_TWICE': ('-DRINGS', 'under_way'),
}


class Broken(Exception):
    """The model could not be searched at all."""


def command(args, folder, seconds=LONGEST_S):
    """What it printed."""
    try:
        done = subprocess.run(args, cwd=folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise Broken(f'{args[0]}: still running after {seconds} s') from error
    if done.returncode != 0:
        raise Broken(f'{args[0]} ended with {done.returncode}:\n{done.stdout}')
    return done.stdout


def search(model, compiler, level, switches):
    """What the search says, and how many states it saw."""
    is_live = '-DLIVE' in switches
    with tempfile.TemporaryDirectory(prefix='lido-model-') as folder:
        shutil.copy(model, folder)
        command(['spin', '-a', *switches.split(), model.name], folder)
        # spin's own code makes gcc warn of indexes that it checks elsewhere.
        command([*compiler, '-w', level, f'-DMEMLIM={MEMORY_MB}',
                 '-DNFAIR=3' if is_live else '-DSAFETY', '-o', 'pan', 'pan.c'], folder)
        said = command(['./pan', f'-m{DEPTH}', *(['-a', '-f'] if is_live else [])], folder)
    states = re.search(r'^ *(\d+) states, stored', said, re.MULTILINE)
    return said, int(states.group(1)) if states else 0


def complaint(said):
    """Why this is not a complete search that found nothing; empty: it is one."""
    for bad in ('max search depth too small', 'out of memory', 'Search not completed',
                'pan:1:', 'reached -DMEMLIM'):
        if bad in said:
            line = next(line for line in said.splitlines() if bad in line)
            return line.strip()
    if not re.search(r'errors: 0$', said, re.MULTILINE):
        return 'no word of "errors: 0"'
    return ''


def judge(model, compiler, name):
    """A line to print, and whether it is as it should be."""
    began = time.monotonic()
    try:
        if name in CHECKS:
            said, states = search(model, compiler, '-O1', CHECKS[name])
            why = complaint(said)
            answer, is_good = why or f'no error in {states} states', not why
        else:
            switches, wanted = FAULTS[name]
            said, _ = search(model, compiler, '-O0', f'-DFAULT_{name} {switches}')
            errors = [line for line in said.splitlines() if line.startswith('pan:1:')]
            is_good = len(errors) == 1 and wanted in errors[0]
            answer = f'found: {errors[0][7:]}' if is_good else f'not found: {errors}'
    except Broken as error:
        answer, is_good = str(error), False
    return f'{name:24} {time.monotonic() - began:5.1f} s  {answer}', is_good


def main():
    """All checks and faults, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--only', choices=[*CHECKS, *FAULTS])
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('model', type=Path)
    parser.add_argument('compiler', nargs='+')
    options = parser.parse_args()
    if shutil.which('spin') is None:
        print('model: spin is not installed, and nothing was searched')
        return 77  # to meson, a test that was skipped
    names = [options.only] if options.only else [*CHECKS, *FAULTS]
    good = 0
    with futures.ThreadPoolExecutor(max_workers=options.jobs) as pool:
        for line, is_good in pool.map(
                lambda name: judge(options.model.resolve(), options.compiler, name), names):
            print(line, flush=True)
            good += is_good
    print(f'{good} of {len(names)} as they should be')
    return 0 if good == len(names) else 1


if __name__ == '__main__':
    sys.exit(main())
