#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tool is struck by a signal in each of its steps.

Each command that writes runs again and again on the same small files, each time with a signal
before another of its calls that read, write, make, name or remove a file (strike.c).

* SIGINT, SIGTERM, SIGHUP: either it is done and answers 0, or it answers 128 and the number,
  and every file is as it was, byte for byte or by content; nothing else is left.
* SIGKILL: the source is as it was, and what is at the target's name is the old or the new;
  else nothing is left but .NAME.XXXXXX and SQLite's own journals.  The same command works
  afterwards, where it was not done.

Usage: test_tool_strikes.py LIDO STRIKE [--all] [COMMAND]...   --all: at each call, and not only
at some of each kind of step.
"""
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

SOME = 9  # places for each command and signal, besides those where the kind of call changes
MOST = 18

ROWS = 400
SCHEMA = """
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL, born);
CREATE INDEX person_name ON person (name);
CREATE VIEW people AS SELECT name FROM person;
CREATE TABLE other (x PRIMARY KEY) WITHOUT ROWID;
"""
FILL = f"""
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
    INSERT INTO person SELECT i, hex(zeroblob(90)) || i, i % 100 FROM n;
INSERT INTO other VALUES ('a'), (2.5), (x'00ff');
"""


def make(path, mode, script):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA page_size=1024")
    db.execute("PRAGMA auto_vacuum=incremental")
    db.execute(f"PRAGMA journal_mode={mode}")
    db.executescript(script)
    db.close()


def content(path):
    """What a database holds; None where there is none."""
    if not os.path.exists(path):
        return None
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], path
    lines = list(db.iterdump())
    free = db.execute("PRAGMA freelist_count").fetchone()
    db.close()
    return lines, free[0] > 0


def tables(path):
    """What a database holds, but for its free pages: they go some at a time."""
    return content(path)[0]


def text(path):
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return file.read()


def build(folder):
    """The files that every run begins with."""
    for mode in "delete", "wal":
        make(f"{folder}/{mode}.db", mode, SCHEMA + FILL)
        make(f"{folder}/{mode}-old.db", mode, SCHEMA + "INSERT INTO other VALUES (7);")
        make(f"{folder}/{mode}-free.db", mode, SCHEMA + FILL + "DELETE FROM person WHERE id > 300;")
        make(f"{folder}/{mode}-bare.db", mode, "CREATE TABLE kept (x);")
    db = sqlite3.connect(f"{folder}/delete.db")
    with open(f"{folder}/text.sql", "w", encoding="utf-8") as file:
        file.write("\n".join(db.iterdump()) + "\n")
    db.close()
    with open(f"{folder}/old.sql", "w", encoding="utf-8") as file:
        file.write("-- the old text\n")


# A name, its line, the files it only reads, the one it writes, and how that one is read.
CASES = [
    ("backup", "backup delete.db new.db", ["delete.db"], "new.db", content),
    ("backup-log", "backup wal.db new.db", ["wal.db"], "new.db", content),
    ("backup-replace", "backup --replace delete.db delete-old.db", ["delete.db"], "delete-old.db",
     content),
    ("backup-vacuum", "backup --vacuum wal.db new.db", ["wal.db"], "new.db", content),
    ("backup-copy", "backup --method copy wal.db new.db", ["wal.db"], "new.db", content),
    ("restore", "restore delete.db delete-old.db", ["delete.db"], "delete-old.db", content),
    ("restore-log", "restore wal.db wal-old.db", ["wal.db"], "wal-old.db", content),
    ("dump", "dump -o new.sql delete.db", ["delete.db"], "new.sql", text),
    ("dump-replace", "dump -o old.sql --replace wal.db", ["wal.db"], "old.sql", text),
    ("load-create", "load --create new.db text.sql", ["text.sql"], "new.db", content),
    ("load", "load delete-bare.db text.sql", ["text.sql"], "delete-bare.db", content),
    ("load-log", "load wal-bare.db text.sql", ["text.sql"], "wal-bare.db", content),
    ("copy", "copy --replace delete.db person delete-old.db", ["delete.db"], "delete-old.db",
     content),
    ("copy-log", "copy --replace wal.db person wal-old.db", ["wal.db"], "wal-old.db", content),
    ("copy-same", "copy --as again delete.db person delete.db", [], "delete.db", content),
    ("rename", "rename delete.db person human", [], "delete.db", content),
    ("rename-log", "rename wal.db person human", [], "wal.db", content),
    ("vacuum", "vacuum delete-free.db", [], "delete-free.db", content),
    ("vacuum-log", "vacuum wal-free.db", [], "wal-free.db", content),
    ("vacuum-some", "vacuum --incremental all delete-free.db", [], "delete-free.db", tables),
    ("optimize", "optimize --all delete.db", [], "delete.db", content),
]
JOURNALS = ("-journal", "-wal", "-shm")


class Sweep:
    def __init__(self, lido, strike, is_all):
        self.lido, self.strike, self.is_all = lido, strike, is_all
        self.work = tempfile.mkdtemp()
        self.first = self.work + "/first"
        self.data = self.work + "/data"
        os.mkdir(self.first)
        os.mkdir(self.work + "/tmp")
        build(self.first)
        self.names = set(os.listdir(self.first))
        self.runs = self.struck = self.failures = 0

    def reset(self):
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.copytree(self.first, self.data)

    def run(self, line, at=0, number=0, log=None):
        env = dict(os.environ, LD_PRELOAD=self.strike, STRIKE_AT=str(at), TERM="dumb",
                   STRIKE_SIGNAL=str(int(number)), TMPDIR=self.work + "/tmp")
        fds = ()
        if log is not None:
            env["STRIKE_LOG"] = str(log)
            fds = (log,)
        self.runs += 1
        done = subprocess.run([self.lido, *line.split()], cwd=self.data, env=env, pass_fds=fds,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              start_new_session=True, timeout=60, check=False)
        return done.returncode, done.stderr

    def places(self, line):
        """Before which calls to strike."""
        with tempfile.TemporaryFile() as log:
            code, said = self.run(line, log=log.fileno())
            if code != 0:
                return None, said
            log.seek(0)
            calls = log.read().decode().split()
        if self.is_all:
            return list(range(1, len(calls) + 1)), ""
        some = {1 + i * (len(calls) - 1) // (SOME - 1) for i in range(SOME)}
        rare = [i + 1 for i, call in enumerate(calls)
                if call not in ("read", "pread", "pread64") and (i == 0 or call != calls[i - 1])]
        step = max(1, -(-len(rare) // (MOST - SOME)))
        # The last ones are those that give a file its name.
        return sorted(some | set(rare[::step]) | set(rare[-6:])), ""

    def extra(self):
        return sorted(set(os.listdir(self.data)) - self.names) + \
            sorted(os.listdir(self.work + "/tmp"))

    def look(self, case):
        _, _, reads, writes, how = case
        return [text(f"{self.data}/{name}") for name in reads], how(f"{self.data}/{writes}")

    def one(self, case, at, number, before, after):
        """The complaint about one strike, or None."""
        _, line, reads, writes, how = case
        self.reset()
        code, said = self.run(line, at, number)
        was_killed = number == signal.SIGKILL
        if code not in (0, -9 if was_killed else 128 + number):
            return f"exit {code}: {said}"
        self.struck += code != 0
        extra = self.extra()
        for name in os.listdir(self.work + "/tmp"):
            os.unlink(f"{self.work}/tmp/{name}")
        allowed = {writes} if code == 0 else set()
        if was_killed and code != 0:
            names = reads + [writes]
            allowed |= {name + end for name in names for end in JOURNALS} | {writes}
            scratch = re.compile(r"\.%s(\.[^.]*)?\.[A-Za-z0-9]{6}(-journal|-wal|-shm)?$|lido-"
                                 % re.escape(writes))
            extra = [name for name in extra if not scratch.match(name)]
        if set(extra) - allowed:
            return f"left {sorted(set(extra) - allowed)}"
        if was_killed and any(name.startswith(read) for read in reads for name in extra
                              if name.endswith("-journal")):
            return f"a journal beside the source: {extra}"
        seen = self.look(case)
        if seen[0] != before[0]:
            return "the source is another"
        if code == 0:
            return None if seen[1] == after[1] else "it said 0, and is not done"
        if seen[1] == after[1] != before[1] and not was_killed:
            return f"it said {code}, and is done"
        if seen[1] not in (before[1], after[1]):
            return "neither the old nor the new"
        if not was_killed or seen[1] == after[1] != before[1]:
            return None
        code, said = self.run(line)
        if code != 0:
            return f"the next run: exit {code}: {said}"
        seen = self.look(case)
        return None if seen == after else "the next run is not done"

    def case(self, case):
        name, line, how = case[0], case[1], case[4]
        self.reset()
        before = self.look(case)
        places, said = self.places(line)
        if places is None:
            if "there is no such option" in said:
                print(f"skipped: {name}")
                return
            self.fail(f"{name}: {said}")
            return
        after = self.look(case)
        if after[1] == before[1] and how is not tables:
            self.fail(f"{name}: it does nothing")
        ended = 0
        signals = [signal.SIGINT, signal.SIGKILL]
        if name in ("backup", "rename", "dump"):
            signals += [signal.SIGTERM, signal.SIGHUP]
        for number in signals:
            of = places
            if number not in (signal.SIGINT, signal.SIGKILL):
                # Another thread takes the signal: the job may be done first, at any of them.
                of = places[::max(1, len(places) // 16)]
            self.struck = 0
            for at in of:
                complaint = self.one(case, at, number, before, after)
                if complaint is not None:
                    self.fail(f"{name}, {signal.Signals(number).name} at {at}: {complaint}")
            ended += self.struck
            if self.struck == 0:
                self.fail(f"{name}: no {signal.Signals(number).name} did anything")
        print(f"{name}: {len(places)} places, {ended} signals ended it")

    def fail(self, complaint):
        self.failures += 1
        print(f"not ok: {complaint}")


def main():
    # What was ignored where this was started, as by nohup, the tool would ignore too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = [a for a in sys.argv[1:] if a != "--all"]
    sweep = Sweep(os.path.abspath(arguments[0]), os.path.abspath(arguments[1]),
                  "--all" in sys.argv)
    wanted = arguments[2:]
    try:
        for case in CASES:
            if not wanted or case[0] in wanted:
                sweep.case(case)
    finally:
        shutil.rmtree(sweep.work)
    print(f"{sweep.runs} runs, {sweep.failures} failed")
    sys.exit(1 if sweep.failures else 0)


if __name__ == "__main__":
    main()
