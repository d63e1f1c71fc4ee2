#!/bin/sh
# SPDX-License-Identifier: MIT
# The runner of our own passes good tests and fails each seeded bug that its build can see.
#   runner_catches.sh PROGRAM TOOLS [WRAPPER...]
# TOOLS is meson's b_sanitize ("none", "address,undefined", "thread"), or "valgrind".
set -u

program=$1
tools=$2
shift 2

bad='failed_assert failed_expect failed_term failed_expect_behind_exit assert_in_thread
    assert_in_child assert_in_init assert_in_fini crash timeout wrong_exit_status no_exit no_signal'
case ,$tools, in *,address,*) bad="$bad leak overflow overflow_behind_expected_signal" ;; esac
case ,$tools, in *,undefined,*) bad="$bad undefined undefined_behind_expected_exit" ;; esac
case ,$tools, in *,thread,*) bad="$bad race" ;; esac
case ,$tools, in *,valgrind,*) bad="$bad leak overflow uninitialised" ;; esac

failures=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

# expect STATUS ARGUMENT...: the runner ends so.
expect() {
    wanted=$1
    shift
    "$@" > "$log" 2>&1
    status=$?
    if [ "$status" != "$wanted" ]; then
        echo "not ok: exit $status instead of $wanted: $*"
        sed 's/^/    /' "$log"
        failures=$((failures + 1))
    fi
}

expect 0 "$@" "$program" --filter 'good/*'
if ! grep -q '^8 tests passed, 0 failed, 2 skipped$' "$log"; then
    echo 'not ok: not all good tests ran:'
    cat "$log"
    failures=$((failures + 1))
fi
for name in $bad; do
    expect 1 "$@" "$program" --filter "bad/$name"
    if ! grep -q "^\[FAIL\] bad/$name " "$log"; then
        echo "not ok: bad/$name is not named as failed"
        failures=$((failures + 1))
    fi
done
expect 1 "$program" --filter 'bad/no_such_test'
expect 2 "$program" --fitler 'good/*'

echo "$failures expectations failed"
[ "$failures" = 0 ]
