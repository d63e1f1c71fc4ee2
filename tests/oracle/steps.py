# SPDX-License-Identifier: MIT
"""What is done: a configuration of a pool, and a random sequence of steps on it.

A step is a tuple, its name first.  Leases stand in a few numbered places; a step on an empty
place, or on a lease that has ended, is done all the same, for nothing may happen then.
"""
import random
from dataclasses import dataclass

PLACES = 4

# Hooks, and the driver's calls, that may be made to fail.
HOOKS = ('first_connect', 'connect', 'checkout', 'checkin', 'reset', 'invalidate',
         'soft_invalidate', 'close', 'detach', 'close_detached')
DRIVER = ('open', 'rollback', 'commit', 'shut')

# How a hook fails: an error, a dead connection, all of them dead, something fatal.
CODES = 'EDPF'


@dataclass(frozen=True)
class Config:
    """One pool."""
    kind: str
    order: str = 'fifo'
    pool_size: int = 1
    max_overflow: int = 0
    reset: str = 'rollback'
    recycle: int = -1
    pre_ping: bool = False
    threads: int = 1


def configs():
    """Every kind, order, reset style and overflow, each with its neighbours."""
    found = []
    for reset in ('rollback', 'commit', 'none'):
        for recycle, pre_ping in ((-1, False), (5, False), (-1, True), (5, True)):
            common = {'reset': reset, 'recycle': recycle, 'pre_ping': pre_ping}
            for threads in (1, 3):
                found.append(Config('null', threads=threads, **common))
                found.append(Config('singleton_thread', pool_size=threads, threads=threads,
                                    **common))
                found.append(Config('assertion', threads=threads, **common))
                found.append(Config('static', threads=threads, **common))
            for order in ('fifo', 'lifo'):
                for size, overflow in ((1, 0), (1, 1), (2, 1), (3, -1), (0, 2), (0, -1), (2, 0)):
                    found.append(Config('queue', order, size, overflow, threads=2, **common))
            found.append(Config('queue', 'any', 1, 0, threads=2, **common))
        for pre_ping in (False, True):
            for size in (1, 2):
                found.append(Config('singleton_thread', pool_size=size, threads=3, reset=reset,
                                    pre_ping=pre_ping))
    return found


def choose(rng, config):
    """One step."""
    place = rng.randrange(PLACES)
    roll = rng.random()
    if roll < 0.30:
        return ('connect', place)
    if roll < 0.52:
        return ('close', place)
    if roll < 0.57:
        return ('invalidate', place)
    if roll < 0.61:
        return ('soft', place)
    if roll < 0.64:
        return ('invalidate_pool', place)
    if roll < 0.68:
        return ('detach', place)
    if roll < 0.70:
        return ('dispose',)
    if roll < 0.71:
        return ('recreate',)
    if roll < 0.83:
        return ('fail', rng.choice(HOOKS + DRIVER), rng.randrange(1, 3), rng.choice(CODES),
                rng.choice((1, 1, 1, 2, 3)))
    if roll < 0.86:
        return ('ping_fails', rng.randrange(1, 3))
    if roll < 0.91:
        return ('clock', rng.choice((2, 7)))
    if roll < 0.94:
        return ('thread', rng.randrange(config.threads))
    if roll < 0.97:
        return ('finalizer', place, rng.random() < 0.3)
    if roll < 0.985:
        return ('info', place)
    return ('close_after_reset', place)


def generate(seed, n_steps, kinds=None):
    """The configuration and the steps of a seed."""
    rng = random.Random(seed)
    choice = [c for c in configs() if kinds is None or c.kind in kinds]
    config = choice[seed % len(choice)]
    return config, [choose(rng, config) for _ in range(n_steps)]
