#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# `lido demo` from outside: what it answers to a database, and to what is none, and that it
# leaves the original and its directory as they were.
#
# Usage: test_demo.sh LIDO        (needs python3 with its sqlite3 module; 77: it is not there)
set -u

# shellcheck source=tests/conformance/tool.sh
. "$(dirname "$0")/tool.sh"

# The directory and each file in it, with times and contents.
look() {
    ls -lA --time-style=full-iso .
    find . -type f -exec cksum {} + | sort
}

make_database() {
    python3 - "$1" "${2:-delete}" <<'PY' || exit 1
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA journal_mode=" + sys.argv[2])
db.executescript("""
    CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note BLOB);
    CREATE TABLE "odd ""name" (rowid TEXT, oid INT, "select" INT);
    CREATE TABLE code (code TEXT PRIMARY KEY, meaning TEXT) WITHOUT ROWID;
    CREATE TABLE hollow (a);
    CREATE VIEW people AS SELECT name FROM person;
""")
for i in range(500):
    db.execute("INSERT INTO person VALUES (?, ?, randomblob(50))", (i * 7 - 100, "name %d" % i))
    db.execute('INSERT INTO "odd ""name" VALUES (?, ?, ?)', (str(i), i, i))
    db.execute("INSERT INTO code VALUES (?, ?)", ("c%d" % i, "meaning"))
db.commit()
db.close()
PY
}

# --- the command line -------------------------------------------------------------------

run version
expect 'version says lido and SQLite' 0 '^lido [0-9.]* (SQLite 3[0-9.]*)$'
run --version
expect '--version does too' 0 '^lido [0-9.]* (SQLite'
for line in '--help' 'help' 'help demo' 'help version' 'demo --help' 'version --help' 'help --help'; do
    # shellcheck disable=SC2086
    run $line
    expect "$line" 0 '^Usage: lido'
done
run
expect 'no command' 2 'Usage: lido'
run dmeo
expect 'an unknown command, with a hint' 2 "did you mean 'demo'"
run zzz
expect 'an unknown command' 2 "see 'lido help'"
run help zzz
expect 'help for an unknown command' 2 "no command 'zzz'"
run demo
expect 'no database' 2 'the name of a database'
run demo a b
expect 'two databases' 2 "also 'b'\|also b"
run demo --bogus a
expect 'an unknown option' 2 'no such option as --bogus'
run demo --json=x a
expect 'a value that is too much' 2 'demo: --json takes no value; see'
run demo --json -dash.db
expect 'a name like an option' 2 'no such option as -d; a name that begins so goes behind --;'
run demo a --threads
expect 'an option without its value' 2 'missing behind --threads'
run demo --threads 0 a
expect 'no threads' 2 'from 1 to 256'
run demo --writers 257 a
expect 'too many writers' 2 'from 0 to 256'
run demo --threads 3x a
expect 'a number that is none' 2 "not '3x'"
run demo --seconds 1e9 a
expect 'too many seconds' 2 'from 0.1 to 3600'
run demo --seconds 1 --transfers 5 a
expect 'both seconds and transfers' 2 'exclude each other'
run demo --pool fixed a
expect 'a pool that is not there' 2 'assertion or all'

# --- databases that can be shown --------------------------------------------------------

make_database plain.db
before=$(look)
run demo plain.db --seconds 0.3
expect 'a run of all kinds' 0 'All 4[0-9] checks hold'
grep -q 'FAILED' "$work/out" && fail 'a run of all kinds: no check failed'
grep -q '3 tables to read' "$work/out" || fail 'a run of all kinds: sees three tables'
grep -q '^  32 writers of one file  *busy_timeout  *lido$' "$work/out" ||
    fail 'a run of all kinds: both ways to write'
grep -q '^  lido, 32 of 32 ' "$work/out" || fail 'a run of all kinds: who waited the least'
grep -q 'ok  *writers  *every transaction went through the gate' "$work/out" ||
    fail 'a run of all kinds: writers go through the gate'
[ -s "$work/err" ] && fail 'no progress where there is no terminal'

