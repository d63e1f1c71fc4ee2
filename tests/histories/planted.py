# SPDX-License-Identifier: MIT
"""The checker's own test: sound histories must pass, and each planted anomaly must be seen under
its name, alone and after a sound history.

A planted history is written short, one transaction a line:

    START-END OUTCOME OPERATIONS      0-9 committed r0=1,2 a0=3 w1=90,4

where r, a and w are a read, an append and a write of the row that follows.
"""
import random

import judge

# name: (workload, the names that must be found, the transactions that must be named, history)
PLANTED = {
    'aborted read': ('list', {'G1a aborted read'}, {0, 1}, '''
        0-9 rolled_back a0=1
        0-9 committed r0=1'''),
    'aborted read of a value': ('bank', {'G1a aborted read'}, {0, 1}, '''
        0-9 rolled_back r0=100,0 w0=90,1
        0-9 committed r0=90,1'''),
    'intermediate read': ('list', {'G1b intermediate read', 'G-single'}, {0, 1}, '''
        0-9 committed a0=1 a0=2
        0-9 committed r0=1
        0-9 committed r0=1,2'''),
    'intermediate read of a value': ('bank', {'G1b intermediate read', 'G-single'}, {0, 1}, '''
        0-9 committed r0=100,0 w0=90,1 w0=80,2
        0-9 committed r0=90,1
        0-9 committed r0=80,2'''),
    'lost update of a list': ('list', {'lost update'}, {0, 1}, '''
        0-9 committed r0= a0=1
        0-9 committed r0= a0=2
        0-9 committed r0=2'''),
    'lost update': ('bank', {'lost update'}, {0, 1}, '''
        0-9 committed r0=100,0 w0=90,1
        0-9 committed r0=100,0 w0=80,2
        0-9 committed r0=80,2 w0=70,3
        0-9 committed r0=70,3'''),
    'lost write': ('list', {'lost write'}, {0}, '''
        0-9 committed a0=1
        10-19 committed r0='''),
    'write skew': ('skew', {'G2'}, {0, 1}, '''
        0-9 committed r0=1,0 r1=1,0 w0=0,1
        0-9 committed r0=1,0 r1=1,0 w1=0,2
        0-9 committed r0=0,1'''),
    'write skew of lists': ('list', {'G2'}, {0, 1}, '''
        0-9 committed r0= r1= a0=1
        0-9 committed r0= r1= a1=2
        0-9 committed r0=1 r1=2'''),
    'long fork': ('list', {'G2'}, {0, 1, 2, 3}, '''
        0-9 committed a0=1
        0-9 committed a1=2
        0-9 committed r0=1 r1=
        0-9 committed r0= r1=2
        0-9 committed r0=1 r1=2'''),
    'both off': ('skew', {'broken rule'}, {1}, '''
        0-9 committed r0=1,0 w0=0,1 r1=1,0 w1=0,2
        0-9 committed r0=0,1 r1=0,2'''),
    'broken sum': ('bank', {'broken sum'}, {1}, '''
        0-9 committed r0=100,0 w0=90,1 r1=100,0 w1=105,2
        0-9 committed r0=90,1 r1=105,2'''),
    'non-repeatable read': ('list', {'non-repeatable read'}, {0}, '''
        0-9 committed r0= r0=1
        0-9 committed a0=1
        0-9 committed r0=1'''),
    'non-repeatable read of a value': ('bank', {'non-repeatable read'}, {0}, '''
        0-9 committed r0=100,0 r1=100,0 r0=90,1
        0-9 committed r0=100,0 w0=90,1'''),
    'own append unseen': ('list', {'internal'}, {0}, '''
        0-9 committed a0=1 r0=
        0-9 committed r0=1'''),
    'own write unseen': ('bank', {'internal'}, {0}, '''
        0-9 committed r0=100,0 w0=90,1 r0=100,0
        0-9 committed r0=90,1'''),
    'read skew': ('list', {'G-single'}, {0, 1}, '''
        0-9 committed a0=1 a1=2
        0-9 committed r0= r1=2
        0-9 committed r0=1 r1=2'''),
    'read skew behind an own append': ('list', {'G-single'}, {0, 1}, '''
        0-9 committed a0=1 a1=2
        0-9 committed a1=3 r1=2,3 r0=
        0-9 committed r0=1 r1=2,3'''),
    'read skew of one that was rolled back': ('list', {'G-single'}, {0, 1}, '''
        0-9 committed a0=1 a1=2
        0-9 rolled_back r0= r1=2
        0-9 committed r0=1 r1=2'''),
    'circular information': ('list', {'G1c'}, {0, 1}, '''
        0-9 committed a0=1 r1=2
        0-9 committed a1=2 r0=1
        0-9 committed r0=1 r1=2'''),
    'dirty write': ('list', {'G0'}, {0, 1}, '''
        0-9 committed a0=1 a1=3
        0-9 committed a0=2 a1=4
        0-9 committed r0=1,2 r1=4,3'''),
    'stale read': ('list', {'G-single-realtime'}, {0, 1}, '''
        0-9 committed a0=1
        10-19 committed r0=
        20-29 committed r0=1'''),
    'stale read of a value': ('bank', {'G-single-realtime'}, {0, 1}, '''
        0-9 committed r0=100,0 w0=90,1
        10-19 rolled_back r0=100,0
        20-29 committed r0=90,1'''),
    'read of the future': ('list', {'G1c-realtime'}, {0, 1}, '''
        0-9 committed r0=1
        10-19 committed a0=1
        20-29 committed r0=1'''),
    'write in the past': ('list', {'G0-realtime'}, {0, 1}, '''
        0-9 committed a0=1
        10-19 committed a0=2
        20-29 committed r0=2,1'''),
    'two unseen writes': ('list', {'G2-realtime'}, {0, 1, 2}, '''
        0-49 committed r0= a1=2
        0-9 committed a0=1
        10-19 committed r1=
        50-59 committed r0=1 r1=2'''),
    'incompatible order': ('list', {'incompatible order'}, {2, 3}, '''
        0-9 committed a0=1
        0-9 committed a0=2
        0-9 committed r0=1,2
        0-9 committed r0=2,1'''),
    'duplicate': ('list', {'duplicate', 'G-single'}, {0, 1}, '''
        0-9 committed a0=1
        0-9 committed r0=1,1'''),
    'unknown value': ('list', {'unknown value'}, {0}, '''
        0-9 committed r0=9'''),
    'torn value': ('bank', {'unknown value'}, {1}, '''
        0-9 committed r0=100,0 w0=90,1
        0-9 committed r0=100,1'''),
    'unknown and seen in part': ('list', {'G-single'}, {0, 1}, '''
        0-9 unknown a0=1 a1=2
        10-19 committed r0=1 r1=
        20-29 committed r0=1 r1=2'''),
}

