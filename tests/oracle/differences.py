# SPDX-License-Identifier: MIT
"""Where lido means to differ from SQLAlchemy 1.4, and how exactly.

Each difference is a function that looks at one step: what was done, the events of both sides,
their results, counts and which leases are still good.  It answers True only if both sides did
precisely what it describes.  Its docstring is its name and its reason.
"""
import re

TABLE = []


class Step:
    """One step, done by both sides."""

    def __init__(self, config, step, leases_before):
        self.config, self.name, self.args = config, step[0], step[1:]
        self.leases_before = leases_before

    def done(self, traces, results, counts, valid, has_leftovers):
        self.has_leftovers = has_leftovers
        self.theirs, self.ours = traces
        self.their_result, self.our_result = results
        self.their_counts, self.our_counts = counts
        self.their_valid, self.our_valid = valid

    def same_but_events(self):
        return (self.their_result == self.our_result and self.their_counts == self.our_counts
                and self.their_valid == self.our_valid)

    def more(self):
        """The events that only we have, behind the same ones; None if these differ."""
        n = len(self.theirs)
        return self.ours[n:] if self.ours[:n] == self.theirs else None

    def theirs_ends(self, pattern):
        return bool(self.theirs) and re.fullmatch(pattern, self.theirs[-1]) is not None


def looks_like(events, *patterns):
    """True if there is one event for each pattern; one that ends in * may be missing."""
    i = 0
    for pattern in patterns:
        is_optional = pattern.endswith('*')
        pattern = pattern.rstrip('*')
        if i < len(events) and re.fullmatch(pattern + r'( c\d+)?( r\d+)?( ![EDPF])?', events[i]):
            i += 1
        elif not is_optional:
            return False
    return i == len(events)


def difference(matches):
    TABLE.append(matches)
    return matches


def explain(step):
    """The first line of the docstring of the difference that this is, or None."""
    for matches in TABLE:
        if matches(step):
            return matches.__doc__.splitlines()[0]
    return None


def is_silent(step):
    """True if both did the same, but SQLAlchemy is not what it was."""
    if step.name == 'dispose' and any(re.match(r'shut .*!F', e) for e in step.theirs):
        return True
    return step.has_leftovers or any(re.match(r'checkin .*!', e) for e in step.theirs)


def is_freed(step):
    """Our counts are theirs with one lease less, or the same if it was another pool's."""
    if step.their_counts == step.our_counts:
        return True
    idle, overflow, out = step.their_counts[:3]
    return step.our_counts[:3] in ((idle + 1, overflow, out - 1), (idle, overflow - 1, out - 1))


@difference
def refused_connection(s):
    """a new connection that a connect hook refused is closed

    SQLAlchemy leaves it to the garbage collector.
    """
    return (s.name == 'connect' and s.theirs_ends(r'(first_)?connect c\d+ r\d+ ![EDPF]')
            and s.same_but_events() and s.more() is not None
            and looks_like(s.more(), 'close', 'shut'))


@difference
def dispose_counts(s):
    """dispose() goes on counting the leases that are out

    SQLAlchemy's counter begins anew, so that more connections than the limit may be open and
    `checkedout` becomes negative later.
    """
    if s.name != 'dispose' or s.config.kind != 'queue' or s.theirs != s.ours:
        return False
    out = s.our_counts[2]
    return (out > 0 and s.their_result == s.our_result and s.their_valid == s.our_valid
            and s.our_counts[:3] == (0, s.their_counts[1] + out, out)
            and s.their_counts[0] == s.their_counts[2] == 0)


@difference
def dispose_goes_on(s):
    """dispose() closes the rest after a close hook has failed

    In SQLAlchemy the hook ends the loop, and its connection is lost.
    """
    return (s.name == 'dispose' and s.theirs_ends(r'close c\d+ r\d+ ![EDPF]')
            and s.their_result == s.our_result and s.more() is not None
            and looks_like(s.more()[:1], 'shut')
            and all(e.startswith(('close', 'shut')) for e in s.more()))


@difference
def dispose_after_shut(s):
    """dispose() closes the rest after the driver's close was fatal"""
    return (s.name == 'dispose' and s.theirs_ends(r'shut c\d+ !F')
            and s.their_result == s.our_result and s.more() is not None
            and all(e.startswith(('close', 'shut')) for e in s.more()))


