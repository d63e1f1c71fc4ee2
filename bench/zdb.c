/* SPDX-License-Identifier: MIT */
/*
 * libzdb's pool, for comparison: ConnectionPool_getConnection() and Connection_close().
 *
 * libzdb is under GPL-3, lido is not: only this program links it, and only where the build
 * was told to or found it (option `zdb`), so a lido-bench with it may be handed on under
 * GPL-3 only.  Nothing of lido needs it.
 *
 * Threads: as queue.c.
 */
#include "subject.h"

#ifdef HAVE_ZDB

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zdb.h>

struct zdb {
    URL_T url;
    ConnectionPool_T pool;
};

static int work(void *ctx, unsigned thread, uint64_t iterations, struct lido_error *err)
{
    struct zdb *zdb = ctx;

    (void)thread;
    for (; iterations > 0; iterations--) {
        Connection_T connection = ConnectionPool_getConnection(zdb->pool);

        if (connection == NULL)
            return lido_fail(err, SQLITE_ERROR, "libzdb gave no connection");
        keep(connection);
        Connection_close(connection);
    }
    return LIDO_OK;
}

static void close_zdb(void *ctx)
{
    struct zdb *zdb = ctx;

    ConnectionPool_stop(zdb->pool);
    ConnectionPool_free(&zdb->pool);
    URL_free(&zdb->url);
    free(zdb);
}

/* libzdb answers a failure by a longjmp; it goes no further than here. */
static int start(struct zdb *zdb, struct lido_error *err)
{
    volatile int rc = LIDO_OK;

    TRY
    {
        ConnectionPool_start(zdb->pool);
    }
    ELSE
    {
        rc = lido_fail(err, SQLITE_ERROR, "libzdb: %s", Exception_frame.message);
    }
    END_TRY;
    return rc;
}

int subject_open_zdb(struct subject *out, const char *file_url, struct lido_error *err)
{
    struct zdb *zdb = calloc(1, sizeof *zdb);
    char *url = sqlite3_mprintf("sqlite://%s", file_url);
    int rc;

    *out = (struct subject){ .name = "libzdb" };
    if (zdb != NULL && url != NULL)
        zdb->url = URL_new(url);
    sqlite3_free(url);
    if (zdb == NULL || zdb->url == NULL) {
        free(zdb);
        return lido_fail(err, SQLITE_ERROR, "libzdb did not understand the file's URL");
    }
    zdb->pool = ConnectionPool_new(zdb->url);
    ConnectionPool_setInitialConnections(zdb->pool, MAX_THREADS);
    ConnectionPool_setMaxConnections(zdb->pool, MAX_THREADS);
    rc = start(zdb, err);
    if (rc != LIDO_OK) {
        ConnectionPool_free(&zdb->pool);
        URL_free(&zdb->url);
        free(zdb);
        return rc;
    }
    out->ctx = zdb;
    out->work = work;
    out->close = close_zdb;
    return LIDO_OK;
}

const char *subject_zdb_version(void)
{
    static char version[32];

    /* "libzdb/3.1 Copyright ...": the first word. */
    if (version[0] == '\0')
        snprintf(version, sizeof version, "%.*s",
                 (int)strcspn(ConnectionPool_version(), " "), ConnectionPool_version());
    return version;
}

#else

int subject_open_zdb(struct subject *out, const char *file_url, struct lido_error *err)
{
    (void)file_url;
    *out = (struct subject){ .name = "libzdb" };
    return lido_fail(err, LIDO_NOT_FOUND, "this lido-bench was built without libzdb");
}

const char *subject_zdb_version(void)
{
    return NULL;
}

#endif
