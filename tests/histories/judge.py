# SPDX-License-Identifier: MIT
"""Is a history serializable, and in the order in which its transactions happened?

Every value tells which operation wrote it: a list holds the numbers that were put at its end, and
another row holds its value and a stamp.  So the versions of a row have an order that is known, not
guessed, and the dependencies of transactions follow from it:

    ww   wrote the version after one that the other wrote
    wr   read a version that the other wrote
    rw   read the version before one that the other wrote
    rt   began after the other was over (real time)

A history is serializable if no cycle is made of the first three, and strictly so if none is made
of all four; SQLite gives the latter within one file.  A cycle is named by what it is made of.  What
can be said without a cycle is said before.

The technique is that of Elle: K. Kingsbury and P. Alvaro, "Elle: Inferring Isolation Anomalies from
Experimental Observations", PVLDB 14(3), 2020.  The anomalies G0 to G2 and their names are Adya's:
A. Adya, "Weak Consistency: A Generalized Theory and Optimistic Implementations for Distributed
Transactions", PhD thesis, MIT, 1999; "-realtime" is Elle's word.  "Lost update" and "non-repeatable
read" are P4 and P2 of H. Berenson et al., "A Critique of ANSI SQL Isolation Levels", SIGMOD 1995.

A transaction that was rolled back is judged by its reads: SQLite gives it a snapshot like any
other.  One whose outcome is unknown was committed if somebody has seen what it wrote.
"""
import math
from collections import defaultdict, deque

START = 0  # the stamp of what was there at first; an empty list has it too


class Txn:
    """A transaction: what it read of others, and what it wrote."""

    def __init__(self, record):
        self.id = record['txn']
        self.outcome = record['outcome']
        self.start, self.end = record['start'], record['end']
        self.is_final = record.get('final', False)
        self.ops = [(kind, key, values) for kind, key, values in record['ops']]
        self.who = f'{record.get("process", 0)}/{record.get("thread", 0)}'
        self.writes = defaultdict(list)  # key: stamps, in order
        self.reads = {}                  # key: what others had made of it
        self.changed = []                # (key, expected, found, by its own hand?)
        now = {}                         # key: what the row holds for this transaction
        for kind, key, values in self.ops:
            if kind == 'read':
                self.add_read(key, values, now)
            else:
                self.writes[key].append(values[-1])
                if kind == 'write' or key in now:
                    now[key] = (now[key] if kind == 'append' else []) + values

    def add_read(self, key, values, now):
        """All through a transaction a row holds what it read or wrote last.  A list that it first
        put something at the end of shows both others' and its own."""
        own = self.writes.get(key, [])
        if key not in now:
            if own and values[-len(own):] != own:
                self.changed.append((key, f'ended in {own}', values))
            else:
                self.reads[key] = values[:len(values) - len(own)]
        elif now[key] != values:
            self.changed.append((key, f'was {now[key]}', values))
        now[key] = values

    def is_committed(self):
        return self.outcome == 'committed'

    def __str__(self):
        ops = ', '.join(f'{kind} {key} {values}' for kind, key, values in self.ops)
        return f'T{self.id} ({self.who}, {self.outcome}, {self.start} to {self.end}: {ops})'


