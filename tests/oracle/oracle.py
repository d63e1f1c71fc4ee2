#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the same random steps on SQLAlchemy's pools and on lido's, and compares.

After every step the events, the result, and for a queue the counts and the status must be the
same, or be a difference that stands in differences.py.  After such a one both begin anew and
the sequence goes on.
"""
import argparse
import collections
import sys

try:
    import sqlalchemy
except ImportError:
    sys.exit('the oracle needs SQLAlchemy 1.4: install python3-sqlalchemy')

import differences
import shim
from alchemy import Alchemy
from lido import Lido
from side import Crew
from steps import PLACES, generate

STEPS = 40


class Mismatch(Exception):
    """Where the two differ and should not."""

    def __init__(self, index, step, pairs):
        super().__init__(f'step {index}: {step}')
        self.index, self.step, self.pairs = index, step, pairs


def side_by_side(left, right):
    rows = [('SQLAlchemy', 'lido')]
    for i in range(max(len(left), len(right))):
        rows.append((left[i] if i < len(left) else '', right[i] if i < len(right) else ''))
    return '\n'.join(f'    {a:<40}{"  " if a == b else "* "}{b}' for a, b in rows)


class Run:
    """One sequence."""

    def __init__(self, config, crew, lib, seen):
        self.config, self.crew, self.lib, self.seen = config, crew, lib, seen
        self.thread = 0
        self.begin()

    def begin(self):
        self.sides = (Alchemy(self.config, self.crew), Lido(self.config, self.crew, self.lib))

    def end(self, index):
        left = self.sides[1].end()
        self.sides[0].end()
        if left is not None:
            raise Mismatch(index, 'end', [('nothing left', left)])

    def one(self, side, step):
        name, *args = step
        if name == 'fail':
            side.plan(*args)
            return 'ok'
        if name == 'ping_fails':
            side.pings_to_fail = args[0]
            return 'ok'
        if name == 'clock':
            side.clock.advance(args[0])
            return 'ok'
        return side.step(name, *args, thread=self.thread)

    def go(self, steps):
        for index, step in enumerate(steps):
            if step[0] == 'thread':
                self.thread = step[1]
                continue
            done = differences.Step(self.config, step, [
                side.is_valid(p) for side in self.sides[1:] for p in range(PLACES)])
            results = [self.one(side, step) for side in self.sides]
            traces = [side.take_trace() for side in self.sides]
            counts = [side.counts() for side in self.sides]
            valid = [[side.is_valid(p) for p in range(PLACES)] for side in self.sides]
            pairs = [traces, results, counts, valid]
            done.done(*pairs, self.sides[0].has_leftovers)
            if all(a == b for a, b in pairs) and not differences.is_silent(done):
                continue
            name = differences.explain(done)
            if name is None:
                raise Mismatch(index, step, pairs)
            self.seen[name] += 1
            self.end(index)
            self.begin()
        self.end(len(steps))


def run(config, steps, lib, seen):
    crew = Crew(config.threads)
    sequence = Run(config, crew, lib, seen)
    try:
        sequence.go(steps)
    except Mismatch:
        sequence.sides[1].end()
        raise
    finally:
        crew.end()


def shorten(config, steps, lib):
    """The steps without those that the mismatch does not need."""
    def fails(candidate):
        try:
            run(config, candidate, lib, collections.Counter())
        except Mismatch:
            return True
        return False

    i = 0
    while i < len(steps):
        candidate = steps[:i] + steps[i + 1:]
        if fails(candidate):
            steps = candidate
        else:
            i += 1
    return steps


def report(seed, config, steps, mismatch, lib, arguments):
    print(f'--- seed {seed}: {config}')
    short = shorten(config, steps[:mismatch.index + 1], lib)
    print('    steps:', ', '.join(' '.join(map(str, step)) for step in short))
    try:
        run(config, short, lib, collections.Counter())
    except Mismatch as again:
        mismatch = again
    print(f'    at {mismatch}')
    for left, right in mismatch.pairs:
        if isinstance(left, list) and left and isinstance(left[0], str) or \
                isinstance(right, list) and right and isinstance(right[0], str):
            print(side_by_side(left, right))
        elif left != right:
            print(f'    {left!s:<40}* {right}')
    print(f'    again: tests/oracle/run.sh oracle {arguments.library} --seed {seed} --count 1'
          + (f' --kind {arguments.kind}' if arguments.kind else ''), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('library', help='liblido.so')
    parser.add_argument('--count', type=int, default=2000, help='sequences (2000)')
    parser.add_argument('--seed', type=int, default=1, help='the first (1)')
    parser.add_argument('--steps', type=int, default=STEPS, help=f'in each ({STEPS})')
    parser.add_argument('--kind', help='pools of this kind only')
    parser.add_argument('--stop-after', type=int, default=3, help='mismatches shown (3)')
    parser.add_argument('--check-table', action='store_true',
                        help='fail if a difference of the table never occurred')
    arguments = parser.parse_args()
    if not sqlalchemy.__version__.startswith('1.4.'):
        sys.exit(f'the oracle needs SQLAlchemy 1.4, not {sqlalchemy.__version__}')
    lib = shim.load(arguments.library)
    kinds = {arguments.kind} if arguments.kind else None
    seen, bad = collections.Counter(), 0
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        config, steps = generate(seed, arguments.steps, kinds)
        try:
            run(config, steps, lib, seen)
        except Mismatch as mismatch:
            report(seed, config, steps, mismatch, lib, arguments)
            bad += 1
            if bad == arguments.stop_after:
                break
    for name, count in sorted(seen.items()):
        print(f'{count:6} times {name}')
    names = [d.__doc__.splitlines()[0] for d in differences.TABLE]
    unseen = [name for name in names if name not in seen]
    if arguments.check_table and unseen:
        print('never seen:', ', '.join(unseen))
        bad += len(unseen)
    print(f'{arguments.count} sequences of {arguments.steps} steps: '
          + ('all agree' if bad == 0 else f'{bad} do not'))
    return bad != 0


if __name__ == '__main__':
    sys.exit(main())