ALONE = {'broken sum', 'broken rule'}  # what they break is true of all rows
INITIAL = {'list': [], 'bank': [100, 0], 'skew': [1, 0]}
KEYS = {'list': 2, 'bank': 2, 'skew': 2}


def read_planted(text, workload, before=()):
    """A planted history, behind what is there already and on rows of its own."""
    kinds = {'r': 'read', 'a': 'append', 'w': 'write'}
    tick = max((record['end'] for record in before), default=0) + 1
    key = KEYS[workload] if before else 0
    records = list(before)
    for line in text.strip().splitlines():
        times, outcome, *ops = line.split()
        start, end = map(int, times.split('-'))
        records.append({
            'txn': len(records), 'outcome': outcome.replace('_', ' '), 'start': start + tick,
            'end': end + tick, 'final': False,
            'ops': [[kinds[op[0]], int(op[1]) + key,
                     [int(value) for value in op[3:].split(',') if value]] for op in ops]})
    records[-1]['final'] = True
    return records


def act(chance, workload, rows, stamp):
    """The operations of one transaction upon `rows`, which it changes."""
    ops = []

    def read(key):
        ops.append(['read', key, list(rows[key])])
        return rows[key][0] if rows[key] else None

    def write(key, value):
        rows[key] = [value, stamp + len(ops)]
        ops.append(['write', key, rows[key]])

    def append(key):
        rows[key] = rows[key] + [stamp + len(ops)]
        ops.append(['append', key, rows[key][-1:]])

    if workload == 'list':
        for _ in range(chance.randint(1, 4)):
            chance.choice([read, append])(chance.randrange(2))
        return ops
    values = [read(0), read(1)]
    if chance.random() < 0.3:
        return ops
    if workload == 'bank':
        amount = chance.randint(1, 9)
        write(0, values[0] - amount - 1000)
        write(0, values[0] - amount)
        write(1, values[1] + amount)
    else:
        key = chance.randrange(2)
        write(key, 0 if all(values) else 1)
    read(chance.randrange(2))
    return ops


