/* SPDX-License-Identifier: MIT */
/*
 * A lease in use: is it still good, is this its thread, and who has it.
 *
 * Threads: any thread may ask; the answer for a lease of another thread is an error unless
 * the pool was opened with check_same_thread=0.
 */
#include "pool/pool.h"

#include <string.h>

static int fail_stale(const struct lido_conn *conn, struct lido_error *err)
{
    return lido_fail(err, LIDO_STALE,
                     conn->cell == NULL
                         ? "the lease is empty: not checked out, or checked in"
                         : "the lease has ended");
}

static bool is_lent(const struct lido_conn *conn)
{
    const struct lido__cell *cell = conn->cell;

    return cell != NULL && lido__lease_is_good(cell, conn->generation);
}

static const lido_pool *pool_of(const struct lido__cell *cell)
{
    return lido__cell_record(cell)->pool;
}

static bool is_mine(const struct lido__cell *cell)
{
    assert(cell != NULL);
    return !pool_of(cell)->config.check_same_thread ||
           lido__read(&cell->owner) == lido__thread();
}

/* The cell of a lease that is good, whoever's it is. */
static int find_lent(const struct lido_conn *conn, struct lido__cell **out,
                     struct lido_error *err)
{
    *out = NULL;
    if (conn == NULL)
        return lido_fail(err, SQLITE_MISUSE, "no lease was given");
    if (lido__is_forked())
        return lido__fail_forked(err);
    if (!is_lent(conn))
        return fail_stale(conn, err);
    *out = conn->cell;
    return LIDO_OK;
}

int lido__lease_use(const struct lido_conn *conn, struct lido__cell **out,
                    struct lido_error *err)
{
    int rc = find_lent(conn, out, err);

    if (rc != LIDO_OK || is_mine(*out))
        return rc;
    rc =
        lido_fail(err, LIDO_WRONG_THREAD,
                  "thread %llu checked this connection out, not this one; hand it over, or "
                  "open the pool with check_same_thread=0",
                  (unsigned long long)lido__thread_id(lido__read(&(*out)->owner)));
    *out = NULL;
    return rc;
}

/* What SQLite is in would be gone when it goes on. */
int lido__lease_use_to_end(const struct lido_conn *conn, struct lido__cell **out,
                           struct lido_error *err)
{
    int rc = lido__lease_use(conn, out, err);

    if (rc != LIDO_OK)
        return rc;
    assert(*out != NULL);
    if (lido__read(&(*out)->stepping) == 0)
        return LIDO_OK;
    *out = NULL;
    return lido_fail(err, SQLITE_MISUSE,
                     "a function that a statement calls may not end the lease");
}

/* The lease's record if this thread may use it now, without a word about why not. */
static const struct lido_record *usable(const struct lido_conn *conn)
{
    if (conn == NULL || lido__is_forked() || !is_lent(conn) || !is_mine(conn->cell))
        return NULL;
    return lido__cell_record(conn->cell);
}

/* A function of its own, for which nearly every call would save registers in vain. */
static __attribute__((noinline)) int use_or_explain(const struct lido_conn *conn,
                                                    struct lido__cell **out,
                                                    struct lido_error *err)
{
    int rc = lido__lease_use(conn, out, err);

    if (rc != LIDO_OK || lido__cell_record(*out)->handle != NULL)
        return rc;
    *out = NULL;
    return lido_fail(err, LIDO_NO_CONNECTION,
                     "the lease has no connection any more: it was invalidated or closed");
}

int lido__lease_use_connected(const struct lido_conn *conn, struct lido__cell **out,
                              struct lido_error *err)
{
    const struct lido_record *record = usable(conn);

    if (record == NULL || record->handle == NULL)
        return use_or_explain(conn, out, err);
    *out = conn->cell;
    return LIDO_OK;
}

void *lido_conn_handle(const struct lido_conn *conn)
{
    const struct lido_record *record = usable(conn);

    return record != NULL ? record->handle : NULL;
}

sqlite3 *lido_conn_sqlite(const struct lido_conn *conn)
{
    const struct lido_record *record = usable(conn);

    if (record == NULL ||
        (record->pool->config.driver.table->capabilities & LIDO_DRIVER_IS_SQLITE) == 0)
        return NULL;
    return record->handle;
}

lido_pool *lido_conn_pool(const struct lido_conn *conn)
{
    lido_pool *pool;

    if (conn == NULL || lido__is_forked() || !is_lent(conn))
        return NULL;
    pool = lido__cell_record(conn->cell)->pool;
    return is_lent(conn) ? pool : NULL; /* any thread asks: it may have ended meanwhile */
}

