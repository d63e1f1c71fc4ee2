#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/housekeeping.md does what it shows: each block of it is run in a folder of its own.

    recipes.py SOURCE_ROOT LIDO [CC LIBRARY LINK-ARGUMENT...]

Above each fenced block stands what it is:

    <!-- file: NAME -->        lies in each folder; of app.sql the tool makes app.db
    <!-- run: NAME -->         lines of the shell behind "$ ", and below each what it prints; the
                               exit status is 0, or what "# exit status N" behind the line says.
                               "..." is any text, on a line of its own any lines
    <!-- frame -->             the C program around the fragments, at the line /* here */
    <!-- c: NAME -->           a fragment: compiled, run, answers 0, and prints what a block
                               ```text directly behind it says
    <!-- python: NAME -->      answers 0: what the recipe gets wrong it asserts
    <!-- sqlalchemy: NAME -->  the same, where there is an SQLAlchemy
    <!-- compiled: NAME -->    is readme.sh's
    <!-- shown -->             is not run

A job that has one of run, python and sqlalchemy has c too, and one that has sqlalchemy all four.
What Python, SQLite and SQLAlchemy get wrong is asserted of the versions that the page names;
of others it is told, and fails nothing.  Without CC the fragments are left out.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MARK = re.compile(r'<!-- (file|run|frame|c|python|sqlalchemy|compiled|shown)(?:: ([\w.]+))? -->')
NAMED = re.compile(r'Python (\d+\.\d+), SQLite (\d+\.\d+) and SQLAlchemy (\d+\.\d+)')
VERSIONS = """import sqlite3, sys
try:
    from sqlalchemy import __version__ as alchemy
except ImportError:
    alchemy = "none"
for text in "%d.%d" % sys.version_info[:2], sqlite3.sqlite_version, alchemy:
    print(".".join(text.split(".")[:2]))
"""
WANTED = {'run': {'c'}, 'python': {'c'}, 'sqlalchemy': {'c', 'python', 'run'}}
failures = []


def complain(text):
    failures.append(text)
    print(f'recipes: {text}', file=sys.stderr)


def blocks_of(page):
    """(kind, name, language, code) of each fenced block."""
    kind = name = code = None
    found = []
    for line in page.read_text(encoding='utf-8').splitlines():
        mark = MARK.fullmatch(line)
        if code is None and mark:
            kind, name = mark[1], mark[2] or ''
        elif code is None and line.startswith('```'):
            if kind is None and line == '```text' and found and found[-1][0] == 'c':
                kind, name = 'prints', found[-1][1]
            if kind is None:
                complain(f'nothing says what the block {line} behind {found[-1:]} is')
            language, code = line[3:], []
        elif code is not None and line == '```':
            found.append((kind, name, language, '\n'.join(code) + '\n'))
            kind = name = code = None
        elif code is not None:
            code.append(line)
        elif line and kind:
            complain(f'<!-- {kind}: {name} --> has no block')
            kind = None
    return found


def same(wanted, given):
    """Whether a text is one that the page shows."""
    pattern = ''
    for line in wanted.rstrip().splitlines():
        if line.strip() == '...':
            pattern += '(?:.*\n)*'
        else:
            pattern += re.escape(line.rstrip()).replace(re.escape('...'), '.*') + '[ ]*\n'
    given = given.rstrip() + '\n' if given.strip() else ''
    return re.fullmatch(pattern, given) is not None


def commands_of(code):
    """(command, exit status, what it prints) of each line of the shell."""
    found = []
    for line in code.splitlines():
        if line.startswith('$ '):
            status = re.search(r'# exit status (\d+)$', line)
            found.append([line[2:], int(status[1]) if status else 0, ''])
        elif line.startswith('> ') and not found[-1][2]:
            found[-1][0] += '\n' + line[2:]
        elif found:
            found[-1][2] += line + '\n'
        else:
            complain(f'a block of the shell begins with: {line}')
    return found


