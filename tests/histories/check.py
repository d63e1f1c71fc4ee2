#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Judges recorded histories serializable, or says what is wrong and with which transactions.

    check.py FILE...        each as `history-record SEED FOLDER` prints it
    check.py --self-test    plants anomalies in sound histories: each must be seen

How, stands in judge.py.
"""
import json
import sys

sys.dont_write_bytecode = True
import judge  # pylint: disable=wrong-import-position


def read(text):
    """The settings and the records of a history."""
    settings, *records = map(json.loads, text.splitlines())
    return settings, records


def story(anomalies):
    """What was found, for people."""
    return '\n'.join('\n    '.join([f'{name}: {text}', *map(str, txns)])
                     for name, text, txns in anomalies)


def main(arguments):
    if arguments == ['--self-test']:
        import planted  # pylint: disable=import-outside-toplevel
        return planted.main()
    if not arguments or arguments[0].startswith('-'):
        sys.exit(__doc__)
    failed = False
    for path in arguments:
        with open(path, encoding='utf-8') as file:
            anomalies = judge.judge(*read(file.read()))
        print(f'{path}: {"NOT serializable" if anomalies else "serializable"}')
        if anomalies:
            print(story(anomalies))
            failed = True
    return failed


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
