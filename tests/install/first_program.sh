#!/bin/sh
# SPDX-License-Identifier: MIT
# The first program of README.md, as a user builds it against an installed lido: with the
# shared library, and with the static one.
#   first_program.sh SOURCE_ROOT PREFIX
set -eu
root=$1
prefix=$2
PKG_CONFIG_PATH=$prefix/lib/pkgconfig
export PKG_CONFIG_PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir shared static

# The block behind the mark.
awk '/^<!-- compiled: first -->/ { is_near = 1; next }
     is_near && /^```c/ { is_code = 1; next }
     is_code && /^```/ { exit }
     is_code' "$root/README.md" > first.c
if [ ! -s first.c ]; then
    echo 'README.md has no program behind <!-- compiled: first -->' >&2
    exit 1
fi

set -x
# shellcheck disable=SC2046 # several arguments
cc first.c $(pkg-config --cflags --libs lido) -o shared/first
(cd shared && LD_LIBRARY_PATH=$prefix/lib ./first)

# Of the two libraries the linker takes the shared one if it may choose.
# shellcheck disable=SC2046
cc first.c $(pkg-config --cflags --libs lido | sed 's/-llido/-l:liblido.a/') -pthread -o static/first
(cd static && ./first)
if ldd static/first | grep liblido; then
    exit 1
fi

LD_LIBRARY_PATH=$prefix/lib "$prefix/bin/lido" version
