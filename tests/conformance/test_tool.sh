#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The tool from outside: what its commands print, where, and what they answer.
#
# Usage: test_tool.sh LIDO [CC]     CC: a compiler for a second SQLite, which is loaded before
# the first; without it that part is left out.  (Needs python3 with sqlite3; 77: it is not there.)
set -u

# shellcheck source=tests/conformance/tool.sh
. "$(dirname "$0")/tool.sh"

make_database() {
    rm -f "$1"*
    sql "$1" 'PRAGMA auto_vacuum=incremental' 'CREATE TABLE person (id INTEGER PRIMARY KEY, name)' \
        'CREATE INDEX person_name ON person (name)' \
        'CREATE TABLE code (code TEXT PRIMARY KEY) WITHOUT ROWID' \
        'CREATE VIEW people AS SELECT name FROM person' "CREATE TABLE \"odd$(printf '\033')name\" (x)" \
        'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO person SELECT i, hex(randomblob(100)) FROM n' 'DELETE FROM person WHERE id > 100'
}

commands='checkpoint doctor optimize sizes tables vacuum version'
on_a_database='checkpoint doctor optimize sizes tables vacuum'

# --- help, and lines that say something impossible ---------------------------------------

run help
expect 'help' 0 '^Usage: lido COMMAND'
for command in $commands demo help; do
    grep -q "^  $command " "$work/out" || fail "help lists $command"
done
for command in $commands; do
    for line in "help $command" "$command --help" "$command -h"; do
        # shellcheck disable=SC2086
        run $line
        expect "$line" 0 "^Usage: lido $command "
        silent "$line" err
        grep -q '^  --json ' "$work/out" || fail "$line: says --json"
    done
    run "$command" --bogus
    expect "$command: an unknown option" 2 "no such option as --bogus; see 'lido help $command'"
    run "$command" --json -dash.db
    expect "$command: a name like an option" 2 \
        "no such option as -d; a name that begins so goes behind --; see 'lido help $command'"
    run "$command" --json -qx a.db
    expect "$command: an unknown letter behind another" 2 'no such option as -x;'
    run "$command" --quiet=yes a.db
    expect "$command: a value that is too much" 2 "$command: --quiet takes no value; see"
    run "$command" --json=x a.db
    expect "$command: a value that is too much, of --json" 2 "$command: --json takes no value; see"
    run "$command" a b c
    expect "$command: too many operands" 2 'there is'
    run "$command" --color
    expect "$command: a value that is missing" 2 'missing behind --color'
    for line in '--color=green' '--progress=green' '--timeout=-1' '--timeout=1x' '--timeout=' \
        '--timeout=.' '--timeout=.x' '--timeout=inf' '--timeout=nan'; do
        run "$command" "$line" a.db
        expect "$command $line" 2 'wants .*not'
        silent "$command $line" out
    done
done
for command in checkpoint optimize sizes tables vacuum; do
    run "$command"
    expect "$command: no database" 2 'it wants DATABASE'
done
run vacum
expect 'an unknown command, with a hint' 2 "did you mean 'vacuum'"
for line in 'vacuum --incremental 0' 'vacuum --incremental x' 'vacuum --incremental=' \
    'checkpoint --mode green' 'optimize --limit x'; do
    # shellcheck disable=SC2086
    run $line a.db
    expect "$line" 2 'wants .*not'
done
[ -z "$(ls -A)" ] || fail 'nothing is made by lines that are wrong'

# --- what the commands do ----------------------------------------------------------------

run version --json
expect 'version as JSON' 0 '"sqlite"'
is_json 'version' lido-version/1 'set(told) == {"schema", "lido", "sqlite", "sqlite_source"}'

make_database a.db
run tables a.db
expect 'tables' 0 '^code  *table  *1'
grep -q '^people  *view' "$work/out" || fail 'tables: the view'
grep -q '^odd?name  *table' "$work/out" || fail 'tables: nothing that moves the cursor'
grep -q sqlite_ "$work/out" && fail "tables: not SQLite's own"
run tables --all a.db
expect 'all tables' 0 '^sqlite_schema '
run tables a.db CODE
expect 'one table' 0 '^code  *table  *1'
grep -q '^people' "$work/out" && fail 'one table: and no other'
for name in cod code% sqlite_schema "code' OR '1"; do
    run tables a.db "$name"
    expect "no table $name" 1 'main has no table'
    silent "no table $name" out
