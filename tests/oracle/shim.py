# SPDX-License-Identifier: MIT
"""lido's C interface for Python: what of it the oracle uses."""
import ctypes as c

CONNECT = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_void_p, c.POINTER(c.c_void_p), c.c_void_p)
CLOSE = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_int, c.c_void_p)
PING = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_void_p)
RESET = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_int, c.c_void_p, c.c_void_p)
STATE = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p)
BEGIN = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_int, c.c_void_p)
END = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p)
BUSY = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p)
CHECK = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_void_p)
HOOK = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_void_p)
FINALIZER = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_void_p)
READ = c.CFUNCTYPE(c.c_int64, c.c_void_p)


class Error(c.Structure):
    _fields_ = [('code', c.c_int), ('sys_errno', c.c_int), ('text', c.c_char * 248)]


class Conn(c.Structure):
    _fields_ = [('cell', c.c_void_p), ('generation', c.c_uint64)]


class Driver(c.Structure):
    _fields_ = [('size', c.c_size_t), ('name', c.c_char_p), ('capabilities', c.c_uint),
                ('connect', CONNECT), ('close', CLOSE), ('ping', PING), ('reset', RESET),
                ('txn_state', STATE), ('begin', BEGIN), ('commit', END), ('rollback', END),
                ('set_busy_wait', BUSY), ('check', CHECK)]


class Events(c.Structure):
    _fields_ = [('size', c.c_size_t)] + [(name, HOOK) for name in (
        'first_connect', 'connect', 'checkout', 'reset', 'checkin', 'invalidate',
        'soft_invalidate', 'close', 'detach', 'close_detached', 'begin', 'commit', 'rollback',
        'savepoint', 'rollback_savepoint', 'release_savepoint', 'before_execute',
        'after_execute', 'handle_error')]


class Event(c.Structure):
    _fields_ = [('size', c.c_size_t), ('pool', c.c_void_p), ('record', c.c_void_p),
                ('conn', c.c_void_p), ('handle', c.c_void_p), ('sqlite', c.c_void_p),
                ('begin_mode', c.c_void_p), ('reason', c.c_void_p),
                ('transaction_was_reset', c.c_int), ('terminate_only', c.c_int),
                ('savepoint', c.c_char_p), ('sql', c.c_char_p), ('duration_ns', c.c_int64), ('error', c.c_void_p),
                ('is_disconnect', c.c_void_p)]


class Clock(c.Structure):
    _fields_ = [('size', c.c_size_t), ('ctx', c.c_void_p), ('age_ns', READ), ('wait_ns', READ)]


class Checkin(c.Structure):
    _fields_ = [('size', c.c_size_t), ('transaction_was_reset', c.c_int)]


class Options(c.Structure):
    """struct lido_pool_options; open() refuses it if its size is another."""
    _fields_ = [('size', c.c_size_t), ('pool', c.c_char_p), ('order', c.c_char_p),
                ('pool_size', c.c_int), ('max_overflow', c.c_int),
                ('pool_timeout_ms', c.c_int64), ('timeout_ms', c.c_int64),
                ('check_same_thread', c.c_int), ('begin_mode', c.c_int), ('open_now', c.c_int),
                ('pool_recycle_ms', c.c_int64), ('pool_recycle_jitter_ms', c.c_int64),
                ('pool_recycle_spacing_ms', c.c_int64), ('pool_pre_ping', c.c_int),
                ('pool_reset_on_return', c.c_int), ('min_idle', c.c_int),
                ('idle_timeout_ms', c.c_int64), ('keep_temp', c.c_int),
                ('use_threadlocal', c.c_int), ('strict', c.c_int),
                ('shared_transaction', c.c_int), ('cached_statements', c.c_int),
                ('text', c.c_int), ('autobegin', c.c_int), ('session_guard', c.c_int),
                ('txn_limit_ms', c.c_int64), ('gate', c.c_int),
                ('gate_aging_us', c.c_int), ('key', c.c_void_p), ('key_ctx', c.c_void_p),
                ('log', c.c_void_p), ('log_ctx', c.c_void_p), ('log_level', c.c_int),
                ('clock', c.POINTER(Clock))]

    def __init__(self, **given):
        defaults = {'pool_size': 5, 'max_overflow': 10, 'pool_timeout_ms': 30000,
                    'timeout_ms': 5000, 'check_same_thread': -1, 'begin_mode': 1,
                    'pool_recycle_ms': -1, 'pool_reset_on_return': 1, 'idle_timeout_ms': -1,
                    'keep_temp': -1, 'cached_statements': 128, 'session_guard': 1,
                    'txn_limit_ms': -1, 'gate': 1, 'gate_aging_us': 1000,
                    'log_level': 2}
        super().__init__(size=c.sizeof(Options), **{**defaults, **given})


