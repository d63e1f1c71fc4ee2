#!/bin/sh
# SPDX-License-Identifier: MIT
# Each source file says its licence in the first three lines.
#   spdx.sh SOURCE_ROOT
set -eu
cd "$1"
missing=$(find . \( -path ./build -o -path ./subprojects -o -path ./.git \) -prune -o \
    -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name 'meson*' \
    -o -name '*.map' -o -path './scripts/*' -o -path './.ci/*' \) \
    -exec awk 'FNR <= 3 && /SPDX-License-Identifier: MIT/ { found[FILENAME] = 1 }
        END { for (i = 1; i < ARGC; i++) if (!(ARGV[i] in found)) print ARGV[i] }' {} +)
[ -z "$missing" ] || { echo "spdx: no licence is named in:" "$missing" >&2; exit 1; }
