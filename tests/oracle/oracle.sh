#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the oracle with a Python that has SQLAlchemy.  Usage: oracle.sh LIBRARY [OPTION...]
here=$(dirname "$0")
for python in python3 /usr/bin/python3; do
    if "$python" -c 'import sqlalchemy' 2> /dev/null; then
        exec "$python" "$here/oracle.py" "$@"
    fi
done
echo 'the oracle needs SQLAlchemy 1.4: install python3-sqlalchemy' >&2
exit 1