class Folders:
    """Folders with the files of the page, one for each block."""

    def __init__(self, where, lido, files):
        self.where, self.lido, self.files = where, lido, files
        self.environment = dict(os.environ, LC_ALL='C.UTF-8', NO_COLOR='1', TZ='UTC',
                                PATH=f'{lido.parent}:{os.environ["PATH"]}')

    def run(self, name, command):
        folder = self.where / name
        folder.mkdir()
        for file, text in self.files.items():
            (folder / file).write_text(text, encoding='utf-8')
        subprocess.run([self.lido, 'load', '--quiet', '--create', 'app.db', 'app.sql'],
                       cwd=folder, check=True)
        done = subprocess.run(['timeout', '60', *command], cwd=folder, env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, check=False)
        shutil.rmtree(folder)
        return done.returncode, done.stdout


def run_shell(folders, name, code):
    commands = commands_of(code)
    script = ''.join(f'{{ {line}\n}}; printf "\\036%d\\036" $?\n' for line, _, _ in commands)
    said = folders.run('run-' + name, ['sh', '-c', script])[1].split('\036')
    for i, (line, status, text) in enumerate(commands):
        given, answer = said[2 * i:2 * i + 2] if len(said) > 2 * i + 1 else ('', 'none')
        if answer != str(status):
            complain(f'{name}: {line}: exit status {answer}: {given}')
        elif not same(text, given):
            complain(f'{name}: {line}\nprints:\n{given}and not:\n{text}')


def run_c(folders, name, code, frame, prints, compiler):
    source = folders.where / f'{name}.c'
    program = folders.where / f'{name}-program'
    indented = ''.join('    ' + line if line.strip() else line
                       for line in code.splitlines(keepends=True))
    source.write_text(re.sub(r' */\* here \*/\n', lambda _: indented, frame), encoding='utf-8')
    command, libraries = compiler
    built = subprocess.run([*command, '-o', program, source, *libraries], check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if built.returncode != 0:
        complain(f'{name}: the fragment does not compile: {built.stdout}')
        return
    answer, said = folders.run('c-' + name, [program])
    if answer != 0 or (prints is not None and not same(prints, said)):
        complain(f'{name}: the fragment answers {answer} and prints:\n{said}')


def a_python():
    """The Python that is asked, and its versions: one with SQLAlchemy, if there is one."""
    told = {}
    for python in ('python3', '/usr/bin/python3'):
        if shutil.which(python):
            versions = subprocess.run([python, '-W', 'ignore', '-c', VERSIONS], check=True,
                                      stdout=subprocess.PIPE, text=True).stdout.split()
            told.setdefault(versions[2] != 'none', (python, versions))
    return told.get(True, told.get(False))


def main():
    root, lido = Path(sys.argv[1]), Path(sys.argv[2]).resolve()
    page = root / 'docs/housekeeping.md'
    blocks = blocks_of(page)
    by_kind = {}
    for kind, name, _, code in blocks:
        if kind and name in by_kind.setdefault(kind, {}):
            complain(f'there are two blocks {kind}: {name}')
        by_kind.setdefault(kind, {})[name] = code
    for kind, others in WANTED.items():
        for name in by_kind.get(kind, {}):
            for other in sorted(others):
                if name not in by_kind.get(other, {}):
                    complain(f'{name} has {kind}, and no {other}')
    named = NAMED.search(page.read_text(encoding='utf-8'))
    python, versions = a_python()
    is_named = {'python': named and list(named.groups()[:2]) == versions[:2],
                'sqlalchemy': named and list(named.groups()) == versions}
    if not named:
        complain('the page does not say of which versions of Python it speaks')

    with tempfile.TemporaryDirectory() as where:
        folders = Folders(Path(where), lido, by_kind.get('file', {}))
        compiler = None
        if len(sys.argv) > 3:
            compiler = ([*sys.argv[3].split(), '-std=c11', '-Wall', '-Wextra', '-Wpedantic',
                         '-Werror', f'-I{root / "include"}'], sys.argv[4:])
        for kind, name, _, code in blocks:
            if kind == 'run':
                run_shell(folders, name, code)
            elif kind == 'c' and compiler:
                run_c(folders, name, code, by_kind['frame'][''],
                      by_kind.get('prints', {}).get(name), compiler)
            elif kind == 'python' or (kind == 'sqlalchemy' and versions[2] != 'none'):
                answer, said = folders.run(f'{kind}-{name}',
                                           [python, '-W', 'ignore', '-c', code])
                if answer != 0 and is_named[kind]:
                    complain(f'{kind}: {name}: answers {answer}:\n{said}')
                elif answer != 0:
                    print(f'{kind}: {name}: is not so with {versions}:\n{said}')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
