/* SPDX-License-Identifier: MIT */
/*
 * One process at a time at the gate of a file, by record locks on a sidecar (txn/sidecar.h).
 *
 * The locks are POSIX's, which belong to a process: the kernel frees them when it dies, by
 * whatever, and a forked child neither has them nor keeps them alive.  (Those of an open file
 * description, and flock()'s, a child that lives on does keep.)  All rests on SQLite's own lock
 * as before: a program that knows nothing of the sidecar is in nobody's way but SQLite's.
 *
 * Who comes first.  A lock that is only tried for is got by whoever tries at the right moment,
 * and that is who has just given it away.  So there are stairs of bytes in front of the gate's:
 *
 *     come --> [8] --> [7] --> ... --> [1] --> [0] = in
 *
 * Each is held by one process, which lets go of it when it has the next, so they come in in the
 * order in which they came to the stairs.  Who finds nobody there takes all at once, and gives
 * back all but the gate.  More processes than stairs push at the first one.
 *
 * To change the process for each transaction would cost a wait each, so one that came in by the
 * stairs may come again straight to the gate until its turn (turn_ns) is over.  In between the
 * byte is free, and one that finds it so ends the turn.
 *
 * A process that is stopped on the stairs by a signal must not stop those behind it: who sees
 * the gate free for STUCK_NS goes around.  One that only waits for a processor is rarely gone
 * for so long; if it is, it loses its turn and not its place.
 *
 * It is waited for by short sleeps, as there is no wait for such a lock with a deadline, and
 * none that a token ends.
 *
 * Two gates of a process may lead to one sidecar: a database was replaced while a pool had the
 * old one.  Each gate has bytes of its own, by the inode of the database, so they have nothing
 * else in common.
 *
 * Threads: all in a file that changes belongs to who is in the gate of the process; others read
 * the counts.
 */
#include "txn/gate_file.h"
#include "base/alloc.h"
#include "txn/sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define STEP_NS  (LIDO_NS_PER_MS / 5)
#define STUCK_NS (LIDO_NS_PER_MS * 20)

/* The bytes of a gate. */
enum {
    GATE,       /* who has it is in */
    STAIRS = 8, /* how many are in front of it */
    STRIDE = 16,
};
#define FROM_THE_STREET (STAIRS + 1) /* no byte is held */

struct lido__gate_file {
    /* Constant. */
    struct lido__sidecar *sidecar;
    off_t base; /* of its bytes */
    int64_t turn_ns;

    /* Of who is in the gate of the process. */
    bool is_locked;
    const struct lido_clock *turn_clock; /* that of which turn_ends_ns tells */
    int64_t turn_ends_ns;
    lido__word waits; /* written by who is in */
    lido__word wait_ns;
};

/* --- the locks ------------------------------------------------------------------------ */

/* errno, or 0. */
static int set_lock(const struct lido__gate_file *file, short type, int from, int count)
{
    struct flock lock = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = file->base + from,
        .l_len = count,
    };
    int rc;

    do
        rc = fcntl(file->sidecar->fd, F_SETLK, &lock);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

static int lock(const struct lido__gate_file *file, int from, int count)
{
    return set_lock(file, F_WRLCK, from, count);
}

static void unlock(const struct lido__gate_file *file, int from, int count)
{
    set_lock(file, F_UNLCK, from, count);
}

static bool is_others(int why)
{
    return why == EAGAIN || why == EACCES;
}

/* Has another process the gate?  Its id; -1: it has none here, 0: nobody has it. */
static int64_t holder_of(const struct lido__gate_file *file)
{
    struct flock found = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = file->base + GATE,
        .l_len = 1,
    };

    if (fcntl(file->sidecar->fd, F_GETLK, &found) != 0 || found.l_type == F_UNLCK)
        return 0;
    return found.l_pid > 0 ? found.l_pid : -1;
}

/* --- the file ------------------------------------------------------------------------- */

