#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in the EXAMPLE section of each man page compiles; with the library given too it
# also runs, in an empty directory of its own, and answers 0.
#   man_examples.sh SOURCE_ROOT CC [LIBRARY LINK-ARGUMENT...]
set -eu
root=$1
cc=$2
shift 2
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

complain()
{
    echo "man_examples: $*" >&2
    failed=1
}

for page in "$root"/docs/man/*.3.scd; do
    name=$(basename "$page" .3.scd)
    # The literal block of the section EXAMPLE.
    awk '/^# /{is_example = $0 == "# EXAMPLE"; next}
         is_example && /^```/{is_code = !is_code; next}
         is_example && is_code' "$page" > "$work/$name.scd"
    # As scdoc prints it: a backslash is written twice.
    if sed 's/\\\\//g' "$work/$name.scd" | grep -n '[\]' >&2; then
        complain "${page#"$root"/}: scdoc drops a backslash that is written once"
    fi
    sed 's/\\\(.\)/\1/g' "$work/$name.scd" > "$work/$name.c"
    if [ ! -s "$work/$name.c" ]; then
        complain "${page#"$root"/} has no program"
        continue
    fi
    # $cc may be a command with arguments.
    # shellcheck disable=SC2086
    if ! $cc -std=c11 -fsyntax-only -I"$root/include" -Wall -Wextra -Wpedantic -Werror \
        "$work/$name.c"; then
        complain "${page#"$root"/}: the program does not compile"
        continue
    fi
    [ $# -gt 0 ] || continue
    # shellcheck disable=SC2086
    if ! $cc -std=c11 -I"$root/include" -o "$work/$name" "$work/$name.c" "$@"; then
        complain "${page#"$root"/}: the program does not link"
        continue
    fi
    mkdir "$work/$name.dir"
    (cd "$work/$name.dir" && "$work/$name") > "$work/said" 2>&1 ||
        complain "${page#"$root"/}: the program answers $?: $(cat "$work/said")"
done
exit $failed