@difference
def checkin_leak(s):
    """a failing checkin hook does not cost a place in the pool"""
    return (s.theirs_ends(r'checkin( c\d+)? r\d+ ![EDPF]') and s.more() is not None
            and s.their_result == s.our_result and looks_like(s.more(), 'close*', 'shut*')
            and is_freed(s))


@difference
def finalizer_leak(s):
    """a failing finalizer does not cost a place in the pool, and its connection is closed"""
    return (s.theirs_ends(r'finalizer c\d+') and s.their_result == s.our_result == 'hook E'
            and s.more() is not None
            and looks_like([e for e in s.more() if not e.startswith('finalizer')],
                           'invalidate', 'close*', 'shut', 'checkin'))


@difference
def fatal_reset_leak(s):
    """a fatal reset does not cost a place in the pool"""
    return (s.name.startswith('close') and s.their_result == s.our_result == 'hook F'
            and any(re.match(r'(reset|rollback|commit) .*!F', e) for e in s.theirs)
            and s.more() is not None and looks_like(s.more(), 'checkin', 'close*', 'shut*')
            and is_freed(s))


@difference
def close_at_checkin(s):
    """a connection is closed also if its close hook fails at a check-in"""
    return (s.theirs_ends(r'close(_detached)? c\d+( r\d+)? ![EDPF]')
            and s.their_result == s.our_result and s.name.startswith('close')
            and s.more() is not None and looks_like(s.more(), 'shut')
            and s.their_counts == s.our_counts)


@difference
def invalidate_detached(s):
    """a detached connection that is invalidated is closed

    SQLAlchemy drops it without closing it.
    """
    return (s.name in ('invalidate', 'invalidate_pool') and s.theirs == []
            and looks_like(s.ours, 'invalidate', 'close_detached*', 'shut*'))


@difference
def asks_after_reset(s):
    """a check-in asks the driver also if the caller has ended the transaction

    It costs SQLite nothing, and a caller may be wrong.
    """
    if s.name != 'close_after_reset' or s.config.reset != 'rollback':
        return False
    ours = [e for e in s.ours if not e.startswith('rollback ')]
    if any(re.match(r'rollback .*!', e) for e in s.ours):
        return looks_like(ours, 'reset', 'invalidate*', 'close_detached*', 'close*', 'shut*',
                          'checkin*')
    if ours == s.ours:
        return False
    s.ours, s.name = ours, 'close'
    return (ours == s.theirs and s.same_but_events()) or explain(s) is not None


@difference
def fatal_driver_close(s):
    """a fatal answer of the driver's close reaches the caller, and all is as if it had closed

    SQLAlchemy keeps the connection and its lease.
    """
    failed = [i for i, e in enumerate(s.theirs) if re.fullmatch(r'shut c\d+ !F', e)]
    return (bool(failed) and s.their_result == s.our_result == 'hook F'
            and s.ours[:failed[0] + 1] == s.theirs[:failed[0] + 1]
            and looks_like(s.ours[failed[0] + 1:], 'shut*', 'checkin*'))


@difference
def detached_finalizers(s):
    """finalizers of a detached connection run on it, at its check-in

    In SQLAlchemy they run on the next connection of the place that it had.
    """
    return (s.name == 'detach' and s.has_leftovers and s.theirs == s.ours
            and s.same_but_events())


@difference
def refused_keeps_finalizers(s):
    """a refused invalidation leaves the finalizers alone

    SQLAlchemy has forgotten them by then.
    """
    ours = without(s.ours, 'finalizer')
    if ours == s.ours:
        return False
    if s.our_result == 'hook E' and s.their_result == 'ok':  # one of them fails
        kept = ('invalidate', 'close', 'shut', 'checkin', 'close_detached')
        return without(ours, *kept) == without(s.theirs, *kept)
    return ours == s.theirs and s.same_but_events()