run demo plain.db --seconds 0.3 --pool queue --threads 4 --progress always
expect 'progress on demand' 0 'ok .*untouched'
grep -q 'queue  \[' "$work/err" || fail 'progress on demand: a line on stderr'

run demo plain.db --transfers 40 --threads 3 --writers 5 --json --seed 7
expect 'JSON' 0 '"schema": "lido-demo/1"'
python3 - "$work/out" <<'PY' || fail 'JSON: says what happened'
import json, sys
told = json.load(open(sys.argv[1]))
assert told["holds"] is True and told["seed"] == 7 and told["threads"] == 3
assert [p["pool"] for p in told["pools"]] == [
    "null", "queue", "singleton_thread", "static", "assertion"]
assert all(p["transactions"] == 40 for p in told["pools"])
assert all(p["rows"] > 0 and p["unreadable_rows"] == 0 for p in told["pools"])
assert all(c["holds"] for c in told["checks"])
assert [w["way"] for w in told["writers"]] == ["busy_timeout", "lido"]
assert [w["connections"] for w in told["writers"]] == [5, 2]
for way in told["writers"]:
    assert way["transactions"] == 40 and way["refused"] == 0
    assert sum(t["transactions"] for t in way["threads"]) == 40
    waits = [t["longest_wait_ns"] for t in way["threads"]]
    assert sorted(t["writer"] for t in way["threads"]) == [1, 2, 3, 4, 5]
    assert waits == sorted(waits, reverse=True) and waits[0] == way["wait_ns"]["max"]
    assert all(t["longest_wait_ns"] <= t["waited_ns"] for t in way["threads"])
lido = told["writers"][1]
assert told["gate"]["entered"] == lido["transactions"] + lido["declined"]
PY

run demo plain.db --transfers 40 --pool queue --writers 0
expect 'without writers' 0 'All .* checks hold'
grep -q 'writers' "$work/out" && fail 'without writers: nothing of them'

run demo plain.db --transfers 5 --threads 1 --writers 1
expect 'one thread' 0 'All .* checks hold'
[ "$before" = "$(look)" ] || fail 'the runs left the original and its directory alone'

mkdir "$work/kept"
run demo plain.db --transfers 20 --pool queue --keep "$work/kept/copy.db"
expect 'a kept copy' 0 'kept as'
[ "$(ls -A "$work/kept")" = copy.db ] || fail 'a kept copy: one file'
run demo "$work/kept/copy.db" --transfers 20 --pool queue
expect 'names that are taken' 0 'All .* checks hold'
run demo plain.db --keep "$work/kept/copy.db"
expect 'keep overwrites nothing' 2 'is there already'
run demo plain.db --transfers 5 --keep plain.db.copy
expect 'a copy kept beside the original' 0 'ok .*untouched'
rm -f plain.db.copy

for name in 'with space.db' 'what?.db' 'a%41b.db' 'hash#tag.db' 'semi;&=.db' "quote'\".db" 'ü.db'; do
    make_database "$name"
    before=$(look)
    run demo "$name" --transfers 5 --threads 2
    expect "a file called $name" 0 'All .* checks hold'
    [ "$before" = "$(look)" ] || fail "a file called $name: left alone"
    rm -f "$name"
done
odd_tmp="$work/t?m%41p #"
mkdir "$odd_tmp"
TMPDIR="$odd_tmp" run demo plain.db --transfers 5 --threads 2
expect 'a temporary directory with an odd name' 0 'All .* checks hold'

ln -s plain.db link.db
mkdir sub
ln -s ../link.db sub/second.db
before=$(look)
run demo sub/second.db --transfers 5
expect 'a symbolic link' 0 'All .* checks hold'
[ "$before" = "$(look)" ] || fail 'a symbolic link: left alone'
rm -r link.db sub

make_database clean-wal.db wal
before=$(look)
run demo clean-wal.db --transfers 5
expect 'a WAL database that is at rest' 0 'All .* checks hold'
[ "$before" = "$(look)" ] || fail 'a WAL database that is at rest: left alone'

make_database persist.db persist
[ -s persist.db-journal ] || printf 'note: this SQLite leaves no persistent journal\n'
before=$(look)
run demo persist.db --transfers 5
expect 'a journal that is not hot' 0 'All .* checks hold'
[ "$before" = "$(look)" ] || fail 'a journal that is not hot: left alone'