done
run tables --all a.db sqlite_schema
expect "SQLite's own table" 0 '^sqlite_schema '
run tables a.db code people
expect 'two tables' 2 'there is also'
run tables --json a.db
is_json 'tables' lido-tables/1 '[(t["name"], t["kind"], t["has_rowid"]) for t in told["tables"]] == [
    ("code", "table", False), ("odd\x1bname", "table", True), ("people", "view", False),
    ("person", "table", True)]'

run sizes a.db
expect 'sizes' 0 '^person_name  *index  *person '
run sizes --json a.db
is_json 'sizes' lido-sizes/1 'sum(o["pages"] for o in told["objects"]) <= told["pages"] - told["free_pages"]
    and [o["bytes"] for o in told["objects"]] == sorted((o["bytes"] for o in told["objects"]), reverse=True)
    and {o["name"]: o["kind"] for o in told["objects"]}["person_name"] == "index"'

before=$(stat -c %s a.db)
run vacuum --incremental 3 --json a.db
expect 'some pages' 0 '"free_before"'
is_json 'some pages' lido-vacuum/1 'told["free_before"] - told["free_after"] == 3'
[ "$(stat -c %s a.db)" = $((before - 3 * 4096)) ] || fail 'some pages: three of them'
run vacuum a.db
expect 'vacuum' 0 'given back$'
silent 'vacuum: no progress without a terminal' err
[ "$(stat -c %s a.db)" -lt $((before / 2)) ] || fail 'vacuum: the file is smaller'
sql b.db 'CREATE TABLE t (x)'
run vacuum --incremental all b.db
expect 'pages of a database that keeps them' 1 'auto_vacuum=none'

run optimize a.db
expect 'optimize' 0 '^done$'
run tables --all a.db
expect 'optimize counted' 0 '^sqlite_stat1 '
run optimize --json --all --limit 0 a.db
is_json 'optimize' lido-optimize/1 'told["all"] is True and told["limit"] == 0'

run checkpoint a.db
expect 'no log' 0 'no write-ahead log'
sql a.db 'PRAGMA journal_mode=wal'
hold a.db 'INSERT INTO code VALUES (1)' 'BEGIN' 'SELECT * FROM person'
run checkpoint a.db --json
expect 'a checkpoint' 0 '"is_wal": true'
is_json 'a checkpoint' lido-checkpoint/1 'told["frames"] == told["checkpointed"] > 0'
sql a.db 'INSERT INTO code VALUES (2)'
run checkpoint --mode truncate --timeout 0 a.db
expect 'a checkpoint that a reader keeps from its end' 4 'others use the rest'
run doctor a.db
expect 'doctor with a log' 0 '^write-ahead log  *[0-9]'
release

for command in $on_a_database; do
    run "$command" --quiet --timeout .3 a.db
    [ "$code" = 0 ] || fail "$command --timeout .3"
    run "$command" --quiet a.db
    [ "$code" = 0 ] || fail "$command --quiet"
    silent "$command --quiet" out
    silent "$command --quiet" err
    run "$command" -q --json --progress=always a.db
    silent "$command --quiet --json --progress=always" out
    silent "$command --quiet --json --progress=always" err
    run "$command" --json a.db
    is_json "$command" "lido-$command/1" '"error" not in told'
done

# --- doctor ------------------------------------------------------------------------------

run doctor
expect 'doctor without a database' 0 '^copies of SQLite  *[01]'
make_database a.db
run doctor a.db
expect 'doctor' 0 '^journal mode  *delete$'
grep -q 'note: readers and writers keep each other out' "$work/out" || fail 'doctor: advice'
grep -q '^foreign keys  *off$' "$work/out" || fail 'doctor: foreign keys'
for line in 'statistics of memory  *o[nf]' 'encoding  *UTF-8' 'mapped memory  *0 B' 'trusted schema  *o' \
    'names  *1$' 'may be written  *yes' 'file system  *.'; do
    grep -q "^$line" "$work/out" || fail "doctor: $line"
done
if grep -q '^statistics of memory  *on' "$work/out"; then
    grep -q 'on: an allocation takes [0-9]* ns, without [0-9]*; with [2-4] threads [0-9]*, without [0-9]*$' \
        "$work/out" || fail 'doctor: what the statistics cost'
