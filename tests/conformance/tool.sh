# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests of the tool share; sourced.  They begin with LIDO as the first argument, and
# stand in an empty folder afterwards.

lido=$1
python3 -c 'import sqlite3' 2>/dev/null || exit 77
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/data" "$work/tmp"
export TMPDIR="$work/tmp" TERM=dumb
cd "$work/data" || exit 1
failures=0

fail() {
    printf 'not ok: %s\n' "$1"
    printf '    exit %s\n' "$code"
    sed 's/^/    | /' "$work/out" "$work/err"
    failures=$((failures + 1))
}

# run ARGUMENT...: leaves the exit code in $code, the output in out and err.
run() {
    "$lido" "$@" >"$work/out" 2>"$work/err"
    code=$?
}

# expect NAME CODE PATTERN: of the last run, whose output, either stream, has PATTERN; and it
# has left nothing in the temporary directory.
expect() {
    if [ "$code" != "$2" ]; then
        fail "$1: wanted exit $2"
    elif ! cat "$work/out" "$work/err" | grep -q -e "$3"; then
        fail "$1: wanted '$3'"
    elif [ -n "$(ls -A "$TMPDIR")" ]; then
        fail "$1: left $(ls -A "$TMPDIR")"
    else
        printf 'ok: %s\n' "$1"
    fi
}

# silent NAME out|err: that stream of the last run is empty.
silent() {
    [ ! -s "$work/$2" ] || fail "$1: something on $2"
}

# is_json NAME SCHEMA [EXPRESSION]: the last run printed such a document, `told` to Python.
is_json() {
    python3 - "$work/out" "$2" "${3:-True}" <<'PY' || fail "$1: JSON"
import json, sys
told = json.load(open(sys.argv[1]))
assert told["schema"] == sys.argv[2], told
assert eval("(" + sys.argv[3] + ")"), told
PY
}

sql() {
    python3 - "$@" <<'PY' || exit 1
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    db.execute(statement).fetchall()
db.close()
PY
}

# hold FILE STATEMENTS: another process does that and stays until release.
hold() {
    coproc HOLDER { exec python3 -u -c '
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    db.execute(statement).fetchone()
print("ready")
sys.stdin.read()
' "$@"; }
    holder=$HOLDER_PID
    read -r _ <&"${HOLDER[0]}" || exit 1
}

release() {
    local in=${HOLDER[1]}
    eval "exec $in>&-"
    wait "$holder" 2>/dev/null
}

# terminal INPUT PATTERN ARGUMENT...: the tool on a terminal of its own; where PATTERN comes it
# gets INPUT.  What came is in out.
terminal() {
    TERM=xterm python3 - "$lido" "$@" >"$work/out" 2>"$work/err" <<'PY'
import os, pty, signal, sys
lido, text, pattern, *arguments = sys.argv[1:]
child, tty = pty.fork()
if child == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(lido, [lido, *arguments])
seen = b""
while True:
    try:
        some = os.read(tty, 1000)
    except OSError:
        break
    if not some:
        break
    seen += some
    if text and pattern.encode() in seen:
        os.write(tty, text.encode())
        text = ""
sys.stdout.buffer.write(seen)
status = os.waitpid(child, 0)[1]
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
PY
    code=$?
}

# finish: the exit status of the test.
finish() {
    [ "$failures" = 0 ] && exit 0
    printf '%s of the expectations failed\n' "$failures"
    exit 1
}