class Judge:
    """One history, and what is wrong with it: `anomalies`, (name, text, transactions) each."""

    def __init__(self, settings, records):
        self.settings = settings
        self.is_list = settings['workload'] == 'list'
        self.txns = [Txn(record) for record in records]
        self.anomalies = []
        self.author = {}  # (key, stamp): (transaction, is it its last of this key)
        self.written = {}  # (key, stamp): what was written
        for txn in self.txns:
            for kind, key, values in txn.ops:
                if kind != 'read':
                    stamp = values[-1]
                    self.author[key, stamp] = (txn, stamp == txn.writes[key][-1])
                    self.written[key, stamp] = values

    def blame(self, name, text, *txns):
        self.anomalies.append((name, text, list(dict.fromkeys(txns))))

    def judge(self):
        self.settle_unknown()
        for txn in self.txns:
            self.judge_inside(txn)
            self.judge_versions_read(txn)
            self.judge_rules(txn)
        orders = {key: self.order_of(key) for key in range(self.settings['keys'])}
        for key, order in orders.items():
            self.judge_lost(key, order)
        if not any(txn.is_final and txn.is_committed() for txn in self.txns):
            self.blame('no end', 'nobody has read everything when all was over')
        self.judge_cycles(orders)
        return self.anomalies

    def settle_unknown(self):
        """Whoever cannot know whether it was committed: was it seen?  It may yet come to be."""
        seen = {(key, stamp) for txn in self.txns for kind, key, values in txn.ops
                if kind == 'read' for stamp in self.stamps(values)
                if self.author.get((key, stamp), (txn,))[0] is not txn}
        for txn in self.txns:
            if txn.outcome == 'unknown':
                txn.end = math.inf
                written = {(key, stamp) for key, all_ in txn.writes.items() for stamp in all_}
                txn.outcome = 'committed' if written & seen else 'rolled back'

    def stamps(self, values):
        """The versions that a read shows: all of a list, or the one of another row."""
        return values if self.is_list else values[-1:]

    def version(self, values):
        return values[-1] if values else START

    # What one transaction shows by itself.

    def judge_inside(self, txn):
        for key, before, after in txn.changed:
            name = 'internal' if key in txn.writes else 'non-repeatable read'
            self.blame(name, f'row {key} {before} and then was {after}', txn)

    def judge_versions_read(self, txn):
        for key, values in txn.reads.items():
            stamps = self.stamps(values)
            if len(set(stamps)) != len(stamps):
                self.blame('duplicate', f'row {key} has a number twice: {values}', txn)
            for place, stamp in enumerate(stamps):
                writer, is_last = self.author.get((key, stamp), (None, True))
                if writer is None and (self.is_list or stamp != START):
                    self.blame('unknown value', f'{stamp} in row {key} was written by nobody', txn)
                elif not self.is_list and values != self.written.get((key, stamp), values):
                    self.blame('unknown value', f'row {key} held {values}, and not what was '
                               f'written, {self.written[key, stamp]}', txn)
                elif writer is not None and not writer.is_committed():
                    self.blame('G1a aborted read', f'{stamp} of row {key} was rolled back',
                               txn, writer)
                elif place == len(stamps) - 1 and not is_last:
                    self.blame('G1b intermediate read',
                               f'{stamp} of row {key} was overwritten by who wrote it', txn, writer)

    def judge_rules(self, txn):
        """What the workload keeps true, in each transaction that read all before it wrote."""
        if self.is_list or len(txn.reads) != self.settings['keys']:
            return
        values = [txn.reads[key][0] for key in sorted(txn.reads)]
        wanted = self.settings['initial'][0] * self.settings['keys']
        if self.settings['workload'] == 'bank' and sum(values) != wanted:
            self.blame('broken sum', f'the accounts hold {sum(values)}, not {wanted}: {values}',
                       txn)
        if self.settings['workload'] == 'skew' and not 1 <= sum(values) <= 2:
            self.blame('broken rule', f'one of two is on: {values}', txn)

    # The order of a row's versions.

    def order_of(self, key):
        return self.order_of_list(key) if self.is_list else self.order_of_stamps(key)

    def order_of_list(self, key):
        """The longest list that was read; all others are its beginnings."""
        readers = [txn for txn in self.txns if key in txn.reads]
        if not readers:
            return [START]
        longest = max(readers, key=lambda txn: len(txn.reads[key]))
        order = longest.reads[key]
        for txn in readers:
            if txn.reads[key] != order[:len(txn.reads[key])]:
                self.blame('incompatible order',
                           f'row {key} was {txn.reads[key]} and {order}', txn, longest)
        return [START] + order

    def order_of_stamps(self, key):
        """Whoever writes a row has read it: the one leads to the other."""
        after = {}
        for txn in self.txns:
            if txn.is_committed() and txn.writes.get(key):
                after.setdefault(self.version(txn.reads.get(key, [START])), []).append(txn)
        order = [START]
        while order[-1] in after:
            writers = after.pop(order[-1])
            # Of two the one that was built on is the one that lasted.
            writers.sort(key=lambda txn: txn.writes[key][-1] in after)
            order += writers[-1].writes[key]
        return order

    def judge_lost(self, key, order):
        """What was committed stands in the order of versions; what does not is lost."""
        order = set(order)
        writers = [txn for txn in self.txns if txn.is_committed() and txn.writes.get(key)]
        for txn in writers:
            if order.issuperset(txn.writes[key]):
                continue
            base = self.version(txn.reads[key]) if key in txn.reads else None
            rivals = [other for other in writers if other is not txn and key in txn.reads and
                      order.issuperset(other.writes[key]) and key in other.reads and
                      self.version(other.reads[key]) == base]
            if rivals:
                self.blame('lost update', f'row {key} was written by both upon {base}',
                           txn, *rivals)
            else:
                self.blame('lost write', f'what was committed to row {key} is nowhere', txn)

    # Cycles.

    def edges(self, orders):
        """{kind: {transaction: set of transactions that come after it}}"""
        edges = {kind: defaultdict(set) for kind in ('ww', 'wr', 'rw', 'rt')}

        def add(kind, before, after):
            if before is not after:
                edges[kind][before].add(after)

        following = {}  # (key, version): who wrote the next one
        for key, order in orders.items():
            writers = [self.author.get((key, stamp), (None,))[0] for stamp in order]
            for i in range(1, len(order)):
                following[key, order[i - 1]] = writers[i]
                if writers[i - 1] is not None and writers[i] is not None:
                    add('ww', writers[i - 1], writers[i])
        for txn in self.txns:
            for key, values in txn.reads.items():
                version = self.version(values)
                writer = self.author.get((key, version), (None,))[0]
                if writer is not None:
                    add('wr', writer, txn)
                if following.get((key, version)) is not None:
                    add('rw', txn, following[key, version])
        for txn in self.txns:
            over = [other for other in self.txns if other.end < txn.start]
            newest = max((other.start for other in over), default=0)
            for other in over:
                if other.end > newest:  # others come before one of these
                    add('rt', other, txn)
        return edges

    def judge_cycles(self, orders):
        """The first cycle found of the worst name; further ones are mostly the same again."""
        edges = self.edges(orders)
        for suffix, time in (('', []), ('-realtime', ['rt'])):
            if not on_cycles(self.txns, merge(self.txns, edges, ['ww', 'wr', 'rw'] + time)):
                continue
            for name, kinds, once in (('G0', ['ww'], None), ('G1c', ['ww', 'wr'], None),
                                      ('G-single', ['ww', 'wr'], 'rw'),
                                      ('G2', ['ww', 'wr', 'rw'], None)):
                cycle = find_cycle(self.txns, edges, kinds + time, once)
                if cycle:
                    text = ' '.join(f'T{txn.id} -{kind}->' for txn, kind in cycle)
                    self.blame(name + suffix, f'{text} T{cycle[0][0].id}',
                               *(txn for txn, _ in cycle))
                    return


