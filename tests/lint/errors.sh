#!/bin/sh
# SPDX-License-Identifier: MIT
# docs/errors.md has every code of <lido/status.h>, and every one of SQLite's that lido's
# sources name; no code there is none; values and first bytes are right; each has its four
# answers; and the functions named there exist.
#   errors.sh SOURCE_ROOT
set -eu
root=$1
LC_ALL=C
export LC_ALL
page=$root/docs/errors.md
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

complain()
{
    echo "errors: $*" >&2
    failed=1
}

sed -n 's/^### //p' "$page" > "$work/told"
sort -u "$work/told" > "$work/told.sorted"
sort "$work/told" | uniq -d > "$work/twice"
[ ! -s "$work/twice" ] || complain "twice: $(cat "$work/twice")"

# The codes there are: lido's own by their header, SQLite's as the sources return them.
sed -n 's/^#define \(LIDO_[A-Z_]*\) *(SQLITE_.*/\1/p' "$root/include/lido/status.h" > "$work/known"
[ -s "$work/known" ] || complain 'no code was found in lido/status.h'
for folder in base driver engine hooks housekeeping pool txn; do
    cat "$root/$folder"/*.c
done | tr '\n' ' ' | grep -oE 'lido_fail\([^,;]*,[[:space:]]*SQLITE_[A-Z_]+' | grep -oE 'SQLITE_[A-Z_]+' >> "$work/known"
sort -u "$work/known" > "$work/known.sorted"
comm -23 "$work/known.sorted" "$work/told.sorted" > "$work/missing"
[ ! -s "$work/missing" ] || complain "docs/errors.md lacks $(tr '\n' ' ' < "$work/missing")"

# lido's that it tells of must be codes, not a flag or an option of that name.
grep '^LIDO_' "$work/told.sorted" | comm -23 - "$work/known.sorted" > "$work/none"
[ ! -s "$work/none" ] || complain "no code of lido's: $(tr '\n' ' ' < "$work/none")"

# Value and first byte, by the compiler: "32773, first byte SQLITE_BUSY".
awk '
    /^### / { code = $2; want = 1; next }
    want && /^[0-9]/ {
        value = $1
        sub(/,$/, "", value)
        printf "_Static_assert(%s == %s, \"%s is not %s\");\n", code, value, code, value
        byte = $0 ~ /first byte/ ? $NF : code
        printf "_Static_assert((%s & 0xff) == %s, \"the first byte of %s\");\n", code, byte, code
        want = 0
        next
    }
    want && NF > 0 { printf "#error %s has no value\n", code; want = 0 }
' "$page" > "$work/values"
{
    echo '#include <lido/status.h>'
    cat "$work/values"
} > "$work/values.c"
[ "$(grep -c '_Static_assert' "$work/values")" -eq "$((2 * $(wc -l < "$work/told")))" ] ||
    complain 'not every code has its value below it'
# shellcheck disable=SC2046,SC2086
${CC:-cc} -std=c11 -fsyntax-only $(pkg-config --cflags sqlite3) -I"$root/include" \
    "$work/values.c" || complain 'a code or its value is wrong'

# Cause, who decides, remedy, where from: each once, and not empty.
awk '
    function look() {
        if (code != "" && answers != "Cause Decided-by Remedy From ")
            print code " has: " answers
    }
    /^##/ { look(); code = /^### / ? $2 : ""; answers = "" }
    /^\* Cause: ./ { answers = answers "Cause " }
    /^\* Decided by: ./ { answers = answers "Decided-by " }
    /^\* Remedy: ./ { answers = answers "Remedy " }
    /^\* From: ./ { answers = answers "From " }
    END { look() }
' "$page" > "$work/answers"
[ ! -s "$work/answers" ] || complain "$(cat "$work/answers")"

# shellcheck disable=SC2016 # no expansion is meant
grep -oE '`lido_[a-z_]+`' "$page" | tr -d '`' | sort -u > "$work/functions"
while read -r name; do
    grep -rqE "\b$name\(" "$root/include/lido" || complain "there is no $name()"
done < "$work/functions"
exit $failed
