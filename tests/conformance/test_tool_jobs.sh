#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The tool's jobs from outside: what is there, backups, dumps and tables.
#
# Usage: test_tool_jobs.sh LIDO     (Needs python3 with sqlite3; 77: it is not there.)
set -u

# shellcheck source=tests/conformance/tool.sh
. "$(dirname "$0")/tool.sh"

esc=$(printf '\033')
odd="odd \"name'; -- ${esc}[2J %s"

# A table, one of an odd name, and a view.
make_database() {
    rm -f "$1" "$1"-*
    sql "./$1" 'CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)' \
        "CREATE TABLE \"${odd//\"/\"\"}\" (x, y)" 'CREATE VIEW people AS SELECT name FROM person' \
        'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
         INSERT INTO person SELECT i, hex(randomblob(20)) FROM n' \
        "INSERT INTO \"${odd//\"/\"\"}\" VALUES (1.5, x'00ff'), (NULL, 'a''b')"
}

# what FILE SQL: what it answers, a line a row.
what() {
    python3 - "$@" <<'PY'
import sqlite3, sys
for row in sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True).execute(sys.argv[2]):
    print(*row, sep="|")
PY
}

# same NAME WANTED GIVEN
same() {
    if [ "$2" = "$3" ]; then
        printf 'ok: %s\n' "$1"
    else
        fail "$1: wanted '${2:0:60}', not '${3:0:60}'"
    fi
}

is_tidy() {
    same "$1: nothing is left beside" '' "$(find . -name '.*' -type f)"
}

run help
cp "$work/out" "$work/help"
for command in backup check copy dump exists info load rename restore; do
    for line in "help $command" "$command --help"; do
        # shellcheck disable=SC2086
        run $line
        expect "$line" 0 "^Usage: lido $command "
        silent "$line" err
    done
    grep -q "^  $command " "$work/help" || fail "help lists $command"
    run "$command" --bogus
    expect "$command: an unknown option" 2 "no such option as --bogus; see 'lido help $command'"
    run "$command"
    expect "$command: too few operands" 2 'it wants '
    run "$command" a b c d
    expect "$command: too many operands" 2 'there is also'
done
same 'nothing is made by lines that are wrong' '' "$(ls -A)"

# --- exists -------------------------------------------------------------------------------

make_database a.db
ln -s a.db link.db
ln -s nowhere broken.db
mkdir folder.db
: >empty.db
head -c 8192 /dev/urandom >noise.db
run exists a.db
expect 'exists' 0 '^a.db: a database, '
run exists link.db
expect 'exists by a link' 0 'a database, by a link'
run exists empty.db
expect 'exists: an empty file' 0 'an empty file, 0 B$'
run exists noise.db
expect 'exists: noise' 0 'no database'
for name in absent.db broken.db folder.db ''; do
    run exists "$name"
    [ "$name" = '' ] && want=1 || want=5
    expect "exists: '$name'" "$want" ':'
done
run exists --json absent.db
is_json 'exists: nothing' lido-exists/1 'told["kind"] == "missing" and told["is_file"] is False'
run exists -q a.db
same 'exists, quiet' "0 0" "$code $(cat "$work/out" "$work/err" | wc -c)"
hold a.db 'PRAGMA journal_mode=wal' 'INSERT INTO person VALUES (1000, 1)'
run exists --json a.db
is_json 'exists with a log' lido-exists/1 'told["wal_bytes"] > 0 and told["header"] == "sound"'
release
cp a.db "$odd"
run exists "$odd"
expect 'exists: a hostile name' 0 'a database'
grep -q "$esc" "$work/out" && fail 'exists: what moves the cursor is not printed'

# --- check and info -----------------------------------------------------------------------

make_database a.db
before=$(stat -c '%s %Y %n' a.db*; md5sum a.db)
for depth in --header '' --quick --full '--full --foreign-keys'; do
    # shellcheck disable=SC2086
    run check $depth a.db
    expect "check $depth" 0 '^a.db: sound$'
done
run check --json --quick a.db
is_json 'check' lido-check/1 'told["verdict"] == "sound" and told["depth"] == "quick" and
    told["problems"] == [] and told["reason"] is None'
run info a.db
expect 'info' 0 '^tables  *2$'
run info --json a.db
is_json 'info' lido-info/1 '(told["tables"], told["views"], told["is_wal"], told["encoding"]) ==
    (2, 1, False, "UTF-8") and told["bytes"] == told["page_size"] * told["page_count"]'
