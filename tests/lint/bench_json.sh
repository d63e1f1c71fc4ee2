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

# Small files say nothing about speed, but the figures have to fit.
for shell in sqlite3 "$work/none"; do
    TMPDIR=$work "$1" housekeeping --rounds 1 --size=5 --rows=5 --big=11 --shell="$shell" --json \
        > "$work/out.json"
    python3 - "$work/out.json" <<'EOF'
import json
import sys

with open(sys.argv[1], encoding='utf-8') as file:
    document = json.load(file)

assert document['schema'] == 'lido.bench.housekeeping/1', document['schema']
has_shell = document['shell_version'] is not None
cells = {b['run_name']: b for b in document['benchmarks']}
assert set(cells) == {f'housekeeping/{subject}' for subject in (
    'backup/lido', 'backup/lido_checked', 'dump/lido', 'load/lido', 'copy/lido', 'copy/bare',
    'copy_in_file/lido', 'copy_in_file/bare') + (
    ('backup/shell', 'dump/shell', 'load/shell') if has_shell else ())}, set(cells)
for name, b in cells.items():
    assert 0 < b['min'] <= b['real_time'] <= b['max'] and b['cpu_time'] > 0, name
    if name.endswith('/shell'):
        assert b['call_time'] is None and b['peak_kb'] is None, name
    else:
        assert 0 < b['call_time'] <= b['real_time'] and b['peak_kb'] > 1000, name

ratios = document['ratios']
for job in ('backup', 'dump', 'load', 'copy', 'copy_in_file'):
    other = 'bare' if job.startswith('copy') else 'shell'
    ratio = ratios[f'{job}_to_{other}']
    if other == 'shell' and not has_shell:
        assert ratio is None and 'shell' in document['reasons'][f'{job}_to_{other}'], job
        continue
    times = [cells[f'housekeeping/{job}/{who}']['real_time'] for who in (other, 'lido')]
    assert abs(ratio * times[1] / times[0] - 1) < 0.01, (job, ratio)
assert ratios['backup_under_load_ends'] == 1 and ratios['backup_under_load_writers_p99'] > 0
assert document['under_load']['writes_with'] > 0
memory = {m['job']: m for m in document['memory']}
assert set(memory) == {'backup', 'dump', 'load', 'copy', 'check'}, set(memory)
assert abs(ratios['peak_memory_growth'] - max(m['growth'] for m in memory.values())) < 0.01
targets = {t['ratio']: t for t in document['targets']}
assert ('backup_to_shell' in targets) == has_shell and targets['copy_to_bare']['at_least'] == 0.95
for name, t in targets.items():
    met = ratios[name] <= t['at_most'] if 'at_most' in t else ratios[name] >= t['at_least']
    assert t['met'] is met, name
EOF
done
for wrong in --size=0 --rounds=many --job=dump more; do
    code=0
    TMPDIR=$work "$1" housekeeping "$wrong" 2> /dev/null || code=$?
    if [ "$code" != 2 ]; then
        echo "housekeeping $wrong answered $code" >&2
        exit 1
    fi
done

# A cell of a fifth of a second says nothing about a gate, but its figures have to fit.
TMPDIR=$work "$1" write --folder "$work" --seconds 0.2 --json --plot "$work/out.html" \
    > "$work/out.json"
python3 - "$work/out.json" "$work/out.html" <<'EOF'
import json
import statistics
import sys

with open(sys.argv[1], encoding='utf-8') as file:
    document = json.load(file)

assert document['schema'] == 'lido.bench.write/1', document['schema']
assert document['context']['sqlite_version']
cells = {b['run_name']: b for b in document['benchmarks']}
expected = {f'write/{sync}/{kind}/threads:{threads}' for sync, kind, threads in (
    ('full1ms', 'busy', 1), ('full1ms', 'busy', 8), ('full1ms', 'busy', 32),
    ('full1ms', 'gate', 8), ('full1ms', 'gate', 32), ('full1ms', 'hook_begin', 8),
    ('normal', 'busy', 1), ('normal', 'busy', 32), ('normal', 'gate', 1), ('normal', 'gate', 8),
    ('normal', 'gate', 32), ('normal', 'hook_begin', 8), ('normal', 'no_gate', 1),
    ('normal', 'read_deferred', 16), ('normal', 'read_immediate', 16))}
both = {f'write/full1ms/{kind}/processes:4/threads:2' for kind in ('busy', 'gate')}
assert expected <= set(cells) <= expected | both, set(cells) ^ expected
for name, b in cells.items():
    assert b['name'] == name + '_' + b['aggregate_name'] and b['time_unit'] == 'ns', name
    assert b['iterations'] > 0 and b['cpu_time'] > 0, name
    assert abs(b['real_time'] * b['per_second'] / 1e9 - 1) < 0.01, name
    assert 0 < b['p50'] <= b['p99'] <= b['p999'] <= b['max'], name
    assert b['least_served'] <= b['most_served'], name
    assert b['threads'] * b['least_served'] <= b['iterations'] <= b['threads'] * b['most_served']
    if 'busy' not in name and 'hook' not in name and 'deferred' not in name:
        assert b['failures'] == 0, name

# Each of these commits waited for a sync of a millisecond; no other did.
assert cells['write/full1ms/busy/threads:1']['real_time'] > 1e6
assert cells['write/normal/busy/threads:1']['p50'] < 1e6

ratios, spreads = document['ratios'], document['spreads']
has_processes = 'write/full1ms/gate/processes:4/threads:2' in cells
for name, value in ratios.items():
    if name == 'kill_holder_ms' or name.startswith('processes_'):
        assert (value is not None) == has_processes, name
    else:
        assert value >= 0, name
assert len(document['kill_holder_ms']) == (10 if has_processes else 0)
for name in ('normal_8_throughput_to_one_thread', 'uncontended_gate_to_bare',
             'full1ms_8_p999_to_fair_share'):
    low, high = spreads[name]
    assert 0 < low <= ratios[name] <= high, name
busy = cells['write/full1ms/busy/threads:8']['p999']
gate = statistics.median(cells['write/full1ms/gate/threads:8']['p999_of_parts'])
assert abs(ratios['full1ms_8_busy_p999_to_gate'] * gate / busy - 1) < 0.01
targets = {t['ratio']: t for t in document['targets']}
assert targets['full1ms_8_throughput_to_one_thread']['at_least'] == 0.95
assert targets['full1ms_32_p999_to_fair_share']['at_most'] == 1.25
assert targets['normal_8_throughput_to_one_thread']['stretch'] == 0.9
for name, t in targets.items():
    value = ratios[name]
    met = value <= t['at_most'] if 'at_most' in t else value >= t['at_least']
    assert t['met'] is met, name

with open(sys.argv[2], encoding='utf-8') as file:
    picture = file.read()
assert picture.rstrip().endswith('</html>') and picture.count('<polyline') == len(document['benchmarks'])
EOF
rm "$work/out.html"
TMPDIR=$work "$1" write --folder "$work" --alone=gate,100
for wrong in --seconds=0 --alone=gate --alone=nobody,3 more; do
    code=0
    TMPDIR=$work "$1" write "$wrong" 2> /dev/null || code=$?
    if [ "$code" != 2 ]; then
        echo "write $wrong answered $code" >&2
        exit 1
    fi
done

# Nothing is left behind but what this test wrote.
test "$(ls -A "$work")" = out.json