@difference
def dispose_in_use(s):
    """dispose() does not close a connection under the feet of who has it

    The check-in closes it, and who checks out before gets another.
    """
    return (s.name == 'dispose' and s.config.kind in ('assertion', 'static', 'singleton_thread')
            and any(s.leases_before) and s.our_valid == list(s.leases_before)
            and all(e.startswith(('close', 'shut')) for e in s.theirs + s.ours)
            and set(s.ours) <= set(s.theirs))


@difference
def unclean_detached(s):
    """a detached connection that does not come clean is closed

    SQLAlchemy drops it without closing it.
    """
    return (s.name.startswith('close') and s.theirs_ends(r'(reset|rollback|commit) c\d+ ![EDPF]')
            and s.more() is not None and looks_like(s.more(), 'invalidate', 'close_detached', 'shut')
            and s.same_but_events())


@difference
def overruled_at_checkout(s):
    """a hook cannot keep a connection from being closed that a checkout has given up

    SQLAlchemy then fails the checkout, and the connection goes back as if it were good.
    """
    refused = [i for i, e in enumerate(s.theirs)
               if re.match(r'(invalidate|close) c\d+ r\d+ !|shut c\d+ !F', e)]
    return (s.name == 'connect' and bool(refused) and s.their_result.startswith('hook')
            and s.ours[:refused[0] + 1] == s.theirs[:refused[0] + 1]
            and any(e.startswith('shut') for e in s.ours[refused[0] + 1:]))


@difference
def new_place_after_dispose(s):
    """an assertion pool forgets its place with dispose(), and what hung on it"""
    theirs, ours = without_places(s.theirs), without_places(s.ours)
    if any('!' in e for e in s.theirs):
        theirs = without(theirs, 'checkin', 'invalidate')
        ours = without(ours, 'checkin', 'invalidate')
    return (s.config.kind == 'assertion' and theirs == ours and s.theirs != s.ours
            and s.same_but_events() and s.ours[:1] != [] and s.ours[0].startswith('open'))


def without(events, *names):
    return [e for e in events if e.split()[0] not in names]


def without_places(events):
    return [re.sub(r' r\d+', '', e) for e in events]


def others(s):
    """True if leases were out before the step, not counting the one that it is about."""
    return any(valid and place != (s.args[0] if s.args else None)
               for place, valid in enumerate(s.leases_before))


@difference
def shared_checkin(s):
    """the checkin hook of a shared connection runs when its last lease ends

    SQLAlchemy runs it when the first one does.
    """
    return (s.config.kind == 'static' and s.name.startswith('close') and others(s)
            and s.our_result == 'ok' and without(s.theirs, 'checkin', 'finalizer') == s.ours)


@difference
def shared_reset_fails(s):
    """a shared connection that does not come clean is closed when its last lease ends"""
    return (s.config.kind == 'static' and s.name.startswith('close') and others(s)
            and any(re.match(r'(reset|rollback|commit) .*!', e) for e in s.ours)
            and s.theirs[:1] == s.ours[:1] and looks_like(s.ours, 'reset', 'rollback*', 'commit*')
            and s.our_result == ('hook F' if any(e.endswith('!F') for e in s.ours) else 'ok'))


@difference
def shared_ping(s):
    """who joins a shared connection does not ping it"""
    return (s.config.kind == 'static' and s.name == 'connect' and others(s)
            and s.theirs[0].startswith('ping') and looks_like(s.ours, 'checkout')
            and (s.theirs[1:] == s.ours or s.theirs[1].startswith('invalidate')
                 or s.ours[0].endswith(tuple('EDPF'))))


@difference
def shared_refusal(s):
    """a checkout hook that refuses one lease of a shared connection leaves the others alone"""
    return (s.config.kind == 'static' and s.name == 'connect' and others(s)
            and len(s.ours) == 1 and re.match(r'checkout .*!', s.ours[0]) is not None
            and s.theirs[:1] == s.ours and s.our_result.startswith('hook'))


@difference
def shared_called_dead(s):
    """a checkout hook that calls a shared connection dead leaves it to those who have it

    It gets another, and the last of the others closes the old one.
    """
    if s.config.kind != 'static' or s.name != 'connect' or not others(s):
        return False
    dead = re.fullmatch(r'checkout (c\d+) r\d+ ![DP]', (s.ours or [''])[0])
    theirs = without(s.theirs, 'ping')
    return (dead is not None and (s.ours[:2] == theirs[:2] or theirs != s.theirs)
            and looks_like(s.ours[1:2], 'invalidate')
            and not any(e.startswith((f'close {dead[1]}', f'shut {dead[1]}')) for e in s.ours)
            and (s.ours[2:] == [] or s.ours[2].startswith('open')))


