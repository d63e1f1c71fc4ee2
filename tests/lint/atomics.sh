#!/bin/sh
# SPDX-License-Identifier: MIT
# Atomics go through base/atomic.h, where the deterministic scheduler has its yield points.
#   atomics.sh SOURCE_ROOT
set -eu
cd "$1"

# Excused: the pointer to the next chunk of slots.  It is published once and never changes,
# so there is no order of threads to try.
excused='^(pool/pool\.h|pool/chunks\.c):'

if grep -nE '<stdatomic\.h>|\b(atomic|__atomic|__sync)_[a-z]+|\bmemory_order_' \
    hooks/*.[ch] driver/*.[ch] pool/*.[ch] txn/*.[ch] engine/*.[ch] | grep -vE "$excused"; then
    echo 'atomics: use what base/atomic.h offers' >&2
    exit 1
fi
