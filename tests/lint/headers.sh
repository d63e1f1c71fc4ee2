#!/bin/sh
# SPDX-License-Identifier: MIT
# Each public header compiles alone, and twice, as C11 and as C++17; so do its initialisers.
#   headers.sh SOURCE_ROOT
# CC and CXX name the compilers (cc, c++).
set -eu
root=$1
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

flags="-fsyntax-only -Wall -Wextra -Wpedantic -Wundef -Werror"
sqlite=$(pkg-config --cflags sqlite3)

for header in $(cd "$root/include" && find lido -name '*.h' | sort); do
    {
        printf '#include <%s>\n#include <%s>\n' "$header" "$header"
        # LIDO_POOL_OPTIONS_INIT is for struct lido_pool_options.
        sed -n 's/^#define \(LIDO_[A-Z_]*\)_INIT\>.*/\1/p' "$root/include/$header" |
            while read -r name; do
                type=$(echo "$name" | tr '[:upper:]' '[:lower:]')
                printf 'extern struct %s value_%s;\nstruct %s value_%s = %s_INIT;\n' \
                    "$type" "$type" "$type" "$type" "$name"
            done
        printf 'int main(void)\n{\n    return 0;\n}\n'
    } > "$work/alone.c"
    cp "$work/alone.c" "$work/alone.cc"
    # shellcheck disable=SC2086
    if ! ${CC:-cc} -std=c11 $flags $sqlite -I"$root/include" "$work/alone.c"; then
        echo "headers: <$header> is not C11 by itself" >&2
        failed=1
    fi
    # shellcheck disable=SC2086
    if ! ${CXX:-c++} -std=c++17 $flags $sqlite -I"$root/include" "$work/alone.cc"; then
        echo "headers: <$header> is not C++17 by itself" >&2
        failed=1
    fi
done
exit $failed