same 'a check leaves no trace' "$before" "$(stat -c '%s %Y %n' a.db*; md5sum a.db)"

# What is said of it is said once.
while read -r name told; do
    run check "$name"
    same "check $name" "5 $name: $told" "$code $(cat "$work/out")"
    run info "$name"
    same "info $name" "5 $name: $told" "$code $(cat "$work/out")"
done <<END
absent.db missing: there is no such file
broken.db missing: it is a link to a file that is not there
folder.db unreadable: it is a folder, and no database
/dev/null unreadable: it is a special file, and no database
END

run check --quick --full a.db
expect 'check: two depths' 2 'exclude each other'
run check --header --foreign-keys a.db
expect 'check: foreign keys of the header' 2 'reads the tables'
run check --most 0 a.db
expect 'check --most 0' 2 'wants .*not'

cp a.db bad.db
python3 - bad.db <<'PY'
import sys
file = open(sys.argv[1], "r+b")
file.seek(4096 * 2)
file.write(b"\xa5" * 4096)
PY
run check --full bad.db
expect 'check: a damaged page' 3 '^  .'
run check --full --json bad.db
is_json 'check: a damaged page' lido-check/1 'told["verdict"] == "malformed" and told["problems"]'
head -c 5000 a.db >short.db
run check short.db
expect 'check: cut off' 3 'truncated'
hold a.db 'PRAGMA journal_mode=delete' 'PRAGMA cache_size=1' 'BEGIN' \
    'UPDATE person SET name = hex(randomblob(500))'
cp a.db hot.db
cp a.db-journal hot.db-journal
release
before=$(md5sum hot.db*)
for command in check info; do
    run "$command" hot.db
    expect "$command: a transaction that was cut off" 4 'needs recovery'
done
same 'a check recovers nothing' "$before" "$(md5sum hot.db*)"

sql keys.db 'CREATE TABLE p (id INTEGER PRIMARY KEY)' 'CREATE TABLE c (p REFERENCES p)' \
    'INSERT INTO c VALUES (7), (8), (9)'
run check --full keys.db
expect 'check: foreign keys are not asked for' 0 'sound'
run check --foreign-keys --most 2 --json keys.db
expect 'check: foreign keys' 3 'foreign'
is_json 'check: foreign keys' lido-check/1 'len(told["problems"]) == 2 and told["has_more"]'
for command in check info; do
    for name in absent.db empty.db noise.db folder.db; do
        run "$command" "$name"
        expect "$command: $name" 5 "^$name: "
        silent "$command: $name" err
        run "$command" --json "$name"
        is_json "$command: $name" "lido-$command/1" 'told["verdict"] != "sound" and told["reason"]'
    done
    hold a.db 'BEGIN EXCLUSIVE'
    run "$command" --timeout 0 a.db
    expect "$command: a database that is locked" 4 'locked'
    release
    run "$command" --quiet --json a.db
    same "$command, quiet" '0 0' "$code $(cat "$work/out" "$work/err" | wc -c)"
    run "$command" "$odd"
    expect "$command: a hostile name" 0 'sound'
done
is_tidy 'checks'

# --- backup and restore --------------------------------------------------------------------

everything='SELECT (SELECT count(*) FROM person), (SELECT group_concat(name) FROM person)'
make_database a.db
wanted=$(what a.db "$everything")
run backup a.db copy.db
expect 'backup' 0 'copy.db: .* pages, .*, checked$'
silent 'backup' err
same 'backup: the content' "$wanted" "$(what copy.db "$everything")"
run backup a.db copy.db
expect 'backup over a file' 1 'exists already.*say --replace'
run backup --replace --json a.db copy.db
is_json 'backup' lido-backup/1 'told["path"].endswith("/copy.db") and told["is_checked"]
    and told["bytes"] > 0 and told["removed"] == 0'
