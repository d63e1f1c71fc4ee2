/* SPDX-License-Identifier: MIT */
/*
 * Stopping what takes too long: a token ends a query from another thread, as a "Cancel" button
 * would, and a limit ends a transaction by itself.
 *
 *     cancel
 *
 * Answers 0 only if both ended, and the connection serves the next user as before.
 *
 * Threads: two.
 */
#include <lido/lido.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

/* It would never end. */
#define ENDLESS                                                                            \
    "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n) "                   \
    "SELECT count(*) FROM n"

/* What the user waits for, and the button. */
struct report {
    lido_pool *pool;
    lido_cancel *cancel;
    int rc;
    struct lido_error err; /* one per thread */
};

static void *make_report(void *arg)
{
    struct report *report = arg;
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;

    options.cancel = report->cancel;
    report->rc = lido_pool_checkout(report->pool, &conn, &options, &report->err);
    if (report->rc != LIDO_OK)
        return NULL; /* cancelled before there was a connection */
    report->rc = lido_conn_exec(&conn, ENDLESS, &report->err);
    if (lido_conn_checkin(&conn, NULL, NULL) != LIDO_OK)
        puts("the report's connection could not be checked in");
    return NULL;
}

/* LIDO_TXN_TIMEOUT, for it has a tenth of a second. */
static int take_too_long(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    int rc = lido_txn_limit(conn, 100, err);

    (void)ctx;
    return rc == LIDO_OK ? lido_conn_exec(conn, ENDLESS, err) : rc;
}

int main(void)
{
    const struct timespec patience = { .tv_nsec = 50000000 }; /* of the user */
    struct lido_error err = LIDO_ERROR_INIT;
    struct report report = { .err = LIDO_ERROR_INIT };
    pthread_t thread;
    int limited, after,
        rc = lido_pool_open(&report.pool, "sqlite://?pool=static", NULL, &err);

    if (rc == LIDO_OK)
        rc = lido_cancel_new(&report.cancel, &err);
    if (rc != LIDO_OK || pthread_create(&thread, NULL, make_report, &report) != 0) {
        puts(err.text);
        return 1;
    }
    nanosleep(&patience, NULL);
    rc = lido_cancel_fire(report.cancel, &err);
    pthread_join(thread, NULL);
    printf("the report: %s\n", report.err.text);

    limited = lido_pool_run(report.pool, LIDO_DEFERRED, take_too_long, NULL, NULL, &err);
    printf("the transaction: %s\n", err.text);

    after = lido_pool_exec(report.pool, "SELECT 1", &err);
    lido_cancel_free(report.cancel);
    lido_pool_free(report.pool);
    return rc != LIDO_OK || report.rc != LIDO_CANCELLED || limited != LIDO_TXN_TIMEOUT ||
           after != LIDO_OK;
}