class Stats(c.Structure):
    """The first part of struct lido_pool_stats."""
    _fields_ = [('size', c.c_size_t), ('kind', c.c_char_p), ('limit', c.c_int64),
                ('keep', c.c_int64), ('is_closed', c.c_int), ('live', c.c_int64),
                ('idle', c.c_int64), ('out', c.c_int64), ('detached', c.c_int64),
                ('disowned', c.c_int64), ('overflow', c.c_int64)]


# Codes of <lido/status.h>.
OK, AUTH, FATAL = 0, 23, 1 << 24
POOL_TIMEOUT = 5 | 128 << 8
STALE = 21 | 131 << 8
DISCONNECT = 4 | 143 << 8
INVALIDATE_POOL = 4 | 144 << 8
CHECKED_OUT = 5 | 145 << 8
SHARED = 5 | 146 << 8
NO_CONNECTION = 4 | 147 << 8


def load(path):
    """The library, with the results of those functions that do not return an int."""
    lib = c.CDLL(path)
    for name in ('lido_pool_hooks', 'lido_conn_handle', 'lido_conn_info',
                 'lido_record_record_info'):
        getattr(lib, name).restype = c.c_void_p
        getattr(lib, name).argtypes = [c.c_void_p]
    lib.lido_pool_open_version.argtypes = [c.c_void_p, c.c_char_p, c.c_void_p, c.c_int, c.c_void_p]
    lib.lido_hooks_add.argtypes = [c.c_void_p] * 6
    lib.lido_pool_checkout_at.argtypes = [c.c_void_p, c.c_void_p, c.c_void_p, c.c_char_p,
                                          c.c_int, c.c_void_p]
    lib.lido_record_set_record_info.argtypes = [c.c_void_p] * 3
    lib.lido_record_set_record_info.restype = None
    lib.lido_conn_set_info.argtypes = [c.c_void_p] * 4
    lib.lido_conn_add_finalizer.argtypes = [c.c_void_p, FINALIZER, c.c_void_p, c.c_void_p,
                                            c.c_void_p]
    lib.lido_driver_register.argtypes = [c.c_char_p, c.c_void_p, c.c_void_p, c.c_void_p]
    lib.lido_pool_close.argtypes = [c.c_void_p, c.c_int64, c.c_void_p]
    lib.lido_pool_status.argtypes = [c.c_void_p, c.c_char_p, c.c_size_t, c.c_void_p]
    lib.lido_pool_free.argtypes = [c.c_void_p]
    lib.lido_pool_free.restype = None
    for name in ('lido_conn_checkin', 'lido_conn_invalidate', 'lido_conn_invalidate_soft',
                 'lido_conn_invalidate_pool', 'lido_pool_stats', 'lido_pool_recreate'):
        getattr(lib, name).argtypes = [c.c_void_p] * 3
    for name in ('lido_conn_detach', 'lido_pool_dispose'):
        getattr(lib, name).argtypes = [c.c_void_p] * 2
    return lib
