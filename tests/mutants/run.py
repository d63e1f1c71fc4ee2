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

The text must be there exactly once, so a fault that no longer fits is an error.  First each
test that is named must pass on the sources as they are.  Then faults are put into a copy of
the sources, one after the other, in as many copies as there are processors.  The tests that
are named run first, then all others, the quick ones before the slow, until one fails.

With --minutes no fault is begun after that time.  The commit says in which order they are
taken, so that one which was not tried for one commit is for another.

A test that notices a fault by chance alone, as a race ends, will let it pass one day.  So those
that are named have two tries, and --again finds the fault, best with more --jobs than
processors.

What is built is what the next test needs.  It is neither optimised nor has it a debugger's
names: that compiles in a third of the time.
"""
import argparse
import contextlib
import json
import math
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300  # for one test; one that hangs has noticed
LEAST_SECONDS, TIMES_ITS_OWN = 15, 20  # for one of which it is known how long it takes
LEFT_OUT = {'build', '.git'}


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
        self.text = text.replace(self.old, self.new)


class Copy:
    """The sources once more, with a build of the tests."""

    def __init__(self, where):
        self.source, self.build = where / 'source', where / 'build'
        self.planted = None  # the file that has a fault
        self.said = ''       # by the last test
        self.seconds = {'build': 0.0, 'run': 0.0}
        self.renew_source()
        if not (self.build / 'build.ninja').exists():
            self.call('meson', 'setup', self.build, self.source, '-Doptimization=0',
                      '-Ddebug=false', '-Ddocs=disabled', '-Dzdb=disabled')
        self.call('ninja', '-C', self.build, 'build.ninja')  # in case tests have come or gone
        self.tests = self.read_tests()

    def renew_source(self):
        """Writes what differs, and that alone is built again: also what a fault was left in."""
        mine = set()
        for folder, folders, names in os.walk(ROOT):
            folders[:] = [name for name in folders if name not in LEFT_OUT]
            to = self.source / Path(folder).relative_to(ROOT)
            to.mkdir(parents=True, exist_ok=True)
            for path, copy in ((Path(folder, name), to / name) for name in names):
                mine.add(copy)
                if not copy.exists() or path.read_bytes() != copy.read_bytes():
                    shutil.copyfile(path, copy)
                shutil.copymode(path, copy)
        for copy in [path for path in self.source.rglob('*') if not path.is_dir()]:
            if copy not in mine:
                copy.unlink()

    def call(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f'{" ".join(map(str, command))}:\n'
                               f'{done.stdout[-3000:]}{done.stderr[-3000:]}')

    def introspect(self, what):
        return json.loads(subprocess.run(
            ['meson', 'introspect', what, self.build], capture_output=True, text=True,
            check=True).stdout)

    def read_tests(self):
        """What is known of each test that may notice something; those with short timeouts first."""
        files = {target['id']: target['filename'] for target in self.introspect('--targets')}
        known = sorted((test for test in self.introspect('--tests')
                        if not {s.split(':')[-1] for s in test['suite']} 
                         & {'lint', 'docs', 'bench', 'model'}),
                       key=lambda test: test['timeout'])
        for test in known:
            test['needs'] = [os.path.relpath(file, self.build)
                             for id in test['depends'] for file in files[id]]
        return {test['name']: test for test in known}

    def plant(self, fault):
        """Puts it in, in the place of the last; None: puts the last one right."""
        if self.planted and (fault is None or fault.file != self.planted):
            (self.source / self.planted).write_text((ROOT / self.planted).read_text())
        if fault:
            (self.source / fault.file).write_text(fault.text)
        self.planted = fault and fault.file

    def notices(self, name, longest=SECONDS):
        """Whether the test fails; raises if it cannot be built."""
        test, began = self.tests[name], time.monotonic()
        self.call('ninja', '-C', self.build, *test['needs'])
        built = time.monotonic()
        self.seconds['build'] += built - began
        command = list(test['cmd'])
        if name == 'oracle':
            command += ['--count', '400', '--stop-after', '1']
        status, out = run(command, {**os.environ, **test['env']}, self.build, longest)
        self.seconds['run'] += time.monotonic() - built
        self.said = f'{out[-1500:]}\n{status}'
        return status not in ('exit status 0', 'exit status 77')


def run(command, env, folder, longest):
    """How it ended, and its output.  What it has started ends with it.

    The output is a file: the end of a pipe would be awaited for as long as any process has it.
    """
    mark = f'LIDO_MUTANTS={os.getpid()}.{time.monotonic_ns()}'
    name, _, value = mark.partition('=')
    with tempfile.TemporaryFile('w+', errors='replace') as out:
        with subprocess.Popen(command, env={**env, name: value}, cwd=folder,
                              stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT, start_new_session=True) as process:
            try:
                status = f'exit status {process.wait(longest)}'
            except subprocess.TimeoutExpired:
                status = f'still running after {longest:.0f} s'
            end_all(process.pid, mark.encode())
        out.seek(0)
        return status, out.read()


def end_all(session, mark):
    """Kills all who are of the session, or have the mark in their environment: Criterion's
    workers have sessions of their own, and what these forked outlives them."""
    while members := members_of(session, mark):
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def members_of(session, mark):
    """Those that run, or could."""
    members = []
    for path in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            state, _, _, of = (path / 'stat').read_text().rpartition(')')[2].split()[:4]
            is_of = int(of) == session or mark in (path / 'environ').read_bytes().split(b'\0')
            if is_of and state not in 'ZX':
                members.append(int(path.name))
    return members


class Crew:
    """The workers, each with a copy, and what they share."""

    def __init__(self, arguments, chosen):
        self.arguments, self.n_all = arguments, len(chosen)
        self.n = max(1, min(arguments.jobs, len(chosen)))
        self.results, self.unsure, self.errors = [], [], []
        self.sound = {}  # seconds that a test took on sound sources, where it passes
        self.unsound = set()
        self.named, self.by_file = queue.SimpleQueue(), queue.SimpleQueue()
        for name in sorted({name for fault in chosen for name in fault.tests}):
            self.named.put(name)
        for faults in self.by_files(chosen):
            self.by_file.put(faults)
        self.all_sound = threading.Barrier(self.n)
        self.ends = time.monotonic() + 60 * arguments.minutes

    def by_files(self, chosen):
        """Those of a file together, of which less is built; the longest list first."""
        files = sorted({fault.file for fault in chosen})
        lists = [[fault for fault in chosen if fault.file == file] for file in files]
        lists.sort(key=lambda faults: -len(faults))
        if self.arguments.minutes < math.inf:
            order = random.Random(commit())
            order.shuffle(lists)
            for faults in lists:
                order.shuffle(faults)
        return lists

    def run(self):
        threads = [threading.Thread(target=self.work, args=(self.arguments.where / str(i),))
                   for i in range(self.n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def work(self, where):
        try:
            copy = Copy(where)
            for name in drain(self.named):
                self.check_named(copy, name)
            self.all_sound.wait()
            if self.errors:
                return
            for faults in drain(self.by_file):
                for fault in faults:
                    if time.monotonic() < self.ends:
                        self.judge(copy, fault)
        except threading.BrokenBarrierError:
            pass  # another says why
        except (RuntimeError, subprocess.CalledProcessError) as error:
            self.errors.append(str(error))
            self.all_sound.abort()

    def check_named(self, copy, name):
        if name not in copy.tests:
            self.errors.append(f'a fault names {name}, which is not among the tests')
        elif not self.is_sound(copy, name):
            self.errors.append(f'{name} fails without any fault:\n{copy.said}')

    def is_sound(self, copy, name):
        """Whether the test passes on the sources as they are."""
        if name not in self.sound and name not in self.unsound:
            before = copy.seconds['run']
            copy.plant(None)
            if copy.notices(name):
                self.unsound.add(name)
            else:
                self.sound[name] = copy.seconds['run'] - before
        return name in self.sound

    def judge(self, copy, fault):
        copy.seconds = {'build': 0.0, 'run': 0.0}
        try:
            by = self.first_to_notice(copy, fault)
            verdict = f'killed by {by}' if by else 'SURVIVED'
            missed = self.times_missed(copy, by) if by else 0
            if missed:
                verdict += f', MISSED {missed} of {self.arguments.again} times'
                self.unsure.append((fault, by))
        except RuntimeError as error:
            by, verdict = None, f'INVALID: {error}'
        self.results.append((fault, by))
        times = ''.join(f'  {what} {s:.1f} s' for what, s in copy.seconds.items())
        print(f'{len(self.results):3} of {self.n_all}  {fault.name:34} {verdict}'
              f'{times if self.arguments.times else ""}', flush=True)

    def first_to_notice(self, copy, fault):
        """The name of the test that noticed, or None."""
        others = [name for name in copy.tests if name not in fault.tests]
        for name in fault.tests + fault.tests + others:
            if name in self.unsound:
                continue
            longest = SECONDS
            if name in self.sound:
                longest = min(SECONDS, max(LEAST_SECONDS, TIMES_ITS_OWN * self.sound[name]))
            copy.plant(fault)
            if copy.notices(name, longest):
                if self.is_sound(copy, name):
                    return name
                print(f'{name} fails without any fault, and is passed over:\n{copy.said}',
                      flush=True)
        return None

    def times_missed(self, copy, name):
        """How often the test that noticed what is planted does not."""
        longest = max(LEAST_SECONDS, TIMES_ITS_OWN * self.sound[name])
        return sum(not copy.notices(name, longest) for _ in range(self.arguments.again))


def commit():
    """Which one these sources are of; '': that is not known."""
    done = subprocess.run(['git', '-C', ROOT, 'rev-parse', 'HEAD'], capture_output=True,
                          text=True, check=False)
    return done.stdout


def drain(items):
    while True:
        try:
            yield items.get_nowait()
        except queue.Empty:
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help='faults; all if none is named')
    parser.add_argument('--where', type=Path, default=ROOT / 'build' / 'mutants')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--times', action='store_true', help='show how long each fault took')
    parser.add_argument('--minutes', type=float, default=math.inf,
                        help='begin no fault after so long')
    parser.add_argument('--again', type=int, default=0, metavar='N',
                        help='run the test that noticed N times more: it must each time')
    arguments = parser.parse_args()
    arguments.where = arguments.where.resolve()
    chosen = [Fault(path) for path in sorted(Path(__file__).parent.glob('*.fault'))
              if not arguments.names or path.stem in arguments.names]
    crew = Crew(arguments, chosen)
    crew.run()
    for fault, by in crew.results:
        if by is None:
            print(f'survived: {fault.name} ({fault.file}): {fault.what}')
    for fault, by in crew.unsure:
        print(f'by chance: {fault.name} ({fault.file}) is not noticed by {by} each time')
    for error in crew.errors:
        print(error)
    killed = sum(by is not None for _, by in crew.results)
    survived, untried = len(crew.results) - killed, len(chosen) - len(crew.results)
    if untried:
        print(f'{untried} of {len(chosen)} were not tried')
    print(f'{killed} killed, {survived} survived')
    return survived > 0 or killed == 0 or bool(crew.unsure or crew.errors)


if __name__ == '__main__':
    sys.exit(main())
