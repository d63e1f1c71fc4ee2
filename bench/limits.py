#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the limits that docs/when-not.md speaks of, on the disk of a folder.

    limits.py [--folder DIR] [--lido liblido.so] [--seconds S] [PART...]

Each part makes databases of its own in a new folder and removes them.  All is SQLite alone, as
Python has it, but for `foreign`, which needs lido's shared library.  Writers are processes, for
threads of Python would wait for each other.  The figures are of this machine, on this day.
"""
import argparse
import ctypes
import multiprocessing
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time

ROWS = 20000


def say(what, figure):
    print(f'  {what:<68} {figure}', flush=True)


def connect(path, journal='wal', sync='full', timeout=60):
    db = sqlite3.connect(path, isolation_level=None, timeout=timeout)
    db.execute(f'PRAGMA journal_mode={journal}')
    db.execute(f'PRAGMA synchronous={sync}')
    return db


def make(folder, name, journal='wal'):
    path = os.path.join(folder, name)
    db = connect(path, journal, 'off')
    db.execute('CREATE TABLE item (id INTEGER PRIMARY KEY, value INTEGER, note TEXT)')
    db.execute('BEGIN')
    db.executemany('INSERT INTO item VALUES (?, 0, ?)', ((i, 'x' * 200) for i in range(ROWS)))
    db.execute('COMMIT')
    db.close()
    return path


def update(db, i):
    db.execute('BEGIN IMMEDIATE')
    db.execute('UPDATE item SET value = value + 1 WHERE id = ?', (i * 7919 % ROWS,))
    db.execute('COMMIT')


def write_on(path, journal, sync, until, told, work=update):
    """Until that time; tells how many, and the longest."""
    db = connect(path, journal, sync)
    done, longest = 0, 0.0
    while (began := time.monotonic()) < until:
        work(db, done)
        done += 1
        longest = max(longest, time.monotonic() - began)
    db.close()
    told.put((done, longest))


def run_writers(n, seconds, path, journal='wal', sync='full'):
    told = multiprocessing.Queue()
    began = time.monotonic() + 0.2
    all_of_them = [multiprocessing.Process(target=write_on,
                                           args=(path, journal, sync, began + seconds, told))
                   for _ in range(n)]
    for one in all_of_them:
        one.start()
    answers = [told.get() for _ in all_of_them]
    for one in all_of_them:
        one.join()
    return [a[0] for a in answers], max(a[1] for a in answers)


def sync(folder, seconds):
    path = os.path.join(folder, 'sync')
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    times = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        os.write(fd, b'x' * 4096)
        began = time.monotonic()
        os.fdatasync(fd)
        times.append(time.monotonic() - began)
    os.close(fd)
    times.sort()
    say('4 KB appended, fdatasync: median, p99',
        f'{statistics.median(times) * 1e3:.2f} ms, {times[len(times) * 99 // 100] * 1e3:.2f} ms')


def one_writer(folder, seconds):
    for journal, how in (('wal', 'full'), ('wal', 'normal'), ('delete', 'full')):
        path = make(folder, f'one-{journal}-{how}.db', journal)
        done, longest = run_writers(1, seconds, path, journal, how)
        say(f'one writer, {journal}, synchronous={how}: transactions/s',
            f'{done[0] / seconds:.0f}, the longest took {longest * 1e3:.0f} ms')
    db = connect(make(folder, 'batch.db'))
    began, done = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        db.execute('BEGIN IMMEDIATE')
        for i in range(1000):
            db.execute('UPDATE item SET value = value + 1 WHERE id = ?', (i,))
        db.execute('COMMIT')
        done += 1000
    say('one writer, wal, full, 1000 updates in each transaction: updates/s',
        f'{done / (time.monotonic() - began):.0f}')
    db.close()


def more_writers(folder, seconds):
    for n in (1, 2, 4, 8):
        done, longest = run_writers(n, seconds, make(folder, f'more-{n}.db'))
        say(f'{n} writers, wal, full: transactions/s of all; least and most of one; longest',
            f'{sum(done) / seconds:.0f}; {min(done)} - {max(done)}; {longest * 1e3:.0f} ms')


def read_for(path, journal, seconds, ready):
    db = connect(path, journal)
    db.execute('BEGIN')
    db.execute('SELECT count(*) FROM item').fetchone()
    ready.set()
    time.sleep(seconds)
    db.execute('COMMIT')
    db.close()


def readers(folder, seconds):
    for journal in ('delete', 'wal'):
        path = make(folder, f'reader-{journal}.db', journal)
        ready = multiprocessing.Event()
        reader = multiprocessing.Process(target=read_for, args=(path, journal, seconds, ready))
        db = connect(path, journal)
        reader.start()
        ready.wait()
        began = time.monotonic()
        update(db, 1)
        say(f'a reader stays for {seconds:g} s, {journal}: one update took',
            f'{(time.monotonic() - began) * 1e3:.1f} ms')
        reader.join()
        db.close()

        told = multiprocessing.Queue()
        until = time.monotonic() + seconds
        writer = multiprocessing.Process(target=write_on,
                                         args=(path, journal, 'full', until, told))
        writer.start()
        db = connect(path, journal)
        reads, longest = 0, 0.0
        while (began := time.monotonic()) < until:
            db.execute('SELECT value FROM item WHERE id = ?', (reads % ROWS,)).fetchone()
            reads += 1
            longest = max(longest, time.monotonic() - began)
        say(f'one writes without a pause, {journal}: reads/s of another; longest',
            f'{reads / seconds:.0f}; {longest * 1e3:.0f} ms')
        told.get()
        writer.join()
        db.close()


def hold(path, seconds, ready):
    db = connect(path)
    db.execute('BEGIN IMMEDIATE')
    ready.set()
    time.sleep(seconds)
    db.execute('COMMIT')
    db.close()


def long_write(folder, seconds):
    path = make(folder, 'long.db')
    for timeout in (seconds * 2, seconds / 2):
        ready = multiprocessing.Event()
        holder = multiprocessing.Process(target=hold, args=(path, seconds, ready))
        holder.start()
        ready.wait()
        db = connect(path, timeout=timeout)
        began = time.monotonic()
        try:
            update(db, 1)
            answer = 'wrote'
        except sqlite3.OperationalError as error:
            answer = str(error)
        say(f'a write transaction of {seconds:g} s; another, busy timeout {timeout:g} s',
            f'"{answer}" after {time.monotonic() - began:.2f} s')
        holder.join()
        db.close()


def wal(folder, seconds):
    for with_reader in (False, True):
        path = make(folder, f'wal-{with_reader}.db')
        reader = connect(path)
        if with_reader:
            reader.execute('BEGIN')
            reader.execute('SELECT count(*) FROM item').fetchone()
        db = connect(path, sync='normal')
        for i in range(ROWS):
            update(db, i)
        began = time.monotonic()
        db.execute('SELECT sum(value) FROM item').fetchone()
        say(f'{ROWS} updates {"while one reader stays" if with_reader else "without readers"}: '
            'write-ahead log; then a sum over all',
            f'{os.path.getsize(path + "-wal") / 1e6:.1f} MB; '
            f'{(time.monotonic() - began) * 1e3:.0f} ms')
        reader.close()
        db.close()


def written():
    with open('/proc/self/io', encoding='ascii') as io:
        return next(int(line.split()[1]) for line in io if line.startswith('wchar'))


def blob(folder, seconds):
    size = 64 << 20
    data = os.urandom(size)
    began = time.monotonic()
    with open(os.path.join(folder, 'blob'), 'wb') as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    say('64 MiB into a file, with fsync', f'{time.monotonic() - began:.2f} s')
    path = make(folder, 'blob.db')
    db = connect(path)
    db.execute('CREATE TABLE big (data BLOB)')
    before, began = written(), time.monotonic()
    db.execute('BEGIN IMMEDIATE')
    db.execute('INSERT INTO big VALUES (?)', (data,))
    db.execute('COMMIT')
    say('the same as one value, wal, full: all that time nobody else can write',
        f'{time.monotonic() - began:.2f} s, {(written() - before) / size:.1f} times the bytes, '
        f'a write-ahead log of {os.path.getsize(path + "-wal") / 1e6:.0f} MB')
    db.close()


def foreign(folder, seconds, library):
    """Eight threads through lido's gate, and a process that knows none."""
    lido = ctypes.CDLL(library)
    for with_other in (False, True):
        path = make(folder, f'foreign-{with_other}.db')
        pool = ctypes.c_void_p()
        url = f'sqlite:///{path}?pool=queue&pool_size=8&timeout=60&journal_mode=wal&open_now=1'
        rc = lido.lido_pool_open_version(ctypes.byref(pool), url.encode(), None,
                                         lido.lido_version_number(), None)
        if rc != 0:
            sys.exit(f'limits.py: {library} cannot open {path}')
        told = multiprocessing.Queue()
        until = time.monotonic() + seconds
        other = multiprocessing.Process(target=write_on,
                                        args=(path, 'wal', 'full', until, told))
        done, waits = [0] * 8, [0.0] * 8

        def work(k):
            while (began := time.monotonic()) < until:
                sql = f'UPDATE item SET value = value + 1 WHERE id = {done[k] * 7919 % ROWS}'
                assert lido.lido_pool_exec(pool, sql.encode(), None) == 0
                done[k] += 1
                waits[k] = max(waits[k], time.monotonic() - began)

        if with_other:
            other.start()  # before there are threads
        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        say(f'8 threads by lido{" beside a process without" if with_other else " alone"}: '
            'least and most of one; longest',
            f'{min(done)} - {max(done)}; {max(waits) * 1e3:.0f} ms')
        if with_other:
            count, longest = told.get()
            other.join()
            say('the process without lido: transactions; longest',
                f'{count}; {longest * 1e3:.0f} ms')
        lido.lido_pool_free(pool)


PARTS = {'sync': sync, 'one_writer': one_writer, 'more_writers': more_writers,
         'readers': readers, 'long_write': long_write, 'wal': wal, 'blob': blob,
         'foreign': foreign}


def main():
    multiprocessing.set_start_method('fork')
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--folder', default=tempfile.gettempdir())
    parser.add_argument('--lido', help='the path of liblido.so, for `foreign`')
    parser.add_argument('--seconds', type=float, default=2, help='of each measurement')
    parser.add_argument('parts', nargs='*', metavar='PART', help=', '.join(PARTS))
    options = parser.parse_args()
    for name in options.parts or PARTS:
        if name not in PARTS:
            parser.error(f'there is no part {name}')
        if name == 'foreign' and options.lido is None:
            if options.parts:
                parser.error('foreign needs --lido')
            continue
        folder = tempfile.mkdtemp(prefix='lido-limits-', dir=options.folder)
        print(name)
        try:
            PARTS[name](folder, options.seconds, *([options.lido] if name == 'foreign' else []))
        finally:
            shutil.rmtree(folder)


if __name__ == '__main__':
    main()
