#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a program of this folder with a Python that has SQLAlchemy.
# Usage: run.sh oracle LIBRARY [OPTION...]  or  run.sh engine LIBRARY
here=$(dirname "$0")
program=$1
shift
for python in python3 /usr/bin/python3; do
    if "$python" -c 'import sqlalchemy' 2> /dev/null; then
        exec "$python" -W ignore "$here/$program.py" "$@"
    fi
done
echo "$program needs SQLAlchemy 1.4: install python3-sqlalchemy" >&2
exit 1
