/* SPDX-License-Identifier: MIT */
/*
 * Stages: the tracing driver and hooks, and the round over all kinds and drivers.
 *
 * The tracing driver is the table of another with some functions replaced, so it also shows
 * that lido takes such a mixture.
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

static char trace[2048];

void stage_note(const char *word)
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
    stage_note("open");
    open_count += rc == LIDO_OK;
    return rc;
}

static int traced_close(void *ctx, void *handle, int terminate, struct lido_error *out)
{
    (void)ctx;
    stage_note(terminate ? "terminate" : "shut");
    open_count--;
    return base.table->close(base.ctx, handle, terminate, out);
}

static int traced_reset(void *ctx, void *handle, int how, struct lido_reset *found,
                        struct lido_error *out)
{
    (void)ctx;
    stage_note("clean");
    return base.table->reset(base.ctx, handle, how, found, out);
}

static bool fails_ping;

static int traced_ping(void *ctx, void *handle, struct lido_error *out)
{
    bool fails = fails_ping;

    (void)ctx;
    stage_note("ping");
    fails_ping = false;
    return fails ? lido_fail(out, SQLITE_IOERR, "dead")
                 : base.table->ping(base.ctx, handle, out);
}

void stage_fail_ping(void)
{
    fails_ping = true;
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
    table.reset = traced_reset;
    table.ping = traced_ping;
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
    char full[80]; /* a prefix, and a word with the name of a savepoint in it */

    snprintf(full, sizeof full, "%s%s", ctx != NULL ? (const char *)ctx : "", word);
    stage_note(full);
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

static int on_reset(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    cr_expect_not_null(event->handle);
    cr_expect(event->record == NULL || !event->terminate_only); /* an adopted one stays */
    return act(ctx, event->record == NULL ? "reset(outside)" : "reset", out);
}

static int on_invalidate(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    cr_expect_not_null(event->handle);
    return act(ctx, "invalidate", out);
}

static int on_soft_invalidate(void *ctx, const struct lido_event *event,
                              struct lido_error *out)
{
    cr_expect_not_null(event->handle);
    return act(ctx, "soft_invalidate", out);
}

static int on_detach(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    cr_expect_null(event->record);
    cr_expect_eq(lido_conn_handle(event->conn), event->handle);
    return act(ctx, "detach", out);
}

static int on_close_detached(void *ctx, const struct lido_event *event,
                             struct lido_error *out)
{
    cr_expect_null(event->record);
    cr_expect_not_null(event->handle);
    return act(ctx, "close_detached", out);
}

static int on_begin(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    cr_expect_not_null(event->begin_mode);
    return act(ctx, "begin", out);
}

static int on_commit(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    cr_expect_eq(lido_conn_handle(event->conn), event->handle);
    return act(ctx, "commit", out);
}

static int on_rollback(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    cr_expect_eq(lido_conn_handle(event->conn), event->handle);
    return act(ctx, "rollback", out);
}

/* The event with the savepoint's name: "savepoint(a)". */
static int act_on_savepoint(void *ctx, const char *name, const struct lido_event *event,
                            struct lido_error *out)
{
    char word[60];

    cr_expect_eq(lido_conn_handle(event->conn), event->handle);
    snprintf(word, sizeof word, "%s(%s)", name, event->savepoint);
    return act(ctx, word, out);
}

static int on_savepoint(void *ctx, const struct lido_event *event, struct lido_error *out)
{
    return act_on_savepoint(ctx, "savepoint", event, out);
}

static int on_rollback_savepoint(void *ctx, const struct lido_event *event,
                                 struct lido_error *out)
{
    return act_on_savepoint(ctx, "rollback_savepoint", event, out);
}

static int on_release_savepoint(void *ctx, const struct lido_event *event,
                                struct lido_error *out)
{
    return act_on_savepoint(ctx, "release_savepoint", event, out);
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
    .reset = on_reset,
    .checkin = on_checkin,
    .invalidate = on_invalidate,
    .soft_invalidate = on_soft_invalidate,
    .close = on_close,
    .detach = on_detach,
    .close_detached = on_close_detached,
    .begin = on_begin,
    .commit = on_commit,
    .rollback = on_rollback,
    .savepoint = on_savepoint,
    .rollback_savepoint = on_rollback_savepoint,
    .release_savepoint = on_release_savepoint,
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

static void open_stage(struct stage *stage, void (*set)(struct lido_pool_options *))
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
    if (strcmp(stage->kind, "queue") == 0) {
        options.pool_size = 1;
        options.max_overflow = 1;
    }
    options.pool_timeout_ms = 0;
    options.clock = fake_clock();
    if (set != NULL)
        set(&options);
    snprintf(url, sizeof url, "traced:///%s", stage->path);
    cr_assert_eq(lido_pool_open(&stage->pool, url, &options, &err), LIDO_OK, "%s: %s",
                 stage->name, err.text);
    trace[0] = '\0';
    fails_ping = false;
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

void stage_run_with(void (*set)(struct lido_pool_options *options),
                    void (*body)(struct stage *stage))
{
    static const struct stage kinds[] = {
        { .kind = "null", .second = STAGE_OPENS },
        { .kind = "queue", .second = STAGE_OPENS, .keeps = true },
        { .kind = "singleton_thread", .second = STAGE_SHARES, .keeps = true },
        { .kind = "static", .second = STAGE_SHARES, .keeps = true },
        { .kind = "assertion", .second = STAGE_REFUSES, .keeps = true },
    };

    for (size_t i = 0; i < 2 * sizeof kinds / sizeof kinds[0]; i++) {
        struct stage stage = kinds[i / 2];
        char name[40];

        stage.is_sqlite = i % 2 == 1;
        snprintf(name, sizeof name, "%s on %s", stage.kind,
                 stage.is_sqlite ? "sqlite" : "fake");
        stage.name = name;
        open_stage(&stage, set);
        body(&stage);
        close_stage(&stage);
    }
}

void stage_run_all(void (*body)(struct stage *stage))
{
    stage_run_with(NULL, body);
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
    cr_expect_eq(stats.connects - stats.closes - stats.stolen, (uint64_t)open_count, "%s",
                 stage->name);
    return stats;
}

void *stage_steal(const struct stage *stage, struct lido_conn *conn)
{
    void *handle;

    cr_assert_eq(lido_conn_steal(conn, &handle, &err), LIDO_OK, "%s: %s", stage->name,
                 err.text);
    open_count--;
    return handle;
}

void stage_close_stolen(void *handle)
{
    cr_expect_eq(base.table->close(base.ctx, handle, 0, NULL), LIDO_OK);
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