@difference
def shared_too_old(s):
    """a shared connection that is too old is not closed under those who have it

    The next checkout gets another, and the last lease closes the old one.
    """
    return (s.config.kind == 'static' and s.name == 'connect' and others(s)
            and looks_like(s.theirs[:2], 'close', 'shut') and s.their_result == s.our_result
            and (without_places(s.theirs[2:]) == without_places(s.ours)
                 or without(without_places(s.theirs[2:]), 'checkin', 'invalidate')
                 == without(without_places(s.ours), 'checkin', 'invalidate')))


@difference
def shared_too_old_refused(s):
    """a close hook is not asked when a shared connection that is too old is left to others"""
    return (s.config.kind == 'static' and s.name == 'connect' and others(s)
            and re.match(r'close .*!|shut .*!', s.theirs[0 if '!' in s.theirs[0] else 1]) is not None
            and looks_like(s.ours[:1], 'open'))


@difference
def shared_invalidate(s):
    """a shared connection that is invalidated is closed when its last lease ends"""
    return (s.config.kind == 'static' and s.name in ('invalidate', 'invalidate_pool')
            and others(s) and s.ours[:1] == s.theirs[:1]
            and looks_like(s.ours[1:], 'reset', 'rollback*', 'commit*'))


@difference
def shared_detach(s):
    """a connection that others share cannot be detached"""
    return (s.config.kind == 'static' and s.name == 'detach' and others(s)
            and s.our_result == 'shared' and s.ours == [])


@difference
def replaced_static(s):
    """a static pool's connection is closed when it is replaced, and keeps its place

    SQLAlchemy makes a new place, and leaves the old connection to the garbage collector.
    """
    ours = without_places(s.ours)
    if looks_like(s.ours[:2], 'close', 'shut'):
        ours = ours[2:]
    return (s.config.kind == 'static' and s.name == 'connect' and s.ours != s.theirs
            and (without_places(s.theirs) == ours
                 or re.match(r'(close|shut) .*!', (s.ours + [''])[0]) is not None
                 or re.match(r'shut .*!', (s.ours + ['', ''])[1]) is not None
                 or any('!' in e for e in s.ours)
                 and without(without_places(s.theirs), 'checkin')
                 == without(ours, 'checkin', 'close', 'shut', 'invalidate')))


@difference
def shared_dispose(s):
    """what was out at dispose() is closed at its check-in"""
    return (s.config.kind in ('static', 'singleton_thread', 'assertion')
            and s.name.startswith('close') and looks_like(s.more() or [], 'close', 'shut'))


@difference
def connect_after_detach(s):
    """a checkout after a detach in the same thread gets another connection

    So does SQLAlchemy 2; 1.4 lends the detached one.
    """
    return (s.config.kind == 'singleton_thread' and s.name == 'connect' and s.theirs == []
            and s.their_result in ('ok', 'broken', 'exhausted')
            and s.ours[:1] != [] and s.ours[0].startswith('open'))


@difference
def evicted_in_use(s):
    """a thread that comes new does not have another's connection closed

    SQLAlchemy closes any one of them, also one in use.
    """
    opened = {e.split()[1] for e in s.theirs if e.startswith('open')}
    evicted = [e for e in s.theirs if e.startswith(('close', 'shut'))
               and e.split()[1] not in opened]
    return (s.config.kind == 'singleton_thread' and s.name == 'connect' and evicted != []
            and ([e for e in s.theirs if e not in evicted] == s.ours
                 or '!' in evicted[-1] and s.ours[:1] == s.theirs[:1]))


@difference
def idle_surplus(s):
    """idle connections of threads beyond pool_size are closed at a check-in, oldest first"""
    return (s.config.kind == 'singleton_thread' and s.name != 'connect'
            and s.ours != s.theirs and without(s.ours, 'close', 'shut')
            == without(s.theirs, 'close', 'shut'))
