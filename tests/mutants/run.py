#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks lido in one place at a time, and asks whether a test notices.

Each file *.fault here is one fault: a line that says what is broken, the file, the tests that
should see it, and the text in that file with what stands there instead:

    the gate is not looked at again after a quick check-in
    file: pool/release.c
    tests: sched pool_queue
    <<<<
        if (lido__load(&pool->gate) == 0)
    ====
        if (true)
    >>>>

The text must be there exactly once, so a fault that no longer fits is an error.  Faults are
put into a copy of the sources, one after the other, in as many copies as there are
processors.  The tests that are named run first, then all others, until one fails.
"""
import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300  # for one test; one that hangs has noticed


class Fault:
    """One fault, read from its file."""

    def __init__(self, path):
        self.name = path.stem
        head, _, rest = path.read_text().partition('<<<<\n')
        old, _, rest = rest.partition('====\n')
        new, mark, _ = rest.partition('>>>>')
        if not mark:
            sys.exit(f'{path.name}: not what + file: + tests: + <<<< ==== >>>>')
        lines = head.splitlines()
        keys = dict(line.split(': ', 1) for line in lines[1:])
        self.what, self.file = lines[0], keys['file']
        self.tests = keys['tests'].split()
        self.old, self.new = old.rstrip('\n'), new.rstrip('\n')
        text = (ROOT / self.file).read_text()
        if text.count(self.old) != 1:
            sys.exit(f'{path.name}: its text is {text.count(self.old)} times in {self.file}')


class Copy:
    """The sources once more, with a build of the tests."""

    def __init__(self, where):
        self.source, self.build = where / 'source', where / 'build'
        shutil.rmtree(self.source, ignore_errors=True)
        shutil.copytree(ROOT, self.source, ignore=shutil.ignore_patterns('build', '.git'))
        if not (self.build / 'build.ninja').exists():
            self.call('meson', 'setup', self.build, self.source, '-Doptimization=1',
                      '-Ddocs=disabled', '-Dzdb=disabled')
        self.call('ninja', '-C', self.build, 'build.ninja')  # in case tests have come or gone
        self.tests = self.read_tests()
        self.sound = set()  # tests that were seen to pass on sound sources
        self.said = ''      # by the last test

    def call(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f'{" ".join(map(str, command))}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}')

    def read_tests(self):
        """The command and the environment of each test that may notice something."""
        known = json.loads(subprocess.run(
            ['meson', 'introspect', '--tests', self.build], capture_output=True, text=True,
            check=True).stdout)
        return {test['name']: test for test in known
                if not {s.split(':')[-1] for s in test['suite']}
                & {'lint', 'docs', 'bench', 'model'}}

    def try_fault(self, fault):
        """The name of the test that noticed, or None; raises if it cannot be built."""
        while True:
            by = self.first_to_notice(fault)
            if by is None or self.is_sound(by):
                return by
            print(f'{by} fails without any fault, and is passed over:\n{self.said}', flush=True)
            del self.tests[by]

    def first_to_notice(self, fault):
        path = self.source / fault.file
        text = path.read_text()
        path.write_text(text.replace(fault.old, fault.new))
        try:
            first = [name for name in fault.tests if name in self.tests]
            return next((name for name in first + [n for n in self.tests if n not in first]
                         if self.notices(self.tests[name])), None)
        finally:
            path.write_text(text)

    def is_sound(self, name):
        """Whether the test passes on the sources as they are."""
        if name not in self.sound and not self.notices(self.tests[name]):
            self.sound.add(name)
        return name in self.sound

    def notices(self, test):
        wanted = [arg for arg in test['cmd'] if str(arg).startswith(str(self.build))]
        targets = [os.path.relpath(arg, self.build) for arg in wanted]
        built = subprocess.run(['ninja', '-C', self.build, *targets], capture_output=True,
                               text=True, check=False)
        if built.returncode != 0:
            raise RuntimeError(built.stdout[-1500:])
        command = list(test['cmd'])
        if test['name'] == 'oracle':
            command += ['--count', '400', '--stop-after', '1']
        try:
            done = subprocess.run(command, env={**os.environ, **test['env']}, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, errors='replace',
                                  timeout=SECONDS, check=False, cwd=self.build)
        except subprocess.TimeoutExpired:
            self.said = f'still running after {SECONDS} s'
            return True
        self.said = f'exit status {done.returncode}\n{done.stdout[-1500:]}'
        return done.returncode not in (0, 77)


def work(where, faults, results, n_all):
    copy = Copy(where)
    while True:
        try:
            fault = faults.get_nowait()
        except queue.Empty:
            return
        try:
            by = copy.try_fault(fault)
            verdict = f'killed by {by}' if by else 'SURVIVED'
        except (RuntimeError, KeyError) as error:
            by, verdict = None, f'INVALID: {error}'
        results.append((fault, by))
        print(f'{len(results):3} of {n_all}  {fault.name:34} {verdict}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help='faults; all if none is named')
    parser.add_argument('--where', type=Path, default=ROOT / 'build' / 'mutants')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    chosen = [Fault(path) for path in sorted(Path(__file__).parent.glob('*.fault'))
              if not arguments.names or path.stem in arguments.names]
    faults, results = queue.SimpleQueue(), []
    for fault in chosen:
        faults.put(fault)
    threads = [threading.Thread(target=work, args=(arguments.where / str(i), faults, results,
                                                   len(chosen)))
               for i in range(max(1, min(arguments.jobs, len(chosen))))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    killed = sum(by is not None for _, by in results)
    for fault, by in results:
        if by is None:
            print(f'survived: {fault.name} ({fault.file}): {fault.what}')
    print(f'{killed} killed, {len(chosen) - killed} survived')
    return killed != len(chosen) or not chosen


if __name__ == '__main__':
    sys.exit(main())
