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
    const struct lido_record *record = conn->cell;

    return record != NULL && lido__lease_is_good(record, conn->generation);
}

static bool is_mine(const struct lido_record *record)
{
    assert(record != NULL);
    return !record->pool->config.check_same_thread ||
           lido__read(&record->owner) == lido__thread();
}

/* The slot of a lease that is good, whoever's it is. */
static int find_lent(const struct lido_conn *conn, struct lido_record **out,
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

int lido__lease_use(const struct lido_conn *conn, struct lido_record **out,
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

/* The lease's slot if this thread may use it now, without a word about why not. */
static const struct lido_record *usable(const struct lido_conn *conn)
{
    if (conn == NULL || lido__is_forked() || !is_lent(conn) || !is_mine(conn->cell))
        return NULL;
    return conn->cell;
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
    if (conn == NULL || lido__is_forked() || !is_lent(conn))
        return NULL;
    return ((const struct lido_record *)conn->cell)->pool;
}

static void write_label(struct lido_record *record, const char *label)
{
    uint64_t words[LIDO__LABEL_WORDS] = { 0 };
    size_t length;

    if (label == NULL || label[0] == '\0') {
        lido__publish(&record->label[0], 0);
        return;
    }
    length = strnlen(label, sizeof words);
    if (length == sizeof words) /* too long: cut before a whole character */
        while (--length > 0 && ((unsigned char)label[length] & 0xc0) == 0x80)
            continue;
    memcpy(words, label, length);
    for (int i = 0; i < LIDO__LABEL_WORDS; i++)
        lido__publish(&record->label[i], words[i]);
}

static uint64_t begin_telling(struct lido_record *record)
{
    lido__write(&record->told, 0);
    return lido__slot_generation(lido__read(&record->word));
}

/* The same lease tells something new: in the end `told` is what it was. */
static uint64_t begin_retelling(struct lido_record *record)
{
    uint64_t generation = begin_telling(record);

    lido__publish(&record->retold, lido__read(&record->retold) + 1);
    return generation;
}

void lido__lease_tell(struct lido_record *record, const char *file, int line,
                      const char *label)
{
    uint64_t generation = begin_telling(record);

    record->is_beginning = false;
    record->has_begun = false;
    lido__publish(&record->owner, lido__thread());
    lido__publish(&record->since_ns, (uint64_t)lido__age_ns(record->pool->config.clock));
    lido__publish(&record->file, (uint64_t)(uintptr_t)file);
    lido__publish(&record->line, (uint64_t)line);
    write_label(record, label);
    lido__publish(&record->told, generation);
}

int lido_conn_hand_over(const struct lido_conn *conn, struct lido_error *err)
{
    struct lido_record *record;
    uint64_t generation;
    int rc = find_lent(conn, &record, err);

    if (rc != LIDO_OK)
        return rc;
    generation = begin_retelling(record);
    lido__publish(&record->owner, lido__thread());
    lido__publish(&record->told, generation);
    return LIDO_OK;
}

int lido_conn_set_label(const struct lido_conn *conn, const char *label,
                        struct lido_error *err)
{
    struct lido_record *record;
    uint64_t generation;
    int rc = lido__lease_use(conn, &record, err);

    if (rc != LIDO_OK)
        return rc;
    generation = begin_retelling(record);
    write_label(record, label);
    lido__publish(&record->told, generation);
    return LIDO_OK;
}