static void write_label(struct lido__cell *cell, const char *label)
{
    uint64_t words[LIDO__LABEL_WORDS] = { 0 };
    size_t length;

    if (label == NULL || label[0] == '\0') {
        lido__publish(&cell->label[0], 0);
        return;
    }
    length = strnlen(label, sizeof words);
    if (length == sizeof words) /* too long: cut before a whole character */
        while (--length > 0 && ((unsigned char)label[length] & 0xc0) == 0x80)
            continue;
    memcpy(words, label, length);
    for (int i = 0; i < LIDO__LABEL_WORDS; i++)
        lido__publish(&cell->label[i], words[i]);
}

static uint64_t begin_telling(struct lido__cell *cell)
{
    lido__write(&cell->told, 0);
    return lido__slot_generation(lido__read(&cell->word));
}

/* The same lease tells something new: in the end `told` is what it was. */
static uint64_t begin_retelling(struct lido__cell *cell)
{
    uint64_t generation = begin_telling(cell);

    lido__publish(&cell->retold, lido__read(&cell->retold) + 1);
    return generation;
}

int64_t lido__lease_tell(struct lido__cell *cell, const char *file, int line,
                         const char *label)
{
    uint64_t generation = begin_telling(cell);
    int64_t now_ns = lido__age_ns(pool_of(cell)->config.clock);

    cell->is_beginning = false;
    cell->has_begun = false;
    cell->is_autocommit = pool_of(cell)->config.is_autocommit;
    cell->has_isolation = false;
    if (cell == &lido__cell_record(cell)->own)
        lido__write(&lido__cell_record(cell)->savepoints, 0);
    lido__write(&cell->stepping, 0);
    cell->is_ending = cell->was_cancelled = cell->has_cancel = false;
    cell->has_limit = cell->has_own_limit = cell->has_timed_out = false;
    cell->has_deadline = cell->comes_again = cell->is_asking = false;
    cell->has_progress = false;
    lido__publish(&cell->owner, lido__thread());
    lido__publish(&cell->since_ns, (uint64_t)now_ns);
    lido__publish(&cell->file, (uint64_t)(uintptr_t)file);
    lido__publish(&cell->line, (uint64_t)line);
    write_label(cell, label);
    lido__publish(&cell->told, generation);
    return now_ns;
}

static void tell_owner(struct lido__cell *cell)
{
    uint64_t generation = begin_retelling(cell);

    lido__publish(&cell->owner, lido__thread());
    lido__publish(&cell->told, generation);
}

/* A record that is a thread's own goes with the lease, if it is the only one. */
static bool take_record_locked(const lido_pool *pool, const struct lido__cell *cell)
    LIDO_TSA(requires_capability(pool->lock))
{
    struct lido_record *record = lido__cell_record(cell);

    if (pool->sharing != LIDO__SHARE_THREAD || cell == &record->own)
        return true;
    if (record->leases != 1 && record->thread != lido__thread())
        return false;
    record->thread = lido__thread();
    return true;
}

/* Under the lock: one whose thread has ended may be reclaimed at the same moment. */
int lido_conn_hand_over(const struct lido_conn *conn, struct lido_error *err)
{
    struct lido__cell *cell;
    bool is_good, is_alone = false, is_bound;
    lido_pool *pool;
    int rc = find_lent(conn, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    pool = lido__cell_record(cell)->pool;
    lido__mutex_lock(&pool->lock);
    is_good = is_lent(conn) && lido__cell_record(cell)->pool == pool;
    if (is_good)
        is_alone = take_record_locked(pool, cell);
    if (is_alone)
        tell_owner(cell);
    is_bound = pool->config.kind->binds;
    lido__mutex_unlock(&pool->lock);
    if (!is_good)
        return fail_stale(conn, err);
    if (!is_alone)
        return lido_fail(err, LIDO_SHARED,
                         "other leases of the same thread share the connection");
    if (is_bound)
        lido__threads_watch_self();
    return LIDO_OK;
}

int lido_conn_set_label(const struct lido_conn *conn, const char *label,
                        struct lido_error *err)
{
    struct lido__cell *cell;
    uint64_t generation;
    int rc = lido__lease_use(conn, &cell, err);

    if (rc != LIDO_OK)
        return rc;
    generation = begin_retelling(cell);
    write_label(cell, label);
    lido__publish(&cell->told, generation);
    return LIDO_OK;
}
