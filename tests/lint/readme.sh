#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs of README.md and docs/, each behind <!-- compiled: NAME -->, compile, run in an
# empty directory and answer 0; and the files that README.md and docs/ link to are there.
#   readme.sh SOURCE_ROOT CC LIBRARY LINK-ARGUMENT...
set -eu
root=$1
cc=$2
shift 2
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

complain()
{
    echo "readme: $*" >&2
    failed=1
}

grep -q '^<!-- compiled: ' "$root/README.md" || complain 'README.md has no program'
for page in "$root"/README.md "$root"/docs/*.md; do
    of=$(basename "$page" .md)
    sed -n 's/^<!-- compiled: \([a-z_]*\) -->$/\1/p' "$page" > "$work/names"
    while read -r name; do
        program=$work/$of-$name
        awk -v mark="<!-- compiled: $name -->" '
            $0 == mark { is_near = 1; next }
            is_near && /^```c$/ { is_code = 1; next }
            is_code && /^```/ { exit }
            is_code' "$page" > "$program.c"
        # $cc may be a command with arguments.
        # shellcheck disable=SC2086
        if ! $cc -std=c11 -I"$root/include" -Wall -Wextra -Wpedantic -Werror -o "$program" \
            "$program.c" "$@"; then
            complain "$of, $name: the program does not compile"
            continue
        fi
        mkdir "$program.dir"
        (cd "$program.dir" && "$program") > "$work/said" 2>&1 ||
            complain "$of, $name: the program answers $?: $(cat "$work/said")"
    done < "$work/names"
done

for page in "$root"/README.md "$root"/docs/*.md; do
    grep -oE '\]\([^)#:]+' "$page" | sed 's/^](//' > "$work/links" || true
    while read -r link; do
        [ -e "$(dirname "$page")/$link" ] || complain "${page#"$root"/}: there is no $link"
    done < "$work/links"
done
exit $failed