run help backup
expect 'backup --replace: whose duty it is' 0 'see yourself that nobody has it open'
expect 'backup --replace: it is not checked' 0 'that is not checked'
cp copy.db held.db
hold held.db 'BEGIN' 'SELECT count(*) FROM person'
run backup --replace a.db held.db
expect 'backup --replace of a file that is open' 0 'checked$'
release
run backup --vacuum --no-check a.db vacuumed.db
expect 'backup --vacuum --no-check' 0 'not checked$'
same 'backup --vacuum: the content' "$wanted" "$(what vacuumed.db "$everything")"
run backup --method copy --json a.db bytes.db
is_json 'backup --method copy' lido-backup/1 'told["method"] == "copy" and told["is_checked"]'
same 'backup --method copy: the content' "$wanted" "$(what bytes.db "$everything")"
run backup --hash --replace a.db bytes.db
expect 'backup --hash' 0 '^[0-9a-f]\{64\}  content$'
for line in '--stamp --replace' '--keep 3'; do
    # shellcheck disable=SC2086
    run backup $line a.db never.db
    expect "backup $line" 2 'exclude each other\|goes with'
done
for line in '--keep 0 --stamp' '--rate 0' '--rate x' '--rate 1X' '--rate 10MB' '--rate -1' \
    '--rate 9999999999T' '--method page'; do
    # shellcheck disable=SC2086
    run backup $line a.db never.db
    expect "backup $line" 2 'wants .*not'
done
[ ! -e never.db ] || fail 'a wrong line makes no backup'
for rate in 9000000 900K 10M 2g 1T; do
    run backup --rate "$rate" a.db "rate-$rate.db"
    expect "backup --rate $rate" 0 'checked'
done
for line in '--rate 10M --vacuum' '--rate 10M --method copy'; do
    # shellcheck disable=SC2086
    run backup $line --replace a.db rate-10M.db
    expect "backup $line" 0 'checked'
done
for _ in 1 2 3; do
    run backup --stamp --keep 2 --json a.db daily.db
done
is_json 'backup --stamp --keep' lido-backup/1 'told["removed"] == 1'
same 'backup --keep' 2 "$(find . -name 'daily.db.2*' | wc -l)"
run backup a.db absent/copy.db
expect 'backup into a folder that is not there' 1 'absent'
run backup a.db a.db
expect 'backup onto itself' 1 ':'
run backup --replace a.db folder.db
expect 'backup over a folder' 1 ':'
for name in absent.db noise.db folder.db; do
    run backup "$name" never.db
    expect "backup of $name" 5 ':'
    [ ! -e never.db ] || fail "backup of $name: makes no file"