fi
ln a.db other.db
ln -s a.db link.db
run doctor link.db
expect 'doctor: two names of one file' 3 'warning: the journal goes by the name'
rm other.db
run doctor link.db
expect 'doctor by a link' 0 '^names  *1$'
rm link.db
# Root may write everything unless that is taken from it.
unprivileged=
[ "$(id -u)" != 0 ] || unprivileged='setpriv --bounding-set=-dac_override --inh-caps=-dac_override'
# shellcheck disable=SC2086
if $unprivileged true 2>/dev/null; then
    for mode in '444 755' '644 555'; do
        chmod "${mode% *}" a.db
        chmod "${mode#* }" .
        $unprivileged "$lido" doctor a.db >"$work/out" 2>"$work/err"
        code=$?
        chmod 755 .
        expect "doctor: file and folder of mode $mode" 0 '^may be written  *no$'
        grep -q 'note: this user may not write both the file and its folder' "$work/out" ||
            fail "doctor: mode $mode: what it means"
    done
    chmod 644 a.db
fi
run doctor --json a.db
is_json 'doctor' lido-doctor/1 'all(set(f) == {"name", "value", "level", "advice"} and
    (f["advice"] is None) == (f["level"] == "fine") for f in told["findings"])'
if [ -n "${2:-}" ]; then
    echo 'const char *sqlite3_libversion(void); const char *sqlite3_libversion(void) { return "3.40.1"; }' \
        >"$work/second.c"
    # shellcheck disable=SC2086 # CC may be several words
    if $2 -shared -fPIC -o "$work/second.so" "$work/second.c"; then
        LD_PRELOAD=$work/second.so run doctor
        expect 'a second SQLite' 3 '^copies of SQLite  *2: '
        grep -q 'warning: two in one process' "$work/out" || fail 'a second SQLite: a warning'
    fi
fi

# --- what is no database, and what is in use ----------------------------------------------

mkfifo fifo
for command in $on_a_database; do
    run "$command" absent.db
    expect "$command: a file that is not there" 5 'absent.db: No such file'
    silent "$command: a file that is not there" out
    [ ! -e absent.db ] || fail "$command: makes no file"
    run "$command" --json absent.db
    is_json "$command: an error as JSON" "lido-$command/1" \
        'told["error"]["exit"] == 5 and told["error"]["code"] == "LIDO_NOT_FOUND"'
    run "$command" --quiet absent.db
    expect "$command: a complaint, also when quiet" 5 'No such file'
    head -c 8192 /dev/urandom >noise.db
    run "$command" noise.db
    expect "$command: noise" 5 'no database\|not a database'
    for device in /dev/zero fifo; do
        run "$command" "$device"
        expect "$command: $device" 5 "$device is a special file, and no database\$"
    done
    run "$command" .
    expect "$command: a folder" 5 '\. is a folder, and no database$'
    run "$command" ''
    expect "$command: no name" 1 'the path of the database is empty$'
    hold a.db 'BEGIN EXCLUSIVE'
    run "$command" --timeout 0 a.db
    expect "$command: a database that is locked" 4 "$command: "
    release
done

# --- progress, colour, Ctrl-C --------------------------------------------------------------

run vacuum --progress always a.db
expect 'progress on demand' 0 '^vacuuming: .* s$'
grep -q vacuuming "$work/out" && fail 'progress goes to stderr'
run tables --color always a.db
expect 'colour on demand' 0 "$(printf '\033')"
run tables a.db
grep -q "$(printf '\033')" "$work/out" && fail 'no colour without a terminal'

esc=$(printf '\033')
terminal '' '' vacuum a.db
expect 'progress on a terminal' 0 "vacuuming.*$esc\[K"
terminal '' '' vacuum --progress never a.db
expect 'none if it is not wanted' 0 'given back'
grep -q vacuuming "$work/out" && fail 'none if it is not wanted'
terminal '' '' tables a.db
expect 'colour on a terminal' 0 "$esc\[1mname"
NO_COLOR=1 terminal '' '' tables a.db
grep -q "$esc" "$work/out" && fail 'NO_COLOR'
NO_COLOR=1 terminal '' '' tables --color=always a.db
expect 'NO_COLOR and --color=always' 0 "$esc\[1mname"

# It reads, says that it begins, and waits for the lock.
hold a.db 'BEGIN IMMEDIATE'
terminal "$(printf '\003')" vacuuming vacuum --timeout 30 a.db
expect 'Ctrl-C' 130 'cancelled'
release
run vacuum a.db
expect 'the next one works' 0 'given back'

finish