# --- what is no database ----------------------------------------------------------------

before=$(look)
run demo absent.db
expect 'a file that is not there' 5 'No such file'
mkdir dir.db
run demo dir.db
expect 'a directory' 5 'is a directory'
rmdir dir.db
: >empty.db
run demo empty.db
expect 'an empty file' 5 'is empty'
run demo empty.db --json
expect 'an error as JSON' 5 '"exit": 5'
rm empty.db
head -c 5000 /dev/urandom >noise.db
run demo noise.db
expect 'not a database' 5 'file is not a database'
printf 'hello\n' >noise.db
run demo noise.db
expect 'a short text' 5 'not a sound database'
head -c 9000 plain.db >noise.db
run demo noise.db
expect 'a truncated database' 5 'malformed'
rm noise.db
mkfifo pipe.db
run demo pipe.db
expect 'a pipe' 5 'not a regular file'
rm pipe.db
if [ "$(id -u)" != 0 ]; then
    cp plain.db closed.db
    chmod 000 closed.db
    run demo closed.db
    expect 'a file that may not be read' 5 'cannot be read'
    rm -f closed.db
fi
[ "$(ls -A)" = "$(printf 'clean-wal.db\npersist.db\npersist.db-journal\nplain.db')" ] ||
    fail 'refusals leave nothing behind'

# --- databases in use -------------------------------------------------------------------

hold clean-wal.db 'INSERT INTO hollow VALUES (1)'
before=$(look)
run demo clean-wal.db
expect 'a WAL in use' 4 "process $holder has it open, with [0-9]* bytes in its write-ahead log"
[ "$before" = "$(look)" ] || fail 'a WAL in use: left alone'
cp clean-wal.db crashed.db
cp clean-wal.db-wal crashed.db-wal
release
before=$(look)
run demo crashed.db
expect 'a WAL that a crash left' 4 'write-ahead log (-wal) of [0-9]* bytes'
[ "$before" = "$(look)" ] || fail 'a WAL that a crash left: left alone'
rm crashed.db*

hold clean-wal.db 'SELECT count(*) FROM person'
run demo clean-wal.db
expect 'open in WAL mode' 4 "process $holder reads it, or has it open in WAL mode"
release

for statement in 'BEGIN IMMEDIATE' 'BEGIN EXCLUSIVE'; do
    hold plain.db "$statement"
    before=$(look)
    run demo plain.db
    expect "locked by $statement" 4 "locked: process $holder is writing to it"
    [ "$before" = "$(look)" ] || fail "locked by $statement: left alone"
    release
done
hold plain.db 'BEGIN' 'SELECT count(*) FROM person'
run demo plain.db
expect 'locked by a reader' 4 "locked: process $holder reads it"
release

# A spilled transaction, copied in the middle, is what a crash leaves.
hold plain.db 'PRAGMA cache_size=1' 'BEGIN' \
    'UPDATE person SET note = randomblob(200)' 'INSERT INTO person SELECT id + 10000, name, note FROM person'
cp plain.db hot.db
cp plain.db-journal hot.db-journal
release
before=$(look)
run demo hot.db
expect 'a hot journal' 4 'hot journal'
[ "$before" = "$(look)" ] || fail 'a hot journal: left alone'
ln -s hot.db link.db
run demo link.db
expect 'a hot journal behind a link' 4 'hot journal'
rm -f hot.db* link.db

# --- signals ----------------------------------------------------------------------------

# A shell starts background jobs with SIGINT ignored, so python sends it; it waits for the
# first line of progress.
python3 - "$lido" <<'PY' >"$work/out" 2>"$work/err"
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
demo = subprocess.Popen([sys.argv[1], "demo", "plain.db", "--seconds", "60", "--progress", "always"],
                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
for line in demo.stderr:
    if "checkouts" in line:
        break
demo.send_signal(signal.SIGINT)
print(demo.stderr.read(), file=sys.stderr)
sys.exit(demo.wait())
PY
code=$?
expect 'Ctrl-C' 130 'interrupted'

finish
