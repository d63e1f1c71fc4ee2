/* SPDX-License-Identifier: MIT */
#ifndef LIDO_GATE_H
#define LIDO_GATE_H

#include <lido/pool.h>
#include <lido/status.h>

/*
 * The write gate: who writes a database file next.
 *
 * SQLite lets one connection write at a time, and whoever comes meanwhile sleeps and tries
 * again: under load some threads are overtaken for seconds.  lido puts those of one process
 * into a line.  There is one gate for each file, found by device and inode when a connection is
 * opened, and all pools on the file share it; databases in memory, those that are only read,
 * and drivers other than SQLite's have none.
 *
 * A begin in the mode LIDO_IMMEDIATE or LIDO_EXCLUSIVE enters the gate before its begin hooks
 * run, or after them if a hook raised the mode, and leaves it when the transaction ends, by
 * whatever: commit, rollback, check-in, the connection's closing.  (One that is ended on the
 * raw handle leaves at the lease's next lido_txn_commit() or lido_txn_rollback(), or at its
 * check-in.)  A statement by lido's calls that writes with no transaction open enters for
 * itself; one that is the first to write in a transaction that began otherwise, for the rest of
 * that.  The wait for the gate and then for the lock, which another process may have, is one,
 * up to the pool's `timeout`; past it the answer is SQLITE_BUSY, and says who is in.
 *
 * Who is in goes on until it leaves, and may come again at once, until the one that waits at
 * the head has waited for `gate_aging_us`: nobody who comes then goes before it.  With 0 the
 * line is strict.  Before that time those of a higher priority go first.
 *
 * lido_pool_run() in such a mode waits for the gate before it has a connection.  On a queue
 * pool it then has the pool's writer, one connection beside `pool_size`, which checkouts never
 * get (`writer` in struct lido_pool_stats): it is opened at the first such run after another
 * connection was, and keeps its page cache, which a commit by another connection would make
 * worthless.  Where the writer is in use, the run checks a connection out as others do.
 *
 * Only a lease that has not read or written in a transaction waits.  One that has tries the
 * gate once and else goes on without: that is counted as ungated, and SQLite says what becomes
 * of it.  A deferred run that would go on so is told SQLITE_BUSY instead, and comes again as
 * LIDO_IMMEDIATE, by the gate: counted as an upgrade.
 *
 * A begin hook that issues BEGIN IMMEDIATE on the raw handle and meets the lock waits in the
 * line as well, from within SQLite's busy handler; and where hooks have taken the lock so in a
 * begin that did not ask for it, the next such begin of the pool (not a LIDO_READ) enters
 * before them.  Other raw SQL that waits for the lock is woken by who leaves, and is in no
 * line.
 *
 * IMMEDIATE locks attached files too (with SQLite from 3.39 on lido can see them): their gates
 * are entered in the order of device and inode, so that no two wait for each other.
 *
 * A thread that would wait for a gate that another lease of its own is in is told at once,
 * LIDO_DEADLOCK, if the pool knows the threads of its leases (check_same_thread).  Who is in
 * may also wait for a connection, and who waits here has one: threads may wait in a ring,
 * through gates and pools.  The one that would close it is told at once, LIDO_DEADLOCK, at its
 * begin or its checkout; the others get on with what it gives up.  That is said only if all are
 * known, and wait so.  Where one is awake, waits for something else, or shares its lease with
 * other threads, the wait goes on to its time.
 *
 * With gate=process the line is one with other processes that say so too.  Whoever is in then
 * takes a lock for its process on `<database>-gate`, a file beside the database, with its owner
 * and its mode, that stays empty and is never removed.  Processes come in in the order in which
 * they came to wait (the first eight of them), and each may come again for `gate_aging_us`; all
 * is one wait with one deadline.  The lock goes with its process, also if that is killed, and a
 * forked child has none.  A process that does not say so is in no line: it is as safe, and as
 * unfair, as without.  On a network's file system, on FUSE and 9P, where files have no locks,
 * or where the file cannot be made, opening a connection fails with SQLITE_CANTOPEN, and so
 * does a begin if it is the file of one that was attached.  If pools of one process differ,
 * the gate is one between processes as soon as one of them says so.
 */

#ifdef __cplusplus
extern "C" {
#endif

#define LIDO_GATE_SHOWN 8

/* Who of those that wait goes first; after `gate_aging_us` it is who came first. */
#define LIDO_GATE_LOW    (-1)
#define LIDO_GATE_NORMAL 0
#define LIDO_GATE_HIGH   1

/* One that waits. */
struct lido_gate_waiter {
    int64_t waited_ns;
    int priority;             /* LIDO_GATE_... */
    struct lido_holder lease; /* its thread is 0 if it was being told anew */
};

/* Start from LIDO_GATE_STATS_INIT.  The counts are since a pool of this process first had a
   connection to the file, and of all pools on it. */
struct lido_gate_stats {
    size_t size; /* sizeof this struct */
    int has_gate; /* 0: all below is 0.  The file's to which the youngest connection leads. */

    int is_held;
    int64_t held_ns;           /* who is in has been for so long */
    struct lido_holder holder; /* its lease; thread 0: it has ended, and others share its
                                  connection and have the transaction */
    char sql[64];              /* the beginning of what it ran last by lido's calls */

    int64_t waiting;
    int shown;                                        /* of these: */
    struct lido_gate_waiter waiters[LIDO_GATE_SHOWN]; /* in order of arrival */

    uint64_t entered;
    uint64_t waited;      /* had to wait, also in vain */
    uint64_t handed_over; /* had waited for gate_aging_us, and were given it by who left */
    uint64_t timeouts;
    uint64_t stopped;   /* cancelled while they waited, or over their time limit */
    uint64_t deadlocks; /* LIDO_DEADLOCK */
    uint64_t ungated;   /* could not wait, and went on without */
    uint64_t
        upgrades; /* deferred runs that met another writer, and came again by the gate */
    uint64_t wait_ns; /* of all together, and of the longest */
    uint64_t max_wait_ns;

    int is_process; /* the line is one with other processes: a pool said gate=process */
    uint64_t process_waits; /* had to wait for them, also in vain; for how long in all */
    uint64_t process_wait_ns;
};
#define LIDO_GATE_STATS_INIT                                                               \
    {                                                                                      \
        sizeof(struct lido_gate_stats), 0, 0, 0, { 0, 0, 0, 0, NULL, 0, { 0 }, 0 }, { 0 }, \
            0, 0, { { 0, 0, { 0, 0, 0, 0, NULL, 0, { 0 }, 0 } } }, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, 0, 0, 0                                                                  \
    }

/*
 * What goes on at the gate of the pool's file, at one moment: fills *stats up to stats->size
 * bytes.
 *
 * Threads:   any.
 * Fails:     SQLITE_MISUSE (no pool, or a struct of no size of its own), LIDO_FORKED.
 */
LIDO_API int lido_gate_stats(lido_pool *pool, struct lido_gate_stats *stats,
                             struct lido_error *err);

#ifdef __cplusplus
}
#endif
#endif
