#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SQLAlchemy's own engine on lido's pools: does the C interface suffice?

A Pool of SQLAlchemy's whose every connection is opened, lent, reset, invalidated, detached and
closed by lido, which calls back for what only Python can do: sqlite3.connect() and its like.
Nothing in here keeps a list of connections or counts them.
"""
import ctypes as c
import os
import sys
import tempfile

import sqlalchemy
from sqlalchemy import event, exc, pool as sa_pool

import shim


class Fairy:
    """What the engine holds: a lease."""

    def __init__(self, pool, conn):
        self._pool, self.conn, self.own_info = pool, conn, {}
        handle = pool.lib.lido_conn_handle(c.byref(conn))
        self.dbapi_connection = pool.handles[handle]
        self._connection_record = Record(pool, handle)

    connection = property(lambda self: self.dbapi_connection)
    driver_connection = property(lambda self: self.dbapi_connection)
    is_valid = property(lambda self: self.dbapi_connection is not None)
    is_detached = property(lambda self: self._connection_record is None)
    info = property(lambda self: self._connection_record.info
                    if self._connection_record else self.own_info)

    def cursor(self, *args, **named):
        return self.dbapi_connection.cursor(*args, **named)

    def __getattr__(self, name):
        return getattr(self.dbapi_connection, name)

    def close(self, was_reset=False):
        options = shim.Checkin(c.sizeof(shim.Checkin), was_reset)
        self.dbapi_connection = None
        self._pool.call('lido_conn_checkin', c.byref(self.conn), c.byref(options))

    def _close_special(self, transaction_reset=False):
        self.close(transaction_reset)

    def invalidate(self, e=None, soft=False):
        if self.is_valid:
            self._pool.call('lido_conn_invalidate_soft' if soft else 'lido_conn_invalidate',
                            c.byref(self.conn), None)
            if not soft:
                self.dbapi_connection = None

    def detach(self):
        self.own_info = self._connection_record.info.copy()
        self._connection_record = None
        self._pool.call('lido_conn_detach', c.byref(self.conn))


class Record:
    """What hooks and the engine call the record of a connection."""

    def __init__(self, pool, handle):
        self.pool, self.handle = pool, handle

    info = property(lambda self: self.pool.infos.setdefault(self.handle, {}))
    dbapi_connection = property(lambda self: self.pool.handles.get(self.handle))


class LidoPool(sa_pool.Pool):
    """A Pool that leaves everything to lido."""

    def __init__(self, creator, library, kind, handle=None, **named):
        super().__init__(creator, **named)
        self.lib, self.library, self.kind = shim.load(library), library, kind
        self.err = shim.Error()
        self.handles, self.infos, self.raised = {}, {}, None
        self.driver = shim.Driver(
            size=c.sizeof(shim.Driver), name=b'python',
            connect=shim.CONNECT(self.guard(self.on_open)), close=shim.CLOSE(self.guard(self.on_shut)),
            reset=shim.RESET(self.guard(self.on_reset)), txn_state=shim.STATE(lambda ctx, handle: 0))
        self.lib.lido_driver_register(b'python', c.byref(self.driver), None, None)
        self.c_pool = handle or c.c_void_p()
        if handle is None:
            options = shim.Options(pool=kind.encode())
            self.call('lido_pool_open_version', c.byref(self.c_pool), b'python:///x',
                      c.byref(options), self.lib.lido_version_number())
        self.events = shim.Events(size=c.sizeof(shim.Events))
        for name in ('first_connect', 'connect', 'checkout', 'checkin', 'invalidate', 'close'):
            setattr(self.events, name, shim.HOOK(self.guard(self.hook(name))))
        self.call('lido_hooks_add', self.lib.lido_pool_hooks(self.c_pool), None,
                  c.byref(self.events), None, None)

    # What lido calls.

    def guard(self, function):
        """An exception does not go through C: it waits until the call is back."""
        def guarded(*args):
            try:
                return function(*args) or shim.OK
            except Exception as error:
                self.raised = error
                return shim.DISCONNECT if isinstance(error, exc.DisconnectionError) else shim.AUTH
        return guarded

    def on_open(self, ctx, how, record, handle, err):
        connection = self._invoke_creator(None)
        self.handles[id(connection)] = connection
        handle[0] = id(connection)

    def on_shut(self, ctx, handle, terminate, err):
        self.infos.pop(handle, None)
        self._dialect.do_close(self.handles.pop(handle))

    def on_reset(self, ctx, handle, how, outcome, err):
        if how & 3 == 1:
            self._dialect.do_rollback(self.handles[handle])

    def hook(self, name):
        def fire(ctx, what, err):
            what = c.cast(what, c.POINTER(shim.Event)).contents
            if name in ('first_connect', 'connect') or getattr(self.dispatch, name):
                arguments = [self.handles.get(what.handle), Record(self, what.handle)]
                arguments += [None] * (name in ('checkout', 'invalidate'))
                getattr(self.dispatch, name)(*arguments)
        return fire

    def call(self, name, *args):
        self.raised = None
        rc = getattr(self.lib, name)(*args, c.byref(self.err))
        if rc == shim.POOL_TIMEOUT:
            raise exc.TimeoutError(self.err.text.decode())
        if rc != shim.OK:
            raise self.raised or exc.InvalidRequestError(self.err.text.decode())

    # What the engine calls.

    def connect(self):
        conn = shim.Conn()
        self.call('lido_pool_checkout_at', self.c_pool, c.byref(conn), None, None, 0)
        return Fairy(self, conn)

    def dispose(self):
        self.call('lido_pool_dispose', self.c_pool)

    def recreate(self):
        return LidoPool(self._creator, self.library, self.kind, _dispatch=self.dispatch,
                        dialect=self._dialect)

    def _invalidate(self, fairy, exception=None, _checkin=True):
        self.call('lido_conn_invalidate_pool', c.byref(fairy.conn), None)
        fairy.dbapi_connection = None

    def status(self):
        text = c.create_string_buffer(200)
        self.call('lido_pool_status', self.c_pool, text, 200)
        return text.value.decode()

    def free(self):
        self.call('lido_pool_close', self.c_pool, 0)
        self.lib.lido_pool_free(self.c_pool)
        assert self.handles == {}, 'a connection was left open'


def play(library, kind, path):
    """An engine's life, with transactions, failures, events, detach and dispose."""
    import sqlite3
    seen = []
    pool = LidoPool(lambda: sqlite3.connect(path, check_same_thread=False), library, kind)
    engine = sqlalchemy.create_engine('sqlite:///' + path, pool=pool)
    event.listen(engine, 'connect', lambda connection, record: seen.append('connect'))
    event.listen(engine, 'checkout', lambda *what: seen.append('checkout'))
    metadata = sqlalchemy.MetaData()
    things = sqlalchemy.Table('things', metadata, sqlalchemy.Column('n', sqlalchemy.Integer))
    metadata.create_all(engine)
    with engine.begin() as conn:
        conn.execute(things.insert(), [{'n': n} for n in range(5)])
    try:
        with engine.begin() as conn:
            conn.execute(things.insert(), {'n': 99})
            raise ValueError
    except ValueError:
        pass
    with engine.connect() as conn:
        conn.execute(things.insert(), {'n': 98})  # autocommit, as 1.4 has it
        trans = conn.begin()
        conn.execute(things.insert(), {'n': 97})
        trans.rollback()
        conn.invalidate()
        assert conn.invalidated
        assert conn.execute(things.select()).fetchall()[-1] == (98,)
        conn.info['seen'] = True
    with engine.connect() as conn:
        conn.detach()
        assert conn.execute(sqlalchemy.func.count(things.c.n).select()).scalar() == 6
    engine.dispose()
    with engine.connect() as conn:
        assert conn.execute(sqlalchemy.text('select max(n) from things')).scalar() == 98
    assert {'connect', 'checkout'} <= set(seen), seen
    pool.free()
    engine.pool.free()
    return seen.count('connect')


def main():
    library = sys.argv[1]
    for kind in ('null', 'queue', 'singleton_thread', 'static', 'assertion'):
        with tempfile.TemporaryDirectory() as folder:
            connects = play(library, kind, os.path.join(folder, 'things.db'))
        print(f'an engine on pool={kind}: {connects} connections')


if __name__ == '__main__':
    sys.exit(main())