int lido__gate_file_open(lido__word *slot, uint64_t inode, const char *database,
                         int64_t turn_ns, struct lido_error *err)
{
    struct lido__gate_file *file;
    int rc;

    if (lido__observe(slot) != 0)
        return LIDO_OK;
    file = lido__new(sizeof *file);
    if (file == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for the gate between processes");
    file->base = (off_t)(inode % (LIDO__SIDECAR_PROBED / STRIDE)) * STRIDE;
    file->turn_ns = turn_ns;
    rc = lido__sidecar_open(database, &file->sidecar, err);
    if (rc != LIDO_OK)
        lido__free(file);
    else if (!lido__cas(slot, 0, (uintptr_t)file)) /* another thread was faster */
        lido__gate_file_close(file);
    return rc;
}

void lido__gate_file_close(struct lido__gate_file *file)
{
    if (file == NULL)
        return;
    lido__sidecar_close(file->sidecar);
    lido__free(file);
}

/* --- in and out ----------------------------------------------------------------------- */

static void begin_turn(struct lido__gate_file *file, const struct lido_clock *clock)
{
    file->turn_clock = clock;
    file->turn_ends_ns = lido__wait_ns(clock) + file->turn_ns;
}

/* In its turn it comes again past those on the stairs. */
static bool come_again(struct lido__gate_file *file, const struct lido_clock *clock)
{
    if (file->turn_ns == 0 || file->turn_clock != clock ||
        lido__wait_ns(clock) >= file->turn_ends_ns)
        return false;
    if (lock(file, GATE, 1) == 0)
        return true;
    file->turn_ends_ns = INT64_MIN;
    return false;
}

/* errno, or 0: nobody was on the stairs, and it is in. */
static int walk_in(const struct lido__gate_file *file)
{
    const int why = lock(file, GATE, STAIRS + 1);

    if (why == 0)
        unlock(file, GATE + 1, STAIRS);
    return why;
}

/* Up as far as it goes; *stair is what it has.  errno, or 0: it is in. */
static int climb(const struct lido__gate_file *file, int *stair)
{
    while (*stair > GATE) {
        const int why = lock(file, *stair - 1, 1);

        if (why != 0)
            return why;
        if (*stair <= STAIRS)
            unlock(file, *stair, 1);
        --*stair;
    }
    return 0;
}

bool lido__gate_file_try(struct lido__gate_file *file, const struct lido_clock *clock)
{
    if (file == NULL)
        return true;
    if (come_again(file, clock)) {
        file->is_locked = true;
    } else if (walk_in(file) == 0) {
        file->is_locked = true;
        begin_turn(file, clock);
    }
    return file->is_locked;
}

/* Nobody takes the gate although it is free: past those who do not move. */
static bool go_around(const struct lido__gate_file *file, int64_t now_ns, int64_t *since_ns)
{
    if (holder_of(file) != 0) {
        *since_ns = INT64_MAX;
        return false;
    }
    if (*since_ns == INT64_MAX)
        *since_ns = now_ns;
    return now_ns - *since_ns >= STUCK_NS && lock(file, GATE, 1) == 0;
}

/* To a time that was read before: a host's clock may have moved since. */
static void sleep_until(const struct lido_clock *clock, int64_t then_ns)
{
    struct lido__parker nobody;

    lido__parker_init(&nobody);
    lido__park(&nobody, clock, then_ns);
    lido__parker_fini(&nobody);
}

/* By the stairs, from the street on. */
static int wait_on_stairs(const struct lido__gate_file *file,
                          const struct lido__gate_wait *wait)
{
    const struct lido_clock *clock = wait->who.clock;
    const int64_t deadline_ns = wait->deadline_ns;
    int64_t free_since_ns = INT64_MAX;
    int stair = FROM_THE_STREET;

    for (;;) {
        const int why = climb(file, &stair);
        const int64_t now_ns = lido__wait_ns(clock);
        int rc = LIDO_OK;

        if (why == 0 || (is_others(why) && go_around(file, now_ns, &free_since_ns)))
            return LIDO_OK;
        if (!is_others(why))
            return SQLITE_IOERR_LOCK;
        if (wait->stop != NULL)
            rc = wait->stop(wait);
        if (rc == LIDO_OK && now_ns >= deadline_ns)
            rc = SQLITE_BUSY;
        if (rc != LIDO_OK)
            return rc;
        sleep_until(clock, now_ns < deadline_ns - STEP_NS ? now_ns + STEP_NS : deadline_ns);
    }
}

int lido__gate_file_lock(struct lido__gate_file *file, const struct lido__gate_wait *wait)
{
    const struct lido_clock *clock = wait->who.clock;
    int64_t since_ns;
    int rc;

    if (lido__gate_file_try(file, clock))
        return LIDO_OK;
    since_ns = lido__wait_ns(clock);
    lido__bump(&file->waits);
    rc = wait_on_stairs(file, wait);
    if (rc == LIDO_OK) {
        unlock(file, GATE + 1, STAIRS); /* one may be left of going around */
        begin_turn(file, clock);
        file->is_locked = true;
    } else {
        unlock(file, GATE, STAIRS + 1);
    }
    lido__write(&file->wait_ns,
                lido__read(&file->wait_ns) + (uint64_t)(lido__wait_ns(clock) - since_ns));
    return rc;
}

void lido__gate_file_unlock(struct lido__gate_file *file)
{
    if (file == NULL || !file->is_locked)
        return;
    file->is_locked = false;
    unlock(file, GATE, 1);
}

void lido__gate_file_describe(const struct lido__gate_file *file, char *text, size_t size)
{
    const int64_t holder = file != NULL ? holder_of(file) : 0;

    text[0] = '\0';
    if (holder > 0)
        snprintf(text, size, "; process %lld has it", (long long)holder);
    else if (holder < 0)
        snprintf(text, size, "; another process has it");
}

void lido__gate_file_count(const struct lido__gate_file *file, uint64_t *waits,
                           uint64_t *wait_ns)
{
    *waits = lido__read(&file->waits);
    *wait_ns = lido__read(&file->wait_ns);
}
