/* SPDX-License-Identifier: MIT */
/*
 * Stages: the tracing driver and hooks, and the round over all kinds and drivers.
 *
 * The tracing driver is the table of another with `connect` and `close` replaced, so it also
 * shows that lido takes such a mixture.
 *
 * Threads: one.
 */
#include "tests/support/stage.h"

#include "driver/driver.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_driver.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct lido_error err;

/* The trace. */

static char trace[1024];

static void note(const char *word)
{
    size_t used = strlen(trace);

    snprintf(trace + used, sizeof trace - used, "%s%s", used > 0 ? " " : "", word);
}

void stage_expect(const struct stage *stage, const char *expected)
{
    cr_expect_str_eq(trace, expected, "%s: \"%s\" instead of \"%s\"", stage->name, trace,
                     expected);
    trace[0] = '\0';
}

void stage_forget(void)
{
    trace[0] = '\0';
}

/* The driver that traces. */

static struct lido__driver base;
static int open_count;

static int traced_connect(void *ctx, const struct lido_connect *how, lido_record *record,
                          void **handle, struct lido_error *out)
{
    int rc = base.table->connect(base.ctx, how, record, handle, out);

    (void)ctx;
    note("open");
    open_count += rc == LIDO_OK;
    return rc;
}

static int traced_close(void *ctx, void *handle, int terminate, struct lido_error *out)
{
    (void)ctx;
    note(terminate ? "terminate" : "shut");
    open_count--;
    return base.table->close(base.ctx, handle, terminate, out);
}

int stage_open_count(void)
{
    return open_count;
}

static void traced_install(const char *name)
{
    static struct lido_driver table;

    cr_assert_eq(lido__driver_find(&base, name, &err), LIDO_OK, "%s", err.text);
    table = *base.table;
    table.connect = traced_connect;
    table.close = traced_close;
    cr_assert_eq(lido_driver_register("traced", &table, base.ctx, &err), LIDO_OK);
    open_count = 0;
}

/* Hooks that trace, and fail as `plan` says.  ctx is put in front of the word. */

static struct {
    const char *event;
    int times;
    int code;
    bool is_silent; /* says nothing about it */
} plan;

static int act(const void *ctx, const char *word, struct lido_error *out)
{
    char full[40];

    snprintf(full, sizeof full, "%s%s", ctx != NULL ? (const char *)ctx : "", word);
    note(full);
    if (plan.event == NULL || strcmp(plan.event, full) != 0 || plan.times == 0)
        return LIDO_OK;
    plan.times--;
    return plan.is_silent ? plan.code : lido_fail(out, plan.code, "as planned");
}

static int on_first_connect(void *ctx, const struct lido_event *event,
                            struct lido_error *out)
{
    cr_expect_not_null(event->handle);
    return act(ctx, "first_connect", out);
}

static int on_connect(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    cr_expect_not_null(event->handle);
    cr_expect_null(event->conn);
    return act(ctx, "connect", out);
}

static int on_checkout(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    cr_expect_eq(lido_conn_handle(event->conn), event->handle);
    return act(ctx, "checkout", out);
}

static int on_checkin(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    return act(ctx, event->handle != NULL ? "checkin" : "checkin(NULL)", out);
}

static int on_close(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    cr_expect_not_null(event->handle);
    return act(ctx, "close", out);
}

const struct lido_events stage_traced = {
    .size = sizeof stage_traced,
    .first_connect = on_first_connect,
    .connect = on_connect,
    .checkout = on_checkout,
    .checkin = on_checkin,
    .close = on_close,
};

lido_hook stage_add_hooks(lido_hooks *hooks, const struct lido_events *events,
                          const char *prefix)
{
    lido_hook hook;

    cr_assert_eq(
        lido_hooks_add(hooks, &hook, events, (void *)(uintptr_t)prefix, NULL, &err),
        LIDO_OK);
    return hook;
}

void stage_plan_failure(const char *event, int times, int code)
{
    plan.event = event;
    plan.times = times;
    plan.code = code;
    plan.is_silent = false;
}

void stage_plan_silence(void)
{
    plan.is_silent = true;
}

