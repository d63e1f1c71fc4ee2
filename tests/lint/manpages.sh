#!/bin/sh
# SPDX-License-Identifier: MIT
# Every public header has a man page that names its functions, types and codes, and every
# page is sound.
#   manpages.sh SOURCE_ROOT
set -eu
root=$1
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

complain()
{
    echo "manpages: $*" >&2
    failed=1
}

# lido/sys/clock.h -> lido_sys_clock.3.scd
page_of()
{
    echo "$root/docs/man/$(echo "$1" | sed 's,/,_,g; s,\.h$,.3.scd,')"
}

# What a header declares: functions (also static inline and macros), typedefs, structs, and
# constants; not include guards and not LIDO_CONN_H itself.
names_of()
{
    sed 's,/\*.*\*/,,; /^ \*/d; /^\/\*/d' "$1" > "$work/code"
    {
        grep -oE '\blido_[a-z_]+\(' "$work/code" | tr -d '('
        grep -oE '^typedef .*\blido_[a-z_]+;' "$work/code" | grep -oE 'lido_[a-z_]+;' | tr -d ';'
        grep -oE '\(\*lido_[a-z_]+\)' "$work/code" | tr -d '(*)'
        grep -oE '^struct lido_[a-z_]+ \{' "$work/code" | sed 's/ {//'
        grep -oE '^#define LIDO_[A-Z_]+' "$work/code" | sed 's/#define //' | grep -v '_H$'
    } | sort -u
}

for header in "$root"/include/lido/*.h "$root"/include/lido/*/*.h; do
    name=${header#"$root"/include/}
    [ "$name" = lido/lido.h ] && continue # includes the others, declares nothing
    page=$(page_of "$name")
    if [ ! -f "$page" ]; then
        complain "$name has no page ${page#"$root"/}"
        continue
    fi
    sed 's/\\//g' "$page" > "$work/page"
    names_of "$header" > "$work/names"
    [ -s "$work/names" ] || complain "$name: no name was found in it"
    while read -r wanted; do
        grep -qwF -- "$wanted" "$work/page" || complain "${page#"$root"/} lacks $wanted"
    done < "$work/names"
    grep -q '^# EXAMPLE$' "$page" || complain "${page#"$root"/} has no EXAMPLE"
done

command -v scdoc > /dev/null || { echo "manpages: no scdoc, pages not built"; exit $failed; }
for page in "$root"/docs/man/*.scd; do
    built=$work/$(basename "$page" .scd)
    if ! scdoc < "$page" > "$built" 2> "$work/said"; then
        complain "${page#"$root"/}: $(cat "$work/said")"
        continue
    fi
    command -v mandoc > /dev/null || continue
    # scdoc begins each section with a paragraph of its own, which mandoc skips and says so.
    mandoc -T lint -W warning "$built" 2>&1 |
        grep -v 'skipping paragraph macro: PP \(empty\|after S[HS]\)' > "$work/said" || true
    [ ! -s "$work/said" ] || complain "${page#"$root"/}: $(cat "$work/said")"
done
exit $failed
