#!/bin/sh
# SPDX-License-Identifier: MIT
# The JSON of lido-bench is JSON, in the shape that its readers expect.
#   bench_json.sh PATH-OF-LIDO-BENCH
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

TMPDIR=$work "$1" checkout --quick --rounds 1 --json > "$work/out.json"
python3 -m json.tool "$work/out.json" > /dev/null
python3 - "$work/out.json" <<'EOF'
import json
import sys

with open(sys.argv[1], encoding='utf-8') as file:
    document = json.load(file)

context = document['context']
for key in ('date', 'host_name', 'executable', 'num_cpus', 'library_build_type',
            'lido_version', 'sqlite_version', 'sqlite_source_id'):
    assert context[key], key

names = {b['run_name'] for b in document['benchmarks']}
for subject in ('floor', 'mutex', 'lido', 'lido/statements:128', 'lido/no_guard'):
    for threads in (1, 2, 4, 8):
        assert f'checkout/{subject}/threads:{threads}' in names, (subject, threads)
for b in document['benchmarks']:
    assert b['name'] == b['run_name'] + '_' + b['aggregate_name'], b['name']
    assert b['run_type'] == 'aggregate' and b['aggregate_name'] == 'median', b['name']
    assert b['time_unit'] == 'ns' and b['repetitions'] == 1, b['name']
    assert 0 < b['min'] <= b['real_time'] <= b['max'], b['name']
    assert b['cpu_time'] > 0 and b['iterations'] > 0, b['name']

ratios = document['ratios']
for suffix in ('', '_no_statements'):
    for key in ('lido_to_floor', 'lido_to_mutex', 'two_thread_scaling'):
        assert ratios[key + suffix] > 0, key + suffix
    zdb = ratios['zdb_to_lido' + suffix]
    assert zdb > 0 if context['zdb_version'] else zdb is None, 'zdb_to_lido' + suffix
assert ratios['statements_to_none'] > 0 and ratios['guard_to_none'] > 0
for target in document['targets']:
    assert target['ratio'] in ratios and target['met'] in (True, False), target
EOF

TMPDIR=$work "$1" statement --quick --rounds 1 --json > "$work/out.json"
python3 - "$work/out.json" <<'EOF'
import json
import sys

with open(sys.argv[1], encoding='utf-8') as file:
    document = json.load(file)

assert document['schema'] == 'lido.bench.statement/1', document['schema']
assert document['context']['sqlite_version']
names = {b['run_name'] for b in document['benchmarks']}
assert names == {f'statement/{subject}/threads:1' for subject in (
    'held', 'lido/cached', 'prepared', 'held/in_txn', 'lido/cached/in_txn', 'prepared/in_txn',
    'begin_commit/bare', 'begin_commit/lido')}, names
for b in document['benchmarks']:
    assert 0 < b['min'] <= b['real_time'] <= b['max'] and b['iterations'] > 0, b['name']
for ratio, value in document['ratios'].items():
    assert value > 0, ratio
targets = {t['ratio']: t for t in document['targets']}
assert targets['cached_to_held']['at_most'] == 1.1
assert targets['prepared_to_cached']['at_least'] == 2.5
assert targets['begin_commit_to_bare']['at_most'] == 1.05
EOF
TMPDIR=$work "$1" statement --quick --rounds 1 | grep -q '^cached_to_held '
if TMPDIR=$work "$1" statement --plot=x 2> /dev/null; then
    echo 'statement has no picture, and took --plot' >&2
    exit 1
fi

TMPDIR=$work "$1" tune --quick --rounds 1 --json > "$work/out.json"
python3 - "$work/out.json" <<'EOF'
import json
import sys

with open(sys.argv[1], encoding='utf-8') as file:
    document = json.load(file)

assert document['schema'] == 'lido.bench.tune/1', document['schema']
names = {b['run_name'] for b in document['benchmarks']}
assert names == {f'tune/{subject}/threads:{threads}' for subject in ('prepared', 'prepared/tuned')
                 for threads in (1, 2, 4)}, names
for b in document['benchmarks']:
    assert 0 < b['min'] <= b['real_time'] <= b['max'] and b['iterations'] > 0, b['name']
times = {b['run_name']: b['real_time'] for b in document['benchmarks']}
ratios = document['ratios']
assert len(ratios) == 3, ratios
for suffix, threads in (('', 1), ('_2_threads', 2), ('_4_threads', 4)):
    plain, tuned = (times[f'tune/{subject}/threads:{threads}']
                    for subject in ('prepared', 'prepared/tuned'))
    ratio = ratios['plain_to_tuned' + suffix]
    assert abs(ratio * tuned / plain - 1) < 0.01, (suffix, ratio, plain, tuned)
EOF

# Nothing is left behind but what this test wrote.
test "$(ls -A "$work")" = out.json