/* Stages. */

static void open_stage(struct stage *stage)
{
    const char *above = getenv("TMPDIR");
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;
    char url[200];

    snprintf(stage->folder, sizeof stage->folder, "%s/lido-kinds-XXXXXX",
             above != NULL ? above : "/tmp");
    cr_assert_not_null(mkdtemp(stage->folder));
    snprintf(stage->path, sizeof stage->path, "%s/file.db", stage->folder);
    fake_driver_install();
    traced_install(stage->is_sqlite ? "sqlite" : "fake");
    options.pool = stage->kind;
    options.pool_size = stage->is_queue ? 1 : options.pool_size;
    options.max_overflow = stage->is_queue ? 1 : options.max_overflow;
    options.pool_timeout_ms = 0;
    options.clock = fake_clock();
    snprintf(url, sizeof url, "traced:///%s", stage->path);
    cr_assert_eq(lido_pool_open(&stage->pool, url, &options, &err), LIDO_OK, "%s: %s",
                 stage->name, err.text);
    trace[0] = '\0';
    stage_plan_failure(NULL, 0, 0);
}

static void close_stage(struct stage *stage)
{
    cr_expect_eq(lido_pool_close(stage->pool, 0, &err), LIDO_OK, "%s: %s", stage->name,
                 err.text);
    lido_pool_free(stage->pool);
    cr_expect_eq(open_count, 0, "%s: %d connections leaked", stage->name, open_count);
    unlink(stage->path);
    cr_expect_eq(rmdir(stage->folder), 0, "%s: files were left", stage->name);
}

/* Runs `body` on every kind and driver. */
void stage_run_all(void (*body)(struct stage *stage))
{
    static const struct stage all[] = {
        { .name = "null on fake", .kind = "null" },
        { .name = "null on sqlite", .kind = "null", .is_sqlite = true },
        { .name = "queue on fake", .kind = "queue", .is_queue = true },
        { .name = "queue on sqlite", .kind = "queue", .is_queue = true, .is_sqlite = true },
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct stage stage = all[i];

        open_stage(&stage);
        body(&stage);
        close_stage(&stage);
    }
}

struct lido_conn stage_take(const struct stage *stage)
{
    struct lido_conn conn;

    cr_assert_eq(lido_pool_checkout(stage->pool, &conn, NULL, &err), LIDO_OK, "%s: %s",
                 stage->name, err.text);
    return conn;
}

void stage_give(const struct stage *stage, struct lido_conn *conn)
{
    cr_assert_eq(lido_conn_checkin(conn, NULL, &err), LIDO_OK, "%s: %s", stage->name,
                 err.text);
}

/* A checkout that fails with that code and text, and leaves nothing out. */
void stage_refuse(const struct stage *stage, int code, const char *text)
{
    struct lido_conn conn;

    cr_expect_eq(lido_pool_checkout(stage->pool, &conn, NULL, &err), code, "%s: %s",
                 stage->name, err.text);
    cr_expect_eq(err.code, code, "%s", stage->name);
    cr_expect_str_eq(err.text, text, "%s: %s", stage->name, err.text);
    cr_expect_null(conn.cell, "%s", stage->name);
}

struct lido_pool_stats stage_stats(const struct stage *stage)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    cr_assert_eq(lido_pool_stats(stage->pool, &stats, &err), LIDO_OK);
    cr_expect_eq(stats.idle + stats.out, stats.live, "%s", stage->name);
    cr_expect_eq(stats.connects - stats.closes, (uint64_t)open_count, "%s", stage->name);
    return stats;
}

void stage_execute(const struct stage *stage, const struct lido_conn *conn, const char *sql)
{
    sqlite3 *db = lido_conn_sqlite(conn);

    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s: %s",
                 stage->name, sql, sqlite3_errmsg(db));
}

int stage_number(const struct stage *stage, const struct lido_conn *conn, const char *sql)
{
    sqlite3 *db = lido_conn_sqlite(conn);
    sqlite3_stmt *stmt;
    int answer;

    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s: %s: %s",
                 stage->name, sql, sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW, "%s: %s", stage->name, sql);
    answer = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return answer;
}
