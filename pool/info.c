/* SPDX-License-Identifier: MIT */
/*
 * What the host hangs on a connection: two pointers, and finalizers.
 *
 * `info` is dropped at the next reconnect, `record_info` when the slot goes back to capacity.
 * Finalizers run once at the next check-in, the last added first, and are dropped with the
 * connection.
 *
 * Threads: the holder's; where leases share a record several threads have it, so each change
 * is made under the pool's lock.  No callback of the host's runs under it.
 */
#include "base/alloc.h"
#include "pool/pool.h"

struct lido__finalizer {
    lido_finalizer_fn run;
    void *ctx;
    void (*destroy)(void *ctx);
    struct lido__finalizer *next;
};

void lido__info_drop(struct lido__info *info)
{
    struct lido__info old = *info;

    *info = (struct lido__info){ NULL, NULL };
    lido__assert_unlocked();
    if (old.destroy != NULL)
        old.destroy(old.data);
}

void lido__info_set(lido_pool *pool, struct lido__info *place, void *info,
                    void (*destroy)(void *info))
{
    struct lido__info old = { info, destroy };

    if (pool != NULL) {
        lido__mutex_lock(&pool->lock);
        old = *place;
        *place = (struct lido__info){ info, destroy };
        lido__mutex_unlock(&pool->lock);
    }
    lido__info_drop(&old);
}

void *lido__info_get(lido_pool *pool, const struct lido__info *place)
{
    void *data;

    if (pool->sharing == LIDO__SHARE_NONE)
        return place->data;
    lido__mutex_lock(&pool->lock);
    data = place->data;
    lido__mutex_unlock(&pool->lock);
    return data;
}

int lido_conn_set_info(const struct lido_conn *conn, void *info,
                       void (*destroy)(void *info), struct lido_error *err)
{
    struct lido__cell *cell;
    int rc = lido__lease_use(conn, &cell, err);
    struct lido_record *record = rc == LIDO_OK ? lido__cell_record(cell) : NULL;

    lido__info_set(record != NULL ? record->pool : NULL,
                   record != NULL ? &record->info : NULL, info, destroy);
    return rc;
}

int lido_conn_set_record_info(const struct lido_conn *conn, void *info,
                              void (*destroy)(void *info), struct lido_error *err)
{
    struct lido_record *record = lido_conn_record(conn);
    struct lido__cell *cell;
    int rc = lido__lease_use(conn, &cell, err);

    if (rc == LIDO_OK && record == NULL)
        rc = lido_fail(err, SQLITE_MISUSE, "a detached connection has no record");
    lido__info_set(record != NULL ? record->pool : NULL,
                   record != NULL ? &record->record_info : NULL, info, destroy);
    return rc;
}

void *lido_conn_info(const struct lido_conn *conn)
{
    struct lido__cell *cell;
    const struct lido_record *record;

    if (lido__lease_use(conn, &cell, NULL) != LIDO_OK)
        return NULL;
    record = lido__cell_record(cell);
    return lido__info_get(record->pool, &record->info);
}

void *lido_conn_record_info(const struct lido_conn *conn)
{
    lido_record *record = lido_conn_record(conn);

    return record != NULL ? lido__info_get(record->pool, &record->record_info) : NULL;
}

static void end(struct lido__finalizer *finalizer)
{
    lido__assert_unlocked();
    if (finalizer->destroy != NULL)
        finalizer->destroy(finalizer->ctx);
    lido__free(finalizer);
}

int lido_conn_add_finalizer(const struct lido_conn *conn, lido_finalizer_fn finalizer,
                            void *ctx, void (*destroy)(void *ctx), struct lido_error *err)
{
    struct lido__finalizer *added = NULL;
    struct lido_record *record;
    struct lido__cell *cell;
    int rc = lido__lease_use_connected(conn, &cell, err);

    if (rc == LIDO_OK && finalizer == NULL)
        rc = lido_fail(err, SQLITE_MISUSE, "no finalizer was given");
    if (rc == LIDO_OK) {
        added = lido__new(sizeof *added);
        if (added == NULL)
            rc = lido_fail(err, SQLITE_NOMEM, "out of memory for a finalizer");
    }
    if (rc != LIDO_OK || added == NULL) {
        if (destroy != NULL)
            destroy(ctx);
        return rc;
    }
    record = lido__cell_record(cell);
    lido__mutex_lock(&record->pool->lock);
    *added = (struct lido__finalizer){ finalizer, ctx, destroy, record->finalizers };
    record->finalizers = added;
    lido__mutex_unlock(&record->pool->lock);
    return LIDO_OK;
}

int lido__finalizers_run(struct lido_record *record, struct lido_error *err)
{
    struct lido__finalizer *finalizer;
    int rc = LIDO_OK;

    while (record->handle != NULL && (finalizer = record->finalizers) != NULL) {
        struct lido_error story = LIDO_ERROR_INIT;
        int failed;

        record->finalizers = finalizer->next;
        lido__assert_unlocked();
        failed = finalizer->run(finalizer->ctx, record->handle, &story);
        end(finalizer);
        if (failed == LIDO_OK || rc != LIDO_OK)
            continue;
        rc = failed;
        if (((story.code ^ rc) & ~LIDO_FATAL) != 0 || story.text[0] == '\0')
            lido_fail(err, rc, "a finalizer answered %s", lido_status_name(rc));
        else if (err != NULL)
            *err = story, err->code = rc;
    }
    return rc;
}

void lido__finalizers_drop(struct lido_record *record)
{
    struct lido__finalizer *finalizer;

    while ((finalizer = record->finalizers) != NULL) {
        record->finalizers = finalizer->next;
        end(finalizer);
    }
}
