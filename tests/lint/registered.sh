#!/bin/sh
# SPDX-License-Identifier: MIT
# Every C file is named in a meson.build: a test that is not built always passes.
#   registered.sh SOURCE_ROOT
set -eu
cd "$1"
failed=0

# 'folder/name.c', 'name.c', or 'name' from which the build makes name.c or test_name.c.
is_named()
{
    name=$(basename "$2" .c)
    grep -qE "'([a-z_]+/)?$name(\.c)?'|'${name#test_}'" "$1"
}

for file in */*.c tests/*/*.c; do
    folder=${file%%/*}
    if [ ! -f "$folder/meson.build" ] || ! is_named "$folder/meson.build" "$file"; then
        echo "registered: $file is not in $folder/meson.build" >&2
        failed=1
    fi
done
exit $failed
