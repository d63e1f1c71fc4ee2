#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests that docs/session-state.md names are there.
#   session_state.sh SOURCE_ROOT
set -eu
cd "$1"
failed=0
# The last column, without its backticks.
names=$(tr -d '`' < docs/session-state.md | sed -n 's/^|.*| \([a-z0-9_]*\) |$/\1/p' | sort -u)
[ -n "$names" ] || { echo 'session_state: no test is named' >&2; exit 1; }

for name in $names; do
    if ! cat tests/*/test_session*.c | grep -qE "^Test\([a-z_]+, ${name}[,)]"; then
        echo "session_state: there is no test $name" >&2
        failed=1
    fi
done
exit $failed
