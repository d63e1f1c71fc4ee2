/* SPDX-License-Identifier: MIT */
/*
 * A driver of the host's own: SQLite's with another connect.
 *
 * The table of lido_driver_sqlite() is copied and its connect replaced by one that calls
 * it, counts, and gives each connection a temporary table, before any hook sees it.  (Here
 * is also the place for a key that must be the first thing a connection hears.)  The table
 * is registered as "counting" and used by sqlite+counting:///...
 *
 *     own_driver [FILE]     (a file in a temporary directory, which goes with it)
 *
 * Answers 0 only if the driver was asked for as many connections as the pool says it
 * opened, and each had its temporary table.
 *
 * Threads: one; the driver itself may be called from any.
 */
#include <lido/lido.h>
#include <lido/sys/driver.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* lido_driver_sqlite()'s functions take NULL for ctx, so a copy of its table is registered
   with NULL too, and what the driver must remember stands here. */
static atomic_uint connects;

static int connect_counting(void *ctx, const struct lido_connect *how, lido_record *record,
                            void **handle, struct lido_error *err)
{
    const struct lido_driver *sqlite = lido_driver_sqlite();
    int rc = sqlite->connect(ctx, how, record, handle, err);

    if (rc != LIDO_OK)
        return rc;
    rc = sqlite3_exec(*handle, "CREATE TEMP TABLE scratch (value)", NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        lido_fail(err, rc, "no temporary table: %s", sqlite3_errmsg(*handle));
        sqlite->close(ctx, *handle, 1, NULL);
        *handle = NULL;
        return rc;
    }
    atomic_fetch_add(&connects, 1);
    return LIDO_OK;
}

/* It stands for as long as a pool uses it: for ever. */
static struct lido_driver counting;

static int register_counting(struct lido_error *err)
{
    counting = *lido_driver_sqlite();
    counting.name = "counting";
    counting.connect = connect_counting;
    return lido_driver_register("counting", &counting, NULL, err);
}

static int use_scratch(const struct lido_conn *conn, struct lido_error *err)
{
    sqlite3 *db = lido_conn_sqlite(conn);
    int rc = sqlite3_exec(db, "INSERT INTO temp.scratch VALUES (1)", NULL, NULL, NULL);

    return rc == SQLITE_OK ? LIDO_OK : lido_fail(err, rc, "%s", sqlite3_errmsg(db));
}

/* Two at one time are two connections; the third checkout gets one of them again. */
static int use(lido_pool *pool, struct lido_error *err)
{
    struct lido_conn one = LIDO_CONN_INIT, two = LIDO_CONN_INIT;
    int rc = lido_pool_checkout(pool, &one, NULL, err);

    if (rc == LIDO_OK)
        rc = lido_pool_checkout(pool, &two, NULL, err);
    if (rc == LIDO_OK)
        rc = use_scratch(&one, err);
    if (rc == LIDO_OK)
        rc = use_scratch(&two, err);
    lido_conn_checkin(&one, NULL, NULL); /* of an empty lease: nothing happens */
    lido_conn_checkin(&two, NULL, NULL);
    if (rc == LIDO_OK)
        rc = lido_pool_checkout(pool, &one, NULL, err);
    if (rc == LIDO_OK)
        rc = use_scratch(&one, err);
    lido_conn_checkin(&one, NULL, NULL);
    return rc;
}

static int compare(lido_pool *pool, struct lido_error *err)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    unsigned counted = atomic_load(&connects);
    int rc = lido_pool_stats(pool, &stats, err);

    if (rc != LIDO_OK)
        return rc;
    printf("%llu checkouts, %llu connections; the driver counted %u\n",
           (unsigned long long)stats.checkouts, (unsigned long long)stats.connects,
           counted);
    if (stats.checkouts == 3 && stats.connects == 2 && counted == 2)
        return LIDO_OK;
    return lido_fail(err, SQLITE_ERROR, "3 checkouts of 2 connections were expected");
}

static int show_on_file(const char *file, struct lido_error *err)
{
    lido_pool *pool = NULL;
    char url[4096];
    int rc = register_counting(err);

    /* keep_temp, or the first check-in would drop the table. */
    snprintf(url, sizeof url, "sqlite+counting:///%s?pool=queue&keep_temp=1", file);
    if (rc == LIDO_OK)
        rc = lido_pool_open(&pool, url, NULL, err);
    if (rc == LIDO_OK)
        rc = use(pool, err);
    if (rc == LIDO_OK)
        rc = compare(pool, err);
    lido_pool_free(pool);
    lido_driver_unregister("counting", NULL);
    return rc;
}

static int show_in_scratch(struct lido_error *err)
{
    const char *parent = getenv("TMPDIR");
    char dir[2048], file[2100];
    int rc;

    snprintf(dir, sizeof dir, "%s/lido-driver.XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(dir) == NULL)
        return lido_fail(err, SQLITE_CANTOPEN, "no directory could be made: %s", dir);
    snprintf(file, sizeof file, "%s/driver.db", dir);
    rc = show_on_file(file, err);
    unlink(file);
    rmdir(dir);
    return rc;
}

int main(int argc, char **argv)
{
    struct lido_error err = LIDO_ERROR_INIT;
    int rc = argc > 1 ? show_on_file(argv[1], &err) : show_in_scratch(&err);

    if (rc != LIDO_OK)
        fprintf(stderr, "own_driver: %s: %s\n", lido_status_name(rc), err.text);
    return rc != LIDO_OK;
}
