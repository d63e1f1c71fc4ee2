#!/bin/sh
# SPDX-License-Identifier: MIT
# The shared library exports what lido.map promises, and lido.map promises what the headers
# declare: no name more, no name fewer.
#   exports.sh SOURCE_ROOT SHARED_LIBRARY
set -eu
root=$1
library=$2
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL

sed -n 's/^ *\([a-z][a-z0-9_]*\);.*/\1/p' "$root/lido.map" | sort > "$work/map"

# The version itself is a symbol too, of type A.
nm -D --defined-only "$library" | awk '$2 != "A" {sub(/@.*/, "", $3); print $3}' |
    sort > "$work/library"

# The last name before the parenthesis of each LIDO_API declaration.
find "$root/include/lido" -name '*.h' -exec cat {} + | grep -v '^#' | tr '\n' ' ' |
    grep -o 'LIDO_API [^;(]*(' | grep -o '[a-z_0-9]*($' | tr -d '(' | sort > "$work/headers"

compare()
{
    if ! diff "$work/$1" "$work/$2" > "$work/diff"; then
        sed -n "s/^</exports: only in the $1:/p; s/^>/exports: only in the $2:/p" "$work/diff" >&2
        failed=1
    fi
}

[ -s "$work/map" ] || { echo 'exports: lido.map names nothing' >&2; exit 1; }
sort -c -u "$work/map"
compare map library
compare map headers
exit $failed
