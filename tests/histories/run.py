#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records histories of concurrent transactions and judges each of them.

    run.py [--count N] [--seed S] [--keep FOLDER] RECORD

RECORD is the program history-record.  Seeds count from S.  It stops at the first history that is
not serializable, or that the recorder could not finish, and keeps it.
"""
import argparse
import collections
import os
import subprocess
import sys
import tempfile
from concurrent import futures
from pathlib import Path

sys.dont_write_bytecode = True
import check  # pylint: disable=wrong-import-position
import judge  # pylint: disable=wrong-import-position

SECONDS = 120  # for one history, which has milliseconds


class Failed(Exception):
    """A history that is not as it should be."""


def run(program, seed, folder, keep):
    """Records and judges one history: its settings and how its transactions ended."""
    try:
        done = subprocess.run([program, str(seed), folder], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f'seed {seed}: still running after {SECONDS} s') from error
    path = keep / f'history-{seed}.jsonl'
    if done.returncode != 0:
        path.write_text(done.stdout, encoding='utf-8')
        raise Failed(f'seed {seed}: the recorder ended with {done.returncode}: {done.stderr}'
                     f'what it has is kept in {path}')
    settings, records = check.read(done.stdout)
    anomalies = judge.judge(settings, records)
    if anomalies:
        path.write_text(done.stdout, encoding='utf-8')
        raise Failed(f'seed {seed}: not serializable, kept in {path}\n{check.story(anomalies)}')
    return settings, collections.Counter(record['outcome'] for record in records)


def run_all(arguments, folder):
    """What all of them were, counted, or the first failure."""
    settings_seen, outcomes = collections.Counter(), collections.Counter()
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(run, arguments.record, seed, folder, arguments.keep)
                for seed in range(arguments.seed, arguments.seed + arguments.count)]
        try:
            for job in jobs:
                settings, ended = job.result()
                outcomes += ended
                for name in ('workload', 'mode', 'journal', 'kind', 'processes'):
                    settings_seen[name, settings[name]] += 1
        except Failed:
            pool.shutdown(cancel_futures=True)
            raise
    return settings_seen, outcomes


def summary(count, settings_seen, outcomes):
    parts = collections.defaultdict(list)
    for (name, value), n in sorted(settings_seen.items()):
        parts[name].append(f'{value} {n}')
    parts['transactions'] = [f'{name} {n}' for name, n in sorted(outcomes.items())]
    return f'{count} histories serializable: ' + '; '.join(
        f'{name}: {", ".join(values)}' for name, values in parts.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=100)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--keep', type=Path, default=Path('.'), help='where a bad one is kept')
    parser.add_argument('record')
    arguments = parser.parse_args()
    # In memory if there is such a place: disks are slow, and no power fails here.
    above = '/dev/shm' if os.access('/dev/shm', os.W_OK | os.X_OK) else None
    with tempfile.TemporaryDirectory(prefix='lido-histories-', dir=above) as folder:
        try:
            settings_seen, outcomes = run_all(arguments, folder)
        except Failed as failure:
            print(failure)
            return 1
    print(summary(arguments.count, settings_seen, outcomes))
    # Histories in which hardly anything was committed would prove nothing.
    return outcomes['committed'] < arguments.count * 10


if __name__ == '__main__':
    sys.exit(main())
