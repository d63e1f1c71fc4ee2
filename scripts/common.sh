# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What scripts/demo and scripts/test share: the packages they need, and one build directory
# for each way to build.  To be sourced with $root set; all messages go to stderr.

say()
{
    printf '%s\n' "$*" >&2
}

die()
{
    say "$(basename "$0"): $*"
    exit 1
}

# --- packages -----------------------------------------------------------------------------

has_debian_packages()
{
    command -v dpkg-query > /dev/null && command -v apt-get > /dev/null
}

# Is the package there?  Elsewhere than on Debian: is what it stands for?
has_package()
{
    if has_debian_packages; then
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
        return
    fi
    case $1 in
        libcriterion-dev) pkg-config --exists criterion 2> /dev/null ;;
        libsmartcols-dev) pkg-config --exists smartcols 2> /dev/null ;;
        libsqlite3-dev) pkg-config --exists sqlite3 2> /dev/null ;;
        libzdb-dev) pkg-config --exists zdb 2> /dev/null ;;
        libc6-dev) [ -e /usr/include/stdio.h ] ;;
        libc6-dbg | libclang-rt-14-dev) true ;; # Debian's way to split what others do not
        proj-data) [ -e /usr/share/proj/proj.db ] ;;
        ninja-build) command -v ninja > /dev/null ;;
        *) command -v "$1" > /dev/null ;;
    esac
}

# need_packages IS_ALLOWED PACKAGE...: installs what is missing, after saying what; stops if
# it may not (IS_ALLOWED is "no") or cannot.
need_packages()
{
    local is_allowed=$1 package as_root=() missing=()
    shift
    for package; do
        has_package "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    has_debian_packages ||
        die "this is not Debian; please install what Debian calls: ${missing[*]}"
    [ "$is_allowed" = yes ] ||
        die "missing packages: ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo > /dev/null ||
            die "neither root nor sudo; please install: ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing with apt-get: ${missing[*]}"
    "${as_root[@]}" apt-get -q update >&2 || say 'apt-get update failed; trying without'
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install -y --no-install-recommends "${missing[@]}" >&2 ||
        die "could not install: ${missing[*]}"
}

# --- builds -------------------------------------------------------------------------------

# configure DIRECTORY MESON-OPTION...: once; meson itself sees later changes.
configure()
{
    local directory=$1
    shift
    # shellcheck disable=SC2154 # set by who sources this
    [ -e "$directory/build.ninja" ] || meson setup "$directory" "$root" "$@"
}