def make_sound(chance, workload, n_txns=40):
    """A history of transactions that happened one after the other, each at a moment between its
    beginning and its end; these overlap."""
    rows, records = [list(INITIAL[workload])] * 2, []
    for number in range(n_txns):
        outcome = chance.choice(['committed'] * 6 + ['rolled back', 'unknown'])
        moved = [list(row) for row in rows]
        records.append({
            'txn': number, 'outcome': outcome, 'final': False,
            'start': number * 10 - chance.randint(1, 30),
            'end': number * 10 + chance.randint(1, 30),
            'ops': act(chance, workload, moved, (number + 1) * 10)})
        if outcome == 'committed' or outcome == 'unknown' and chance.random() < 0.5:
            rows = moved
    records.append({
        'txn': n_txns, 'outcome': 'committed', 'final': True, 'start': n_txns * 10 + 30,
        'end': n_txns * 10 + 40, 'ops': [['read', key, rows[key]] for key in (0, 1)]})
    return records


def judge_it(workload, records, keys):
    settings = {'workload': workload, 'keys': keys, 'initial': INITIAL[workload]}
    anomalies = judge.judge(settings, records)
    return {name for name, _, _ in anomalies}, {txn.id for _, _, txns in anomalies
                                                for txn in txns}


def check_planted(name, chance):
    """What is wrong with the judgement of one planted history."""
    workload, wanted, txns, text = PLANTED[name]
    histories = [()]
    if not wanted & ALONE:
        histories += [make_sound(chance, workload) for _ in range(5)]
    for before in histories:
        records = read_planted(text, workload, before)
        found, blamed = judge_it(workload, records, KEYS[workload] * (2 if before else 1))
        if found != wanted:
            return f'{name}: {sorted(found) or "nothing"} was found, not {sorted(wanted)}'
        if {txn + len(before) for txn in txns} - blamed:
            return f'{name}: T{sorted(blamed)} were blamed, not T{sorted(txns)}'
    return None


def check_sound(chance):
    """What is wrong with the judgement of sound histories."""
    for workload in INITIAL:
        for i in range(100):
            records = make_sound(chance, workload)
            found, _ = judge_it(workload, records, KEYS[workload])
            if found:
                yield f'sound history {i} of {workload}: {sorted(found)}'
        found, _ = judge_it(workload, records[:-1], KEYS[workload])
        if found != {'no end'}:
            yield f'a {workload} without its end: {sorted(found)}'


def main():
    chance = random.Random(1)
    failures = [failure for name in PLANTED if (failure := check_planted(name, chance))]
    failures += check_sound(chance)
    for failure in failures:
        print(failure)
    print(f'{len(PLANTED)} planted anomalies, {100 * len(INITIAL)} sound histories: '
          f'{len(failures)} misjudged')
    return bool(failures)
