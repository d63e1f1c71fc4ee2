# SPDX-License-Identifier: MIT
"""lido's pools, by ctypes, on a driver that only writes down what it is asked for."""
import ctypes as c

import shim
from side import Side
from steps import HOOKS

CODES = {'E': shim.AUTH, 'D': shim.DISCONNECT, 'P': shim.INVALIDATE_POOL,
         'F': shim.AUTH | shim.FATAL, None: shim.OK}
RESETS = {'none': 0, 'rollback': 1, 'commit': 2}


class Lido(Side):
    """A pool of lido's."""

    name = 'lido'

    def __init__(self, config, crew, lib):
        super().__init__()
        self.config, self.crew, self.lib = config, crew, lib
        self.places = {}
        self.pools = []
        self.error = shim.Error()
        self.err = c.byref(self.error)
        self.kept = []  # callbacks that C may still call
        self.driver = self.make_driver()
        self.c_clock = shim.Clock(c.sizeof(shim.Clock), None, shim.READ(self.read_clock),
                                  shim.READ(self.read_clock))
        self.pool = self.make()

    def read_clock(self, _):
        return self.clock.read_ns()

    def make_driver(self):
        return shim.Driver(
            size=c.sizeof(shim.Driver), name=b'oracle', capabilities=0,
            connect=shim.CONNECT(self.on_open), close=shim.CLOSE(self.on_shut),
            ping=shim.PING(self.on_ping), reset=shim.RESET(self.on_driver_reset),
            txn_state=shim.STATE(lambda ctx, handle: 0))

    def make(self):
        config, lib = self.config, self.lib
        assert lib.lido_driver_register(b'oracle', c.byref(self.driver), None, self.err) == 0
        options = shim.Options(
            pool=config.kind.encode(), pool_timeout_ms=0,
            pool_recycle_ms=config.recycle * 1000 if config.recycle >= 0 else -1,
            pool_pre_ping=config.pre_ping, pool_reset_on_return=RESETS[config.reset],
            clock=c.pointer(self.c_clock))
        if config.kind in ('queue', 'singleton_thread'):
            options.pool_size = config.pool_size
        if config.kind == 'queue':
            options.max_overflow = config.max_overflow
            options.order = config.order.encode()
        if config.kind == 'static':
            options.shared_transaction = 1
        pool = c.c_void_p()
        rc = lib.lido_pool_open_version(c.byref(pool), b'oracle:///x', c.byref(options),
                                        lib.lido_version_number(), self.err)
        assert rc == 0, self.error.text
        self.pools.append(pool)
        self.events = shim.Events(size=c.sizeof(shim.Events))
        for name in HOOKS:
            setattr(self.events, name, shim.HOOK(self.hook(name)))
        rc = lib.lido_hooks_add(lib.lido_pool_hooks(pool), None, c.byref(self.events), None,
                                None, self.err)
        assert rc == 0, self.error.text
        return pool

    # The driver and the hooks.

    def record_number(self, record):
        if not record:
            return None
        number = self.lib.lido_record_record_info(record)
        if number is None:
            self.records += 1
            number = self.records
            self.lib.lido_record_set_record_info(record, number, None)
        return number

    def on_open(self, ctx, how, record, handle, err):
        code = self.note('open', self.connections + 1, self.record_number(record))
        if code is not None:
            return CODES[code]
        self.connections += 1
        handle[0] = self.connections
        return shim.OK

    def on_shut(self, ctx, handle, terminate, err):
        return CODES[self.note('shut', handle, None)]

    def on_ping(self, ctx, handle, err):
        self.note('ping', handle, None)
        self.pings_to_fail -= 1
        return shim.OK if self.pings_to_fail < 0 else shim.AUTH

    def on_driver_reset(self, ctx, handle, how, outcome, err):
        name = {1: 'rollback', 2: 'commit'}.get(how & 3)
        return shim.OK if name is None else CODES[self.note(name, handle, None)]

    def hook(self, name):
        def fire(ctx, event, err):
            event = c.cast(event, c.POINTER(shim.Event)).contents
            return CODES[self.note(name, event.handle, self.record_number(event.record))]
        return fire

    # The steps.

    def answer(self, rc):
        if rc in (shim.OK, shim.STALE):
            return 'ok'
        if rc == shim.POOL_TIMEOUT:
            return 'full'
        if rc == shim.CHECKED_OUT:
            return 'out'
        if rc == shim.SHARED:
            return 'shared'
        if rc == shim.DISCONNECT and b'one after the other' in self.error.text:
            return 'exhausted'
        for letter, code in CODES.items():
            if rc == code:
                return 'hook ' + letter
        return f'code {rc} {self.error.text.decode()}'

    def step(self, name, *args, thread=0):
        self.error.text = b''
        if name in ('dispose', 'recreate'):
            return self.answer(self.crew.do(thread, getattr(self, name)))
        if name == 'connect':
            if self.is_valid(args[0]):
                return 'taken'
            return self.answer(self.crew.do(thread, lambda: self.connect(args[0], thread)))
        thread, conn = self.places.get(args[0], (0, None))
        if conn is None:
            return 'ok'
        answer = self.crew.do(thread, lambda: getattr(self, name)(conn, *args[1:]))
        return answer if isinstance(answer, str) else self.answer(answer)

    def connect(self, place, thread):
        conn = shim.Conn()
        rc = self.lib.lido_pool_checkout_at(self.pool, c.byref(conn), None, None, 0, self.err)
        self.places[place] = thread, conn
        return rc

    def close(self, conn):
        return self.lib.lido_conn_checkin(c.byref(conn), None, self.err)

    def close_after_reset(self, conn):
        options = shim.Checkin(c.sizeof(shim.Checkin), 1)
        return self.lib.lido_conn_checkin(c.byref(conn), c.byref(options), self.err)

    def invalidate(self, conn):
        return self.lib.lido_conn_invalidate(c.byref(conn), None, self.err)

    def soft(self, conn):
        if self.lib.lido_conn_is_detached(c.byref(conn)):
            return shim.OK
        return self.lib.lido_conn_invalidate_soft(c.byref(conn), None, self.err)

    def invalidate_pool(self, conn):
        return self.lib.lido_conn_invalidate_pool(c.byref(conn), None, self.err)

    def detach(self, conn):
        return self.lib.lido_conn_detach(c.byref(conn), self.err)

    def finalizer(self, conn, fails):
        if self.lib.lido_conn_is_detached(c.byref(conn)):
            return shim.OK

        def finalize(ctx, handle, err):
            self.note('finalizer', handle, None)
            return shim.AUTH if fails else shim.OK

        callback = shim.FINALIZER(finalize)
        self.kept.append(callback)
        return self.lib.lido_conn_add_finalizer(c.byref(conn), callback, None, None, self.err)

    def info(self, conn):
        if not self.lib.lido_conn_handle(c.byref(conn)):
            return 'ok'
        count = (self.lib.lido_conn_info(c.byref(conn)) or 0) + 1
        self.lib.lido_conn_set_info(c.byref(conn), count, None, self.err)
        return f'info {count}'

    def dispose(self):
        return self.lib.lido_pool_dispose(self.pool, self.err)

    def recreate(self):
        pool = c.c_void_p()
        rc = self.lib.lido_pool_recreate(self.pool, c.byref(pool), self.err)
        if rc == shim.OK:
            self.pools.append(pool)
            self.pool = pool
        return rc

    def counts(self):
        stats = shim.Stats(size=c.sizeof(shim.Stats))
        text = c.create_string_buffer(200)
        assert self.lib.lido_pool_stats(self.pool, c.byref(stats), self.err) == 0
        assert stats.live == stats.idle + stats.out
        if self.config.kind != 'queue':
            return None
        self.lib.lido_pool_status(self.pool, text, 200, self.err)
        return stats.idle, stats.overflow, stats.out, text.value.decode()

    def is_valid(self, place):
        thread, conn = self.places.get(place, (0, None))
        return conn is not None and bool(
            self.crew.do(thread, lambda: self.lib.lido_conn_handle(c.byref(conn))))

    def end(self):
        """Gives every lease back and closes the pools: nothing may be left open."""
        self.plans.clear()
        for place in self.places:
            self.step('close', place)
        pools, self.pools = self.pools, []
        for pool in pools:
            rc = self.lib.lido_pool_close(pool, 0, self.err)
            self.lib.lido_pool_free(pool)
            if rc != shim.OK:
                return f'the pool did not close: {self.error.text.decode()}'
        self.take_trace()
        opened = [e.split()[1] for e in self.history if e.startswith('open') and '!' not in e]
        shut = [e.split()[1] for e in self.history if e.startswith('shut')]
        return None if sorted(opened) == sorted(shut) else f'opened {opened}, closed {shut}'
