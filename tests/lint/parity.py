#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/parity.md is what the tests say: every row of SQLAlchemy's behaviour has one test.

    parity.py SOURCE_ROOT [--write] [--strict]

A row is claimed by the comment directly above a Test() in tests/parity/test_*.c:

    /* 1.2 recycle
       SQLAlchemy: a connection older than this, strictly, is replaced at its checkout.
       lido: better: how */

or, if nothing can be asserted, by the same lines in tests/parity/not_applicable.txt.  The
verdict is `same`, `better: how` or `not applicable: why`; `same: in which words` is allowed.
tests/parity/rows.txt lists all rows.  A row that begins with `open` there is one that lido
does not fulfil yet: it is printed, and fails only with --strict.  --write writes the page.
"""
import re
import sys
from pathlib import Path

SECTIONS = {
    '1.1': 'Words and lifetimes',
    '1.2': 'Options of a pool',
    '1.3': 'What a pool can do',
    '1.4': 'Records and leases',
    '1.5': 'The order of events',
    '1.6': 'When a hook fails',
    '1.7': 'Counting of a queue',
    '1.8': 'The other kinds',
    '2.1': 'Pool events',
    '2.2': 'Transaction events',
    '2.4': 'Listening',
    '2.5': 'Transactions on a connection',
    '3.1': 'URLs, driver arguments and the default kind',
    '3.2': 'Isolation, begin modes and savepoints',
}
VERDICTS = ('same', 'better', 'not applicable')
TEST = re.compile(r'/\* (\d\.\d [^\n]*)\n((?:(?!\*/).)*)\*/\s*Test\((\w+),\s*(\w+)', re.S)
HEAD = """<!-- SPDX-License-Identifier: MIT -->

# Parity with SQLAlchemy

What SQLAlchemy's pools, events, transactions and SQLite URLs do, row by row, and what lido does. The
model is SQLAlchemy 0.9.8 with what came later; where versions differ the row says so. "Fairy"
is SQLAlchemy's word for a lease.

This page is written by `tests/lint/parity.py . --write` from the comments of the tests in
`tests/parity`; do not edit it. Each row is the claim of one test, whose name stands behind it,
and CI fails on a row without one.
"""


class Row:
    def __init__(self, name, text, where):
        self.name, self.where = name.strip(), where
        words = ' '.join(text.split())
        match = re.fullmatch(r'SQLAlchemy: (.+?) lido: ([a-z ]+?)(?:: (.+))?', words)
        self.problem = None
        if match is None:
            self.problem = 'has no "SQLAlchemy: ... lido: ..."'
            return
        self.theirs, self.verdict, self.how = match.groups()
        if self.verdict not in VERDICTS:
            self.problem = f'has the verdict "{self.verdict}"'
        elif self.verdict != 'same' and self.how is None:
            self.problem = f'is "{self.verdict}" without saying how or why'


def read_rows(path):
    """The names of all rows in their order, and the open ones with what is missing."""
    names, still_open = [], {}
    for line in path.read_text(encoding='utf-8').splitlines():
        if not line or line.startswith('#'):
            continue
        match = re.fullmatch(r'(open )?(\d\.\d [^|]+?)(?: \| (.*))?', line)
        if match is None:
            sys.exit(f'parity: {path.name}: "{line}" is no row')
        names.append(match[2])
        if match[1]:
            still_open[match[2]] = match[3] or ''
    return names, still_open


def read_claims(folder):
    claims = []
    for path in sorted(folder.glob('test_*.c')):
        text = path.read_text(encoding='utf-8')
        found = TEST.findall(text)
        if len(found) != len(re.findall(r'^Test\(', text, re.M)):
            named = {test for _, _, _, test in found}
            for suite, test in re.findall(r'^Test\((\w+),\s*(\w+)', text, re.M):
                if test not in named:
                    print(f'parity: {path.name}: {test} has no row above it')
            claims.append(None)
        claims += [Row(name, body, test) for name, body, _, test in found]
    path = folder / 'not_applicable.txt'
    for block in path.read_text(encoding='utf-8').split('\n\n'):
        lines = [line for line in block.splitlines() if line and not line.startswith('#')]
        if lines:
            claims.append(Row(lines[0], ' '.join(lines[1:]), None))
    return claims


def check(names, still_open, claims, strict):
    """How much is wrong, each printed."""
    problems = [f'{name} is listed twice' for name in set(names) if names.count(name) > 1]
    problems += ['there are tests without a row'] * (None in claims)
    by_name = {}
    for row in filter(None, claims):
        if row.name not in names:
            problems.append(f'{row.name} is not in rows.txt')
        elif row.name in by_name:
            problems.append(f'{row.name} is claimed twice')
        elif row.name in still_open:
            problems.append(f'{row.name} is open in rows.txt and has a test')
        if row.problem:
            problems.append(f'{row.name} {row.problem}')
        by_name[row.name] = row
    for name in names:
        if name in still_open:
            print(f'parity: open: {name}: {still_open[name]}')
            problems += [f'{name} is open'] * strict
        elif name not in by_name:
            problems.append(f'{name} has no test')
    for problem in problems:
        print(f'parity: {problem}', file=sys.stderr)
    return problems, by_name


def cell(text):
    return text.replace('|', '\\|')


def page(names, still_open, by_name):
    lines = [HEAD]
    counts = {verdict: sum(row.verdict == verdict for row in by_name.values())
              for verdict in VERDICTS}
    total = ', '.join(f'{count} {verdict}' for verdict, count in counts.items())
    missing = f', {len(still_open)} open' if still_open else ''
    lines.append(f'{len(names)} rows: {total}{missing}.\n')
    for section, title in SECTIONS.items():
        lines += [f'## {section} {title}\n', '| Row | SQLAlchemy | lido | Test |',
                  '|---|---|---|---|']
        for name in names:
            if not name.startswith(section + ' '):
                continue
            label = name[len(section) + 1:]
            if name in still_open:
                lines.append(f'| {cell(label)} | | **open**: {cell(still_open[name])} | |')
                continue
            row = by_name[name]
            ours = f'**{row.verdict}**' + (f': {row.how}' if row.how else '')
            test = f'`{row.where}`' if row.where else ''
            lines.append(f'| {cell(label)} | {cell(row.theirs)} | {cell(ours)} | {test} |')
        lines.append('')
    return '\n'.join(lines).rstrip('\n') + '\n'


def main():
    flags = {word for word in sys.argv[1:] if word.startswith('--')}
    root = Path([word for word in sys.argv[1:] if not word.startswith('--')][0])
    names, still_open = read_rows(root / 'tests/parity/rows.txt')
    claims = read_claims(root / 'tests/parity')
    problems, by_name = check(names, still_open, claims, '--strict' in flags)
    if problems:
        return 1
    text, path = page(names, still_open, by_name), root / 'docs/parity.md'
    if '--write' in flags:
        path.write_text(text, encoding='utf-8')
    elif not path.exists() or path.read_text(encoding='utf-8') != text:
        print('parity: docs/parity.md is not what the tests say: run '
              'tests/lint/parity.py . --write', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
