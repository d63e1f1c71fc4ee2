#!/bin/sh
# SPDX-License-Identifier: MIT
# Every C file is formatted as .clang-format says, by the version it was written for.
#   format.sh SOURCE_ROOT [--fix]
set -eu
cd "$1"
command -v clang-format > /dev/null || { echo 'format: no clang-format'; exit 77; }
if ! clang-format --version | grep -q 'version 14\.'; then
    echo "format: wants clang-format 14, this is $(clang-format --version)"
    exit 77
fi

files()
{
    find . \( -path ./build -o -path ./subprojects -o -path ./.git \) -prune -o \
        -name '*.[ch]' -type f -print0
}

if [ "${2:-}" = --fix ]; then
    files | xargs -0 clang-format -i
    exit
fi
bad=$(files | xargs -0 clang-format --dry-run 2>&1 | sed -n 's/^\([^:]*\):.*-violations\]$/\1/p' |
    sort | uniq -c)
if [ -n "$bad" ]; then
    echo 'format: places that .clang-format would write otherwise ("format.sh . --fix" does it):'
    echo "$bad"
    exit 1
fi