def merge(txns, edges, kinds):
    """{transaction: {who comes after it: by which kind, the first that is named}}"""
    return {txn: {after: kind for kind in reversed(kinds) for after in edges[kind].get(txn, ())}
            for txn in txns}


def find_cycle(txns, edges, kinds, once):
    """A shortest cycle of these kinds of edges, with one of the kind `once` if that is given:
    [(transaction, kind of the edge that leaves it)], or None."""
    onward = merge(txns, edges, kinds)
    firsts = merge(txns, edges, [once]) if once else onward
    best = None
    for first in txns if once else on_cycles(txns, onward):
        for second, kind in firsts[first].items():
            path = shortest_path(onward, second, first)
            if path is not None and (best is None or len(path) + 1 < len(best)):
                best = [(first, kind)] + path
    return best


def on_cycles(txns, onward):
    """Those that are left when all are taken away, again and again, that nothing leads to: only if
    there is a cycle is anybody left."""
    incoming = dict.fromkeys(txns, 0)
    for nexts in onward.values():
        for txn in nexts:
            incoming[txn] += 1
    ready = [txn for txn in txns if incoming[txn] == 0]
    while ready:
        for txn in onward[ready.pop()]:
            incoming[txn] -= 1
            if incoming[txn] == 0:
                ready.append(txn)
    return [txn for txn in txns if incoming[txn] > 0]


def shortest_path(onward, start, goal):
    came = {start: None}
    queue = deque([start])
    while queue:
        at = queue.popleft()
        if at is goal:
            path = []
            while came[at] is not None:
                before = came[at]
                path.append((before, onward[before][at]))
                at = before
            return path[::-1]
        for after in onward[at]:
            if after not in came:
                came[after] = at
                queue.append(after)
    return None


def judge(settings, records):
    return Judge(settings, records).judge()
