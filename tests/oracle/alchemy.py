# SPDX-License-Identifier: MIT
"""SQLAlchemy's pools on a driver that only writes down what it is asked for."""
import logging
import sys
import warnings

from sqlalchemy import event, exc, pool as sa_pool
from sqlalchemy.pool import base as sa_base

from side import Side
from steps import HOOKS

warnings.simplefilter('ignore')
logging.disable(logging.CRITICAL)
sys.unraisablehook = lambda what: None  # what fails in the garbage collector


class Planned(Exception):
    """An ordinary error."""


class Fatal(BaseException):
    """What no `except Exception` catches."""


ERRORS = {'E': Planned, 'D': exc.DisconnectionError, 'P': exc.InvalidatePoolError, 'F': Fatal}


def raise_planned(code):
    if code is not None:
        raise ERRORS[code]('as planned')


class Connection:
    """A driver's connection: a number."""

    def __init__(self, side, number):
        self.side, self.number = side, number

    def rollback(self):
        raise_planned(self.side.note('rollback', self.number, None))

    def commit(self):
        raise_planned(self.side.note('commit', self.number, None))

    def close(self):
        raise_planned(self.side.note('shut', self.number, None))


class Dialect(sa_base._ConnDialect):
    """Answers pings."""

    def __init__(self, side):
        self.side = side

    def do_ping(self, dbapi_connection):
        self.side.note('ping', dbapi_connection.number, None)
        self.side.pings_to_fail -= 1
        return self.side.pings_to_fail < 0


class Time:
    """Stands in the place of the module `time`."""

    clock = None

    def time(self):
        return self.clock.read_ns() / 1e9


TIME = Time()
sa_base.time = TIME


def number_of(connection):
    return None if connection is None else getattr(connection, 'number', None)


class Alchemy(Side):
    """A pool of SQLAlchemy's."""

    name = 'SQLAlchemy'

    def __init__(self, config, crew):
        super().__init__()
        self.config, self.crew = config, crew
        self.places = {}
        self.closed = set()
        self.has_leftovers = False  # a finalizer of a detached connection is left in its place
        self.pool = self.make()

    def make(self):
        config = self.config
        common = {'recycle': config.recycle, 'pre_ping': config.pre_ping,
                  'reset_on_return': {'none': None}.get(config.reset, config.reset),
                  'dialect': Dialect(self)}
        if config.kind == 'queue':
            pool = sa_pool.QueuePool(self.create, pool_size=config.pool_size,
                                     max_overflow=config.max_overflow, timeout=0,
                                     use_lifo=config.order == 'lifo', **common)
        elif config.kind == 'singleton_thread':
            pool = sa_pool.SingletonThreadPool(self.create, pool_size=config.pool_size, **common)
        else:
            kinds = {'null': sa_pool.NullPool, 'static': sa_pool.StaticPool,
                     'assertion': sa_pool.AssertionPool}
            pool = kinds[config.kind](self.create, **common)
        for name in HOOKS:
            event.listen(pool, name, getattr(self, 'on_' + name))
        return pool

    # The driver and the hooks.

    def record_number(self, record):
        if record is None:
            return None
        if 'n' not in record.record_info:
            self.records += 1
            record.record_info['n'] = self.records
        return record.record_info['n']

    def create(self, record):
        code = self.note('open', self.connections + 1, self.record_number(record))
        raise_planned(code)
        self.connections += 1
        return Connection(self, self.connections)

    def fire(self, name, connection, record):
        raise_planned(self.note(name, number_of(connection), self.record_number(record)))

    def on_first_connect(self, connection, record):
        self.fire('first_connect', connection, record)

    def on_connect(self, connection, record):
        self.fire('connect', connection, record)

    def on_checkout(self, connection, record, fairy):
        self.fire('checkout', connection, record)

    def on_checkin(self, connection, record):
        self.fire('checkin', connection, record)

    def on_reset(self, fairy, record):
        self.fire('reset', fairy.dbapi_connection, record)

    def on_invalidate(self, connection, record, error):
        self.fire('invalidate', connection, record)

    def on_soft_invalidate(self, connection, record, error):
        self.fire('soft_invalidate', connection, record)

    def on_close(self, connection, record):
        self.fire('close', connection, record)

    def on_detach(self, connection, record):
        self.fire('detach', connection, None)  # lido has none any more

    def on_close_detached(self, connection):
        self.fire('close_detached', connection, None)

    # The steps.

    def do(self, thread, task):
        TIME.clock = self.clock
        try:
            return self.crew.do(thread, task) or 'ok'
        except exc.TimeoutError:
            return 'full'
        except AssertionError as error:
            return 'out' if 'already' in str(error) else 'assertion'
        except exc.InvalidRequestError:
            return 'exhausted'
        except AttributeError:
            return 'broken'  # 1.4 trips over a detached connection that it lends again
        except tuple(ERRORS.values()) as error:
            error.__traceback__ = error.__context__ = None
            return 'hook ' + next(c for c in 'PDEF' if isinstance(error, ERRORS[c]))

    def step(self, name, *args, thread=0):
        if name == 'connect':
            return self.connect(args[0], thread)
        if name in ('dispose', 'recreate'):
            return self.do(thread, getattr(self, name))
        thread, fairy = self.places.get(args[0], (0, None))
        if fairy is None or (args[0] in self.closed and (
                name != 'close' or self.config.kind == 'singleton_thread')):
            return 'ok'  # a second close of nested ones would be another's close
        if name.startswith('close'):
            self.closed.add(args[0])
        return self.do(thread, lambda: getattr(self, name)(fairy, *args[1:]))

    def connect(self, place, thread):
        if self.is_valid(place):
            return 'taken'

        def connect():
            self.places[place] = thread, self.pool.connect()

        self.places.pop(place, None)
        self.closed.discard(place)
        return self.do(thread, connect)

    def close(self, fairy):
        fairy.close()

    def close_after_reset(self, fairy):
        if fairy.is_valid:
            fairy._close_special(transaction_reset=True)

    def invalidate(self, fairy):
        fairy.invalidate()

    def soft(self, fairy):
        if fairy.is_valid and fairy._connection_record is not None:
            fairy.invalidate(soft=True)

    def invalidate_pool(self, fairy):
        if fairy.is_valid:
            fairy._pool._invalidate(fairy)

    def detach(self, fairy):
        if fairy.is_valid:
            record = fairy._connection_record
            self.has_leftovers = record is not None and bool(record.finalize_callback)
            fairy.detach()

    def finalizer(self, fairy, fails):
        record = fairy._connection_record
        if fairy.is_valid and record is not None:
            number = number_of(fairy.dbapi_connection)

            def finalize(connection):
                self.note('finalizer', number_of(connection), None)
                raise_planned('E' if fails else None)

            record.finalize_callback.append(finalize)

    def info(self, fairy):
        if not fairy.is_valid:
            return 'ok'
        count = fairy.info.get('count', 0) + 1
        fairy.info['count'] = count
        return f'info {count}'

    def dispose(self):
        self.pool.dispose()

    def recreate(self):
        self.pool = self.pool.recreate()

    def counts(self):
        pool = self.pool
        if self.config.kind != 'queue':
            return None
        return pool.checkedin(), pool.overflow(), pool.checkedout(), pool.status()

    def is_valid(self, place):
        fairy = self.places.get(place, (0, None))[1]
        return fairy is not None and fairy.is_valid and place not in self.closed

    def end(self):
        """Forgets everything; what the garbage collector does then is nobody's business."""
        self.plans.clear()
        self.places.clear()
