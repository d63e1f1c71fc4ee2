#!/bin/sh
# SPDX-License-Identifier: MIT
# No script gives shellcheck anything to say.
# Usage: shellcheck.sh SOURCE_ROOT
set -eu
cd "$1"
command -v shellcheck > /dev/null || { echo 'shellcheck: it is not installed'; exit 77; }
find . \( -path ./build -o -path ./subprojects -o -path ./.git \) -prune -o -type f -print |
    while read -r file; do
        case $(head -c 64 "$file" | head -n 1 | tr -d '\0') in
            '#!'*sh | '#!'*sh\ *) printf '%s\0' "$file" ;;
        esac
    done | xargs -0 shellcheck -x
