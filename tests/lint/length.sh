#!/bin/sh
# SPDX-License-Identifier: MIT
# No C file is longer than 600 lines, and no line than 96 characters (92 is the aim; a text
# that is better not broken may reach further).
#   length.sh SOURCE_ROOT
set -eu
cd "$1"
# shellcheck disable=SC2016 # the dollars are awk's
find . \( -path ./build -o -path ./subprojects -o -path ./.git \) -prune -o \
    -name '*.[ch]' -type f -print0 | LC_ALL=C.UTF-8 xargs -0 awk '
    length($0) > 96 {
        printf "length: %s:%d has %d characters\n", FILENAME, FNR, length($0)
        failed = 1
    }
    FNR == 601 {
        printf "length: %s is longer than 600 lines\n", FILENAME
        failed = 1
    }
    END { exit failed }
'
