#!/bin/sh
# SPDX-License-Identifier: MIT
# A folder is a layer, and includes only what layers.txt allows it.
#   layers.sh SOURCE_ROOT
set -eu
cd "$1"

# shellcheck disable=SC2016 # the dollars are awk's
find . \( -path ./build -o -path ./subprojects -o -path ./tests -o -path ./.git \) -prune -o \
    -path './*/*' -name '*.[ch]' -type f -print0 | LC_ALL=C sort -z | xargs -0 awk '
    function complain(text) {
        print "layers: " text
        failed = 1
    }

    # First the table: what each layer may include.
    FILENAME == ARGV[1] {
        if ($0 ~ /^#/ || $0 !~ /:/)
            next
        split($0, row, ":")
        is_layer[row[1]] = 1
        count = split(row[2], names, " ")
        for (i = 1; i <= count; i++)
            allows[row[1], names[i]] = 1
        allows[row[1], row[1]] = 1
        next
    }

    FNR == 1 {
        layer = FILENAME
        sub(/^\.\//, "", layer)
        sub(/\/.*/, "", layer)
        seen[layer] = 1
        if (!(layer in is_layer))
            complain(FILENAME ": layers.txt lacks " layer "/")
    }

    /^[ \t]*#[ \t]*include[ \t]*["<]/ {
        header = $0
        sub(/^[^"<]*/, "", header)
        sub(/[">][^">]*$/, "", header)
        is_quoted = header ~ /^"/
        header = substr(header, 2)
        folder = header
        sub(/\/.*/, "", folder)
        if (is_quoted && header ~ /\// && !((layer, folder) in allows))
            complain(FILENAME ":" FNR ": \"" header "\" is not for " layer "/")
        if (!is_quoted && header ~ /^lido\/sys\// && ((layer, "public") in allows))
            complain(FILENAME ":" FNR ": <" header "> is not for " layer "/")
        if (!is_quoted && (folder in is_layer))
            complain(FILENAME ":" FNR ": <" header "> is ours: write it in quotes")
    }

    END {
        for (name in is_layer) {
            if (!(name in seen))
                complain("layers.txt names " name "/, which has no sources")
        }
        exit failed
    }
' tests/lint/layers.txt