done
hold a.db 'BEGIN EXCLUSIVE'
run backup --timeout 0 a.db never.db
expect 'backup of a database that is locked' 4 'backup: '
release
[ ! -e never.db ] || fail 'backup of a database that is locked: makes no file'
make_database "$odd"
run backup "$odd" "$odd.copy"
expect 'backup: hostile names' 0 'checked'
grep -q "$esc" "$work/out" && fail 'backup: what moves the cursor is not printed'
same 'backup: hostile names' "$(what "${odd//%/%25}" "$everything")" \
    "$(what "${odd//%/%25}.copy" "$everything")"
run backup a.db :memory:
expect 'backup: :memory: is a name' 0 'checked'
same 'backup: :memory: is a name' "$wanted" "$(what ./:memory: "$everything")"
run backup -q a.db quiet.db
same 'backup, quiet' '0 0' "$code $(cat "$work/out" "$work/err" | wc -c)"

sql a.db 'PRAGMA journal_mode=wal' 'DELETE FROM person'
hold a.db 'BEGIN' 'SELECT count(*) FROM person'
run restore --json copy.db a.db
is_json 'restore' lido-restore/1 'told == {"schema": "lido-restore/1", "from": "copy.db",
    "into": "a.db", "is_checked": True}'
release
same 'restore: the content' "$wanted" "$(what a.db "$everything")"
run restore copy.db a.db
expect 'restore' 0 '^a.db: holds what is in copy.db$'
for from in absent.db noise.db empty.db; do
    run restore "$from" a.db
    expect "restore of $from" 5 'restore: '
done
run restore bad.db a.db
expect 'restore of a damaged file' 5 'restore: '
run restore a.db absent.db
expect 'restore into a file that is not there' 5 'absent.db: No such file'
[ ! -e absent.db ] || fail 'restore makes no file'
# Root may read everything unless that is taken from it.
unprivileged=
[ "$(id -u)" != 0 ] || unprivileged='setpriv --bounding-set=-dac_override,-dac_read_search
    --inh-caps=-dac_override,-dac_read_search'
# shellcheck disable=SC2086
if $unprivileged true 2>/dev/null; then
    cp copy.db secret.db
    chmod 0 secret.db
    for line in 'tables secret.db' 'dump secret.db' 'backup secret.db never.db' \
        'copy secret.db person a.db' 'load secret.db /dev/null' 'sizes secret.db' \
        'restore copy.db secret.db' 'restore secret.db a.db'; do
        $unprivileged "$lido" $line >"$work/out" 2>"$work/err"
        code=$?
        expect "$line: who may not read it" 5 'data/secret.db: .*Permission denied'
        grep -q '/\./' "$work/err" && fail "$line: the name as it is"
    done
fi
raw=$(printf 'raw\377.db')
for line in "backup --vacuum copy.db $raw" "tables copy.db $raw" "dump --tables $raw copy.db"; do
    # shellcheck disable=SC2086
    run $line
    LC_ALL=C expect "${line%% *} of what is not UTF-8" 1 ': the [a-z -]* is not UTF-8'
done
run backup copy.db "$raw"
LC_ALL=C expect 'backup to a name that is not UTF-8' 0 'checked'
# Of two databases it is said which one is meant.
make_database b.db
for line in 'copy noise.db person b.db' 'copy b.db person noise.db' 'restore b.db noise.db'; do
    # shellcheck disable=SC2086
    run $line
    expect "$line: which" 5 'not a database; that is noise.db$'
done
run restore noise.db b.db
expect 'restore of noise: which, said once' 5 'noise.db is no database of SQLite$'
cp b.db c.db
hold c.db 'BEGIN' 'SELECT count(*) FROM person'
run copy --as other --timeout 0 b.db person c.db
expect 'copy: which is in use' 4 \
    'locked; process [0-9]* ([^)]*) reads it; others use c.db; --timeout'
release

# Who may not write the folder of a database in WAL mode makes no log there.
mkdir wal
sql wal/w.db 'PRAGMA journal_mode=wal' 'CREATE TABLE person (id INTEGER PRIMARY KEY, name)'
advice='; w.db is in WAL mode, and in its folder this user cannot make the log: read a copy of it, or'
# shellcheck disable=SC2086
if $unprivileged true 2>/dev/null; then
    for mode in 444 666; do
        chmod "$mode" wal/w.db
        chmod 555 wal
        for line in 'tables wal/w.db' 'sizes wal/w.db' 'dump wal/w.db' 'doctor wal/w.db' \
            'backup wal/w.db never.db' 'backup --method copy wal/w.db never.db' \
            'copy --as never wal/w.db person b.db'; do
            $unprivileged "$lido" $line >"$work/out" 2>"$work/err"
            code=$?
            expect "$line of mode $mode, without its log: advice" 1 "$advice"
        done
        for line in 'check wal/w.db' 'info wal/w.db'; do
            $unprivileged "$lido" $line >"$work/out" 2>"$work/err"
            code=$?
            expect "$line of mode $mode, without its log" 0 'sound'
        done
        $unprivileged "$lido" backup wal/w.db b.db >"$work/out" 2>"$work/err"
        code=$?
        expect "a backup that is refused, mode $mode" 1 'exists already.* --replace$'
        chmod 755 wal
    done
    $unprivileged "$lido" dump wal/w.db >"$work/out" 2>"$work/err"
    code=$?
    expect 'in a folder that may be written' 0 'COMMIT'
    chmod 444 wal/w.db
    hold wal/w.db 'BEGIN' 'SELECT count(*) FROM person'
    chmod 555 wal
    for line in 'tables wal/w.db' 'backup wal/w.db kept.db'; do
        $unprivileged "$lido" $line >"$work/out" 2>"$work/err"
        code=$?
        expect "$line: somebody has it open" 0 '.'
    done
    chmod 755 wal
    release
    rm kept.db
fi
sql pages.db 'PRAGMA page_size=1024' 'CREATE TABLE t (x)'
run restore pages.db a.db
expect 'restore of another page size' 1 'pages of'
run restore a.db a.db
expect 'restore of itself' 1 'itself'
make_database b.db
hold b.db 'BEGIN IMMEDIATE'
run restore --timeout 0 copy.db b.db
expect 'restore into a database that is locked' 4 'locked; process [0-9]* ([^)]*) writes it'
release
hold b.db 'BEGIN' 'SELECT * FROM person'
run restore --timeout 0 copy.db b.db
expect 'restore into a database that is read' 4 '/b.db is in use: process [0-9]* ([^)]*) reads it'
release
# Of one that finds no room in the middle nothing is left to undo for who comes next.
sql big.db 'CREATE TABLE big (x)' \
    'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
     INSERT INTO big SELECT hex(zeroblob(2000)) FROM n'
"$lido" dump --tables big -o big.sql big.db >/dev/null
for line in 'restore big.db b.db' 'load b.db big.sql'; do
    # shellcheck disable=SC2086
    (trap '' XFSZ && ulimit -f 1024 && exec "$lido" $line) >"$work/out" 2>"$work/err"
    code=$?
    expect "$line: files of a megabyte" 1 "^lido: ${line%% *}: "
    same "$line: files of a megabyte: it is undone" b.db "$(echo b.db*)"
    same "$line: files of a megabyte: the content" 100 \
        "$(what b.db 'SELECT count(*) FROM person')"
done
same 'restore: nothing of it was done' "$wanted" "$(what a.db "$everything")"

sql big.db 'CREATE TABLE t (x)' 'INSERT INTO t WITH RECURSIVE n (i) AS
    (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT zeroblob(2000) FROM n'
terminal "$(printf '\003')" ' pages' backup --rate 100K big.db never.db
expect 'Ctrl-C in a backup' 130 'cancelled'
[ ! -e never.db ] || fail 'Ctrl-C in a backup: makes no file'
is_tidy 'Ctrl-C in a backup'
terminal "$(printf '\003')" ' pages' backup --replace --rate 100K big.db copy.db
expect 'Ctrl-C in a backup over a file' 130 'cancelled'
same 'Ctrl-C in a backup over a file' "$wanted" "$(what copy.db "$everything")"
run backup big.db next.db
expect 'the next one works' 0 'checked'
is_tidy 'backups'

# --- dump and load --------------------------------------------------------------------------

make_database a.db
run dump a.db
expect 'dump' 0 '^COMMIT;$'
silent 'dump' err
mv "$work/out" a.sql
run dump -q a.db
same 'dump, quiet' "$(md5sum <a.sql)" "$(md5sum <"$work/out")"
run load --create loaded.db a.sql
expect 'load' 0 '^loaded.db: .* statements, '
same 'load: the content' "$(what a.db "$everything")" "$(what loaded.db "$everything")"
"$lido" load --create --json piped.db <a.sql >"$work/out" 2>"$work/err"
code=$?
expect 'load from a pipe' 0 lido-load
is_json 'load' lido-load/1 'told["statements"] > 100 and told["bytes"] > 0'
same 'load from a pipe: the content' "$(what a.db "$everything")" "$(what piped.db "$everything")"
run dump loaded.db
same 'dumped again it is the same' "$(md5sum <a.sql)" "$(md5sum <"$work/out")"
run load a.db a.sql
expect 'load where it is already' 1 'line [0-9]*: .*exists'

run dump --tables 'nobody%' a.db
expect 'dump of nothing' 1 "LIKE 'nobody%'"
silent 'dump of nothing' out
run dump --tables 'nobody%' -o never.sql a.db
[ ! -e never.sql ] || fail 'dump of nothing: makes no file'
run dump -o out.sql a.db
expect 'dump -o' 0 '^out.sql: .* statements'
same 'dump -o: the text' "$(md5sum <a.sql)" "$(md5sum <out.sql)"
run dump -o out.sql a.db
expect 'dump over a file' 1 'exists already.*--replace'
chmod 640 a.db
run dump --output out.sql --replace --schema-only --json a.db
is_json 'dump' lido-dump/1 'told["path"] == "out.sql" and 0 < told["statements"] < 20'
grep -q 'INSERT INTO "person"' out.sql && fail 'dump --schema-only: no rows'
same 'dump -o: who may read it' 640 "$(stat -c %a out.sql)"
run dump --data-only --tables 'person' a.db
expect 'dump --data-only --tables' 0 'INSERT INTO "person"'
grep -q 'CREATE\|odd' "$work/out" && fail 'dump --data-only --tables: nothing else'
run dump --tables persom -o never.sql a.db
expect 'dump of no table' 1 "LIKE 'persom'"
[ ! -e never.sql ] || fail 'dump of no table: makes no file'
for name in copy.db link.db folder.db absent/x.sql /; do
    run dump --replace -o "$name" a.db
    expect "dump --replace -o $name" 1 'dump: '
done
same 'dump over a database' "$wanted" "$(what copy.db "$everything")"
for line in '--schema-only --data-only' '--replace' '--json'; do
    # shellcheck disable=SC2086
    run dump $line a.db
    expect "dump $line" 2 'exclude each other\|goes with -o'
done
run dump --replace a.db
silent 'a wrong dump' out
for name in absent.db noise.db folder.db; do
    run dump -o never.sql "$name"
    expect "dump of $name" 5 'dump: '
    [ ! -e never.sql ] || fail "dump of $name: makes no file"
done
hold a.db 'BEGIN EXCLUSIVE'
run dump --timeout 0 -o never.sql a.db
expect 'dump of a database that is locked' 4 'dump: '
run load --timeout 0 a.db a.sql
expect 'load into a database that is locked' 4 'load: .*--timeout'
release
[ ! -e never.sql ] || fail 'dump of a database that is locked: makes no file'
run dump -o "$odd.sql" "$odd"
expect 'dump: hostile names' 0 'statements'
grep -q "$esc" "$work/out" && fail 'dump: what moves the cursor is not printed'
run load --create "$odd.loaded" "$odd.sql"
expect 'load: hostile names' 0 'statements'

"$lido" dump big.db 2>"$work/err" | head -n 4 >"$work/out"
code=${PIPESTATUS[0]}
expect 'dump | head' 141 'BEGIN'
silent 'dump | head' err
if [ -w /dev/full ]; then
    "$lido" dump a.db >/dev/full 2>"$work/err"
    code=$?
    expect 'dump to a full disk' 1 'standard output: No space'
fi
(ulimit -f 8 && exec "$lido" dump -o never.sql big.db) >"$work/out" 2>"$work/err"
code=$?
expect 'dump -o on a full disk' 1 'cannot write never.sql: File too large'
[ ! -e never.sql ] || fail 'dump -o on a full disk: makes no file'

# SIGINT when a dump waits for its reader, when it is in the middle of a file, and when a load
# waits for its text.
interrupted() {
    python3 - "$lido" "$@" >"$work/out" 2>"$work/err" <<'PY'
import array, fcntl, os, signal, subprocess, sys, termios
def waiting(pipe): # bytes in it
    return array.array("i", fcntl.ioctl(pipe, termios.FIONREAD, b"    "))[0]
end, out = os.pipe()
fcntl.fcntl(out, 1031, 4096) # F_SETPIPE_SZ: less than the tool keeps
tool = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE)
if "-o" in sys.argv:
    while not any(name.startswith(".never.sql.") for name in os.listdir(".")):
        pass
elif sys.argv[2] == "dump":
    while waiting(end) < 4096:
        pass
else:
    tool.stdin.write(b"BEGIN;\nCREATE TABLE half (x);\n")
    tool.stdin.flush()
    while waiting(tool.stdin) > 0 or open(f"/proc/{tool.pid}/stat").read().split()[2] != "S":
        pass
tool.send_signal(signal.SIGINT)
try:
    code = tool.wait(30)
except subprocess.TimeoutExpired:
    tool.kill()
    code = 99
sys.stdout.buffer.write(tool.stderr.read())
sys.exit(code)
PY
    code=$?
}
sql slow.db 'CREATE TABLE t (x)' 'INSERT INTO t WITH RECURSIVE n (i) AS
    (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) SELECT i FROM n'
interrupted dump big.db
expect 'Ctrl-C in a dump that nobody reads' 130 'cancelled while'
interrupted load new.db --create
expect 'Ctrl-C in a load that waits for its text' 130 'cancelled while'
[ ! -e new.db ] || fail 'Ctrl-C in a load: makes no file'

interrupted dump -o never.sql slow.db
expect 'Ctrl-C in a dump into a file' 130 'cancelled\|was fired'
[ ! -e never.sql ] || fail 'Ctrl-C in a dump: makes no file'
is_tidy 'Ctrl-C in a dump'

run load absent.db a.sql
expect 'load into a file that is not there' 5 'absent.db: No such file.*--create'
run load noise.db a.sql
expect 'load into noise' 5 'load: '
run load a.db absent.sql
expect 'load of a file that is not there' 1 'absent.sql: No such file'
run load a.db a.db
expect 'load of the database itself' 1 'itself'
printf 'CREATE TABLE t (x);\nINSERT INTO t VALUES (1);\nINSERT INTO nowhere VALUES (1);\n' >wrong.sql
run load --create never.db wrong.sql
expect 'load of what is wrong' 1 'line 3: '
[ ! -e never.db ] || fail 'load of what is wrong: makes no file'
run load a.db wrong.sql
expect 'load of what is wrong' 1 'line 3: '
same 'load: all or nothing' 0 "$(what a.db "SELECT count(*) FROM sqlite_schema WHERE name = 't'")"
head -n 50 a.sql >cut.sql
run load --create never.db cut.sql
expect 'load of a text that was cut off' 1 'COMMIT\|cut'
printf 'x' >never.db-journal
run load --create never.db a.sql
expect 'load beside the journal of another' 1 'never.db-journal is there'
[ ! -e never.db ] || fail 'load beside the journal of another: makes no file'
rm never.db-journal
ln -s nowhere.db dangling.db
run load --create dangling.db a.sql
same 'load by a broken link: makes nothing' "5 no" "$code $([ -e nowhere.db ] && echo yes || echo no)"
run load --create absent/new.db a.sql
expect 'load into a folder that is not there' 1 'beside absent/new.db: No such file'
(umask 027 && exec "$lido" load --create mine.db a.sql) >"$work/out" 2>"$work/err"
same 'load: the mode of a new file' 640 "$(stat -c %a mine.db)"
: >there.db
run load there.db wrong.sql
[ -e there.db ] || fail 'load leaves an empty file that was there'
is_tidy 'dumps'

# --- copy and rename --------------------------------------------------------------------------

make_database a.db
sql a.db 'CREATE INDEX long_name ON person (name) WHERE length(name) > 5'
sql into.db 'CREATE TABLE t (x)'
wanted=$(what a.db "$everything")
run copy a.db person into.db
expect 'copy' 0 '^person: 100 rows, 1 index$'
silent 'copy' err
same 'copy: the content' "$wanted" "$(what into.db "$everything")"
same 'copy: the constraints' 1 "$(what into.db "SELECT count(*) FROM sqlite_schema
    WHERE sql LIKE '%(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)'")"
run copy a.db person into.db
expect 'copy over a table' 1 'copy: .*person'
run copy a.db person into.db --append
expect 'copy --append of rows that are there' 1 'copy: '
same 'copy --append: all or nothing' "$wanted" "$(what into.db "$everything")"
sql into.db 'DELETE FROM person WHERE id > 60'
run copy --append --ignore --json a.db person into.db
is_json 'copy' lido-copy/1 'told["rows_read"] == 100 and told["rows_written"] == 40'
sql into.db "UPDATE person SET name = 'x' WHERE id = 7"
run copy --append --or-replace a.db person into.db
expect 'copy --or-replace' 0 '100 rows'
same 'copy --or-replace: the content' "$wanted" "$(what into.db "$everything")"
run copy --replace --where 'id <= 10' a.db PERSON into.db
expect 'copy --replace --where' 0 '10 rows'
same 'copy --replace --where: the content' 10 "$(what into.db 'SELECT count(*) FROM person')"
run copy --where '1); DELETE FROM person; --' --as never a.db person into.db
expect 'copy: more than an expression' 1 'copy: '
same 'copy: more than an expression' "$wanted" "$(what a.db "$everything")"
run copy --as "$odd" a.db "$odd" into.db
expect 'copy: hostile names' 0 '2 rows'
grep -q "$esc" "$work/out" && fail 'copy: what moves the cursor is not printed'
same 'copy: hostile names' '1.5|a' "$(what into.db "SELECT max(x) || '|' || substr(max(y), 1, 1)
    FROM (SELECT x, CASE WHEN typeof(y) = 'text' THEN y END AS y FROM \"${odd//\"/\"\"}\")")"

ln -sf a.db same.db
run copy a.db person same.db
expect 'copy into the same database, without a name' 2 'as NAME'
run copy a.db person same.db --as people2
expect 'copy into the same database' 0 '^people2: 100 rows, 1 index$'
run copy a.db person a.db --as few --where 'id < 5' --json
is_json 'copy of some rows into the same database' lido-copy/1 'told["rows_written"] == 4'
run copy a.db person a.db --as few --append
expect 'copy over rows of the same database' 1 'copy: '
for line in '--append --replace' '--ignore --or-replace'; do
    # shellcheck disable=SC2086
    run copy $line a.db person into.db
    expect "copy $line" 2 'exclude each other'
done
run copy a.db person absent.db
expect 'copy into a file that is not there' 5 'absent.db: No such file.*load --create'
sql a.db 'CREATE TABLE child (a REFERENCES person, b REFERENCES person)' \
    'INSERT INTO child VALUES (1001, 1002), (1003, 1004)'
run copy --as orphans a.db child into.db
expect 'copy of rows without a parent' 1 \
    '2 rows of "orphans" have no parent in "person".*; --no-foreign-keys does that$'
run copy --as orphans --no-foreign-keys a.db child into.db
expect 'copy --no-foreign-keys' 0 '^orphans: 2 rows$'
sql a.db 'DROP TABLE child'
run copy --columns name,id --columns name2 --as some a.db person into.db
expect 'copy of a column that is not there' 1 'name2'
run copy --columns name --as some a.db person into.db
expect 'copy of a column' 0 '^not copied: the primary key$'
same 'copy of a column: the content' "$(what a.db 'SELECT max(name) FROM person')" \
    "$(what into.db 'SELECT max(name) FROM some')"
sql ./a.db 'CREATE TRIGGER told AFTER INSERT ON person BEGIN SELECT 1; END'
run copy --triggers --as moved --json a.db person into.db
is_json 'copy with triggers' lido-copy/1 'told["triggers"] == 1 and told["not_copied"] == []'
run copy --as moved2 --json a.db person a.db
is_json 'copy without' lido-copy/1 'told["not_copied"] == ["triggers"]'
sql ./a.db 'DROP TRIGGER told' 'DROP TABLE moved2'
run copy a.db person absent.db
expect 'copy into nothing: what to do' 5 "lido load --create'"
run copy a.db person into.db
expect 'copy over a table: what to do' 1 'append or --replace'
run copy --append a.db person into.db
expect 'copy of rows that are there: what to do' 1 'ignore or --or-replace'
run copy --where 'id <' --as never a.db person into.db
expect 'copy by no expression' 1 'copy: --where: .*syntax'
run copy --where 'id = 1' --as one a.db person into.db
expect 'copy of one row' 0 ': 1 row,'
run copy a.db nobody into.db
expect 'copy of a table that is not there' 1 'nobody'
run copy --json a.db nobody into.db
is_json 'copy of a table that is not there' lido-copy/1 'told["error"]["exit"] == 1 and
    told["error"]["code"] == "LIDO_NOT_FOUND"'
for files in 'absent.db a.db' 'a.db absent.db' 'noise.db a.db' 'a.db noise.db'; do
    run copy "${files% *}" person "${files#* }"
    expect "copy: $files" 5 'copy: '
done
hold into.db 'BEGIN IMMEDIATE'
run copy --timeout 0 --as late a.db person into.db
expect 'copy into a database that is locked' 4 'copy: '
release

run rename --dry-run a.db person human
expect 'rename --dry-run' 0 'person: could be renamed to human'
same 'rename --dry-run: nothing changed' "$wanted" "$(what a.db "$everything")"
run rename --json a.db person human
is_json 'rename' lido-rename/1 'told["table"] == "person" and told["is_dry_run"] is False'
same 'rename: the view goes with it' 100 "$(what a.db 'SELECT count(*) FROM people')"
run rename a.db "$odd" "$odd 2"
expect 'rename: hostile names' 0 'renamed to'
grep -q "$esc" "$work/out" && fail 'rename: what moves the cursor is not printed'
run rename a.db "$odd 2" 'x" RENAME TO "y'
expect 'rename: a name that looks like SQL' 0 'renamed to'
run rename a.db person human
expect 'rename of a table that is not there' 1 'person'
run rename a.db human people
expect 'rename to a name that is taken' 1 'people'
sql a.db 'CREATE VIEW broken AS SELECT * FROM nowhere'
run rename a.db human person
expect 'rename where a view does not work' 1 'broken'
for name in absent.db noise.db; do
    run rename "$name" human person
    expect "rename in $name" 5 'rename: '
done
hold a.db 'BEGIN IMMEDIATE'
run rename --timeout 0 a.db human person
expect 'rename in a database that is locked' 4 'rename: '
release
for line in 'copy b.db person into.db --as quiet' 'rename b.db person quiet'; do
    # shellcheck disable=SC2086
    run $line --quiet
    same "$line, quiet" '0 0' "$code $(cat "$work/out" "$work/err" | wc -c)"
done

slow='(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000 + t.rowid)
    SELECT count(*) FROM n) > 0'
before=$(md5sum <big.db)
terminal "$(printf '\003')" ' rows' copy --as never --where "$slow" big.db t big.db
expect 'Ctrl-C in a copy' 130 'cancelled'
same 'Ctrl-C in a copy: nothing changed' "$before" "$(md5sum <big.db)"
is_tidy 'tables'

finish
