#!/bin/sh
# SPDX-License-Identifier: MIT
# docs/checkout.md tells the truth about lido's side: each function is defined in the file
# that stands beside it, and is called by the one that it stands under.
#   checkout.sh SOURCE_ROOT
#
# In a block ```calls what stands before a | is SQLAlchemy's.  Of lido's side a line is
#     FUNCTION FILE note    or    driver MEMBER note    or    hook EVENT note
# and stands under the nearest line above that is less far to the right.
set -eu
cd "$1"
page=docs/checkout.md
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

complain()
{
    echo "checkout: $*" >&2
    failed=1
}

# "KIND NAME FILE PARENT-KIND PARENT-NAME PARENT-FILE", with - for none.
awk '
    /^```calls$/ { is_code = 1; depth = 0; next }
    /^```/ { is_code = 0 }
    !is_code { next }
    {
        sub(/^[^|]*\|/, "")
        if ($0 ~ /^ *$/)
            next
        match($0, /^ */)
        indent = RLENGTH
        while (depth > 0 && at[depth] >= indent)
            depth--
        kind = $1 == "driver" || $1 == "hook" ? $1 : "function"
        name = kind == "function" ? $1 : $2
        file = kind == "function" ? $2 : "-"
        print kind, name, file, (depth > 0 ? what[depth] : "- - -")
        depth++
        at[depth] = indent
        what[depth] = kind " " name " " file
    }
' "$page" > "$work/lines"
[ "$(wc -l < "$work/lines")" -ge 20 ] || complain "$page has hardly any calls"

# The body of a function in a file.
body_of()
{
    awk -v name="$1" '
        !is_in && $0 ~ "^[a-z].*[ *]" name "\\(" { is_in = 1 }
        is_in { print }
        is_in && /^}/ { exit }
    ' "$2"
}

while read -r kind name file parent_kind parent parent_file; do
    case $kind in
    function)
        if [ ! -f "$file" ]; then
            complain "$name stands in no file: $file"
            continue
        fi
        body_of "$name" "$file" > "$work/body"
        [ -s "$work/body" ] || complain "$file does not define $name()"
        call="(^|[^a-z_>.])$name\("
        ;;
    driver)
        grep -q "(\*$name)" include/lido/sys/driver.h || complain "no member $name of a driver"
        call="table->$name\("
        ;;
    hook)
        grep -q "lido_hook_fn $name;" include/lido/hooks.h || complain "no event $name"
        call="LIDO__$(echo "$name" | tr '[:lower:]' '[:upper:]')\>"
        ;;
    esac
    case $parent_kind in
    function)
        [ -f "$parent_file" ] || continue
        body_of "$parent" "$parent_file" | sed 1d > "$work/body"
        grep -qE "$call" "$work/body" || complain "$parent() does not call $kind $name"
        ;;
    driver)
        grep -q "\.$parent = $name," driver/sqlite.c || complain "$parent of sqlite is not $name()"
        ;;
    -) ;;
    *) complain "$name stands under a $parent_kind" ;;
    esac
done < "$work/lines"

# Files that the text names.
# shellcheck disable=SC2016 # no expansion is meant
grep -oE '`[a-z]+/[a-z_]+\.[ch]`' "$page" | tr -d '`' | sort -u > "$work/files"
while read -r file; do
    [ -f "$file" ] || complain "there is no $file"
done < "$work/files"
exit $failed
