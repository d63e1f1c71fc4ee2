/* SPDX-License-Identifier: MIT */
/*
 * A play: the driver, the hooks, and the line that both write.
 *
 * Threads: any; `lock` guards the line, the plans and the counts.
 */
#include "tests/parity/play.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lido_error play_err;

struct handle {
    int number;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char line[2000];
static struct {
    const char *word;
    int times;
    int code;
} plans[4];
static const char *inside_word;
static void (*inside_act)(const struct lido_event *event);
static int64_t open_takes_ms;
static int connections, open_now, served;
static char folder[200];

/* Writes a word and answers what was planned for it. */
static int note(const char *word, const char *what)
{
    size_t used;
    int code = LIDO_OK;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < sizeof plans / sizeof plans[0] && code == LIDO_OK; i++)
        if (plans[i].times != 0 && strcmp(plans[i].word, word) == 0) {
            plans[i].times -= plans[i].times > 0;
            code = plans[i].code;
        }
    used = strlen(line);
    snprintf(line + used, sizeof line - used, "%s%s %s%s", used > 0 ? ", " : "", word, what,
             code != LIDO_OK ? "!" : "");
    pthread_mutex_unlock(&lock);
    return code;
}

static int note_number(const char *word, int number, struct lido_error *err)
{
    char text[12];
    int code;

    snprintf(text, sizeof text, "%d", number);
    code = note(word, text);
    return code == LIDO_OK ? code : lido_fail(err, code, "%s as planned", word);
}

void play_expect(const char *expected)
{
    pthread_mutex_lock(&lock);
    cr_expect_str_eq(line, expected, "\n  got:    \"%s\"\n  wanted: \"%s\"", line,
                     expected);
    line[0] = '\0';
    pthread_mutex_unlock(&lock);
}

void play_forget(void)
{
    pthread_mutex_lock(&lock);
    line[0] = '\0';
    pthread_mutex_unlock(&lock);
}

void play_fail(const char *word, int times, int code)
{
    size_t i = 0;

    pthread_mutex_lock(&lock);
    while (plans[i].times != 0)
        cr_assert_lt(++i, sizeof plans / sizeof plans[0]);
    plans[i].word = word;
    plans[i].times = times;
    plans[i].code = code;
    pthread_mutex_unlock(&lock);
}

void play_relent(void)
{
    pthread_mutex_lock(&lock);
    memset(plans, 0, sizeof plans);
    pthread_mutex_unlock(&lock);
}

void play_do_inside(const char *word, void (*act)(const struct lido_event *event))
{
    inside_word = word;
    inside_act = act;
}

/* The driver. */

static int play_connect(void *ctx, const struct lido_connect *how, lido_record *record,
                        void **handle, struct lido_error *err)
{
    struct handle *made = malloc(sizeof *made);
    int rc;

    (void)ctx, (void)how, (void)record;
    cr_assert_not_null(made);
    pthread_mutex_lock(&lock);
    made->number = connections + 1;
    pthread_mutex_unlock(&lock);
    rc = note_number("open", made->number, err);
    if (open_takes_ms > 0)
        fake_clock_advance_ms(open_takes_ms);
    if (rc != LIDO_OK) {
        free(made);
        return rc;
    }
    pthread_mutex_lock(&lock);
    connections++;
    open_now++;
    pthread_mutex_unlock(&lock);
    *handle = made;
    return LIDO_OK;
}

static int play_close(void *ctx, void *handle, int terminate, struct lido_error *err)
{
    struct handle *gone = handle;
    int number = gone->number;

    (void)ctx;
    free(gone);
    pthread_mutex_lock(&lock);
    open_now--;
    pthread_mutex_unlock(&lock);
    return note_number(terminate ? "terminate" : "shut", number, err);
}

static int play_ping(void *ctx, void *handle, struct lido_error *err)
{
    (void)ctx;
    return note_number("ping", ((struct handle *)handle)->number, err);
}

static int play_reset(void *ctx, void *handle, int how, struct lido_reset *outcome,
                      struct lido_error *err)
{
    static const char *const words[] = { NULL, "rollback", "commit", NULL };
    const char *word = words[how & LIDO_RESET_HOW];

    (void)ctx, (void)outcome;
    if ((how & LIDO_RESET_TXN_ONLY) != 0)
        word = "end_own";
    return word != NULL ? note_number(word, ((struct handle *)handle)->number, err)
                        : LIDO_OK;
}

static int play_txn_state(void *ctx, void *handle)
{
    (void)ctx, (void)handle;
    return LIDO_TXN_NONE;
}

static const struct lido_driver driver = {
    .size = sizeof driver,
    .name = "play",
    .connect = play_connect,
    .close = play_close,
    .ping = play_ping,
    .reset = play_reset,
    .txn_state = play_txn_state,
};

/* The hooks. */

static int act(const char *word, const struct lido_event *event, struct lido_error *err)
{
    void (*inside)(const struct lido_event *) = NULL;
    char what[20] = "NULL";
    int code;

    if (event->handle != NULL && event->sqlite == NULL)
        snprintf(what, sizeof what, "%d%s", ((const struct handle *)event->handle)->number,
                 event->record == NULL && strcmp(word, "reset") == 0 ? "-" : "");
    else if (event->handle != NULL)
        snprintf(what, sizeof what, "db");
    code = note(word, what);
    if (inside_word != NULL && strcmp(inside_word, word) == 0) {
        inside = inside_act;
        inside_word = NULL;
    }
    if (inside != NULL)
        inside(event);
    return code == LIDO_OK ? code : lido_fail(err, code, "%s as planned", word);
}

static int on_first_connect(void *ctx, const struct lido_event *event,
                            struct lido_error *err)
{
    (void)ctx;
    return act("first_connect", event, err);
}

static int on_connect(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return act("connect", event, err);
}

static int on_checkout(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return act("checkout", event, err);
}

static int on_reset(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return act("reset", event, err);
}

static int on_checkin(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return act("checkin", event, err);
}

static int on_invalidate(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return act("invalidate", event, err);
}

static int on_soft_invalidate(void *ctx, const struct lido_event *event,
                              struct lido_error *err)
{
    (void)ctx;
    return act("soft_invalidate", event, err);
}

static int on_close(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return act("close", event, err);
}

static int on_detach(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return act("detach", event, err);
}

static int on_close_detached(void *ctx, const struct lido_event *event,
                             struct lido_error *err)
{
    (void)ctx;
    return act("close_detached", event, err);
}

const struct lido_events play_traced = {
    .size = sizeof play_traced,
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
};

void play_trace(lido_pool *pool)
{
    cr_assert_eq(
        lido_hooks_add(lido_pool_hooks(pool), NULL, &play_traced, NULL, NULL, &play_err),
        LIDO_OK);
}

/* Pools. */

void play_begin(void)
{
    play_forget();
    play_relent();
    inside_word = NULL;
    open_takes_ms = 0;
    connections = open_now = served = 0;
    cr_assert_eq(lido_driver_register("play", &driver, NULL, &play_err), LIDO_OK);
}

struct lido_pool_options play_options(const char *kind)
{
    struct lido_pool_options options = LIDO_POOL_OPTIONS_INIT;

    options.pool = kind;
    options.pool_timeout_ms = 0;
    options.check_same_thread = 0;
    options.clock = fake_clock();
    return options;
}

lido_pool *play_open(const struct lido_pool_options *options)
{
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "play:///any", options, &play_err), LIDO_OK, "%s",
                 play_err.text);
    play_trace(pool);
    return pool;
}

lido_pool *play_open_kind(const char *kind)
{
    struct lido_pool_options options = play_options(kind);

    return play_open(&options);
}

lido_pool *play_open_queue(int pool_size, int max_overflow)
{
    struct lido_pool_options options = play_options("queue");

    options.order = "fifo";
    options.pool_size = pool_size;
    options.max_overflow = max_overflow;
    return play_open(&options);
}

const char *play_enter_folder(void)
{
    const char *above = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/lido-parity-XXXXXX",
             above != NULL ? above : "/tmp");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    cr_assert_not_null(getcwd(folder, sizeof folder));
    return folder;
}

void play_leave_folder(void)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;

    cr_assert_not_null(entries);
    while ((entry = readdir(entries)) != NULL)
        unlink(entry->d_name); /* not "." and "..", which are folders */
    closedir(entries);
    cr_expect_eq(chdir("/"), 0);
    cr_expect_eq(rmdir(folder), 0);
}

static lido_pool *open_file(const char *keys, const struct lido_pool_options *options)
{
    char url[300];
    lido_pool *pool;

    play_enter_folder();
    snprintf(url, sizeof url, "sqlite:///file.db%s%s", keys[0] != '\0' ? "?" : "", keys);
    cr_assert_eq(lido_pool_open(&pool, url, options, &play_err), LIDO_OK, "%s: %s", url,
                 play_err.text);
    return pool;
}

lido_pool *play_open_file(const struct lido_pool_options *options)
{
    return open_file("", options);
}

lido_pool *play_open_keys(const char *keys)
{
    return open_file(keys, NULL);
}

void play_end_file(lido_pool *pool)
{
    play_end(pool);
    play_leave_folder();
}

void play_end(lido_pool *pool)
{
    struct lido_pool_stats stats;

    cr_expect_eq(lido_pool_close(pool, 0, &play_err), LIDO_OK, "%s", play_err.text);
    stats = play_stats(pool);
    cr_expect_eq(stats.connects, stats.closes + stats.stolen, "connections are open");
    lido_pool_free(pool);
}

void play_open_takes_ms(int64_t ms)
{
    open_takes_ms = ms;
}

int play_open_count(void)
{
    int count;

    pthread_mutex_lock(&lock);
    count = open_now;
    pthread_mutex_unlock(&lock);
    return count;
}

/* Leases. */

static struct lido_conn take(lido_pool *pool, int is_unique)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn conn;

    options.unique = is_unique;
    cr_assert_eq(lido_pool_checkout(pool, &conn, &options, &play_err), LIDO_OK, "%s",
                 play_err.text);
    return conn;
}

struct lido_conn play_take(lido_pool *pool)
{
    return take(pool, 0);
}

struct lido_conn play_take_unique(lido_pool *pool)
{
    return take(pool, 1);
}

void play_give(struct lido_conn *conn)
{
    cr_assert_eq(lido_conn_checkin(conn, NULL, &play_err), LIDO_OK, "%s", play_err.text);
}

void play_refuse(lido_pool *pool, int code)
{
    struct lido_conn conn;
    int rc = lido_pool_checkout(pool, &conn, NULL, &play_err);

    cr_expect_eq(rc, code, "%s instead of %s: %s", lido_status_name(rc),
                 lido_status_name(code), play_err.text);
    cr_expect_null(conn.cell);
}

int play_number(const struct lido_conn *conn)
{
    const struct handle *handle = lido_conn_handle(conn);

    return handle != NULL ? handle->number : 0;
}

struct lido_pool_stats play_stats(lido_pool *pool)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    cr_assert_eq(lido_pool_stats(pool, &stats, &play_err), LIDO_OK);
    return stats;
}

void play_expect_counts(lido_pool *pool, int size, int in, int overflow, int out)
{
    struct lido_pool_stats stats = play_stats(pool);

    cr_expect(stats.keep == (size == 0 ? -1 : size) && stats.idle == in &&
                  stats.overflow == overflow && stats.out == out,
              "(%d,%d,%d,%d) instead of (%d,%d,%d,%d)", (int)stats.keep, (int)stats.idle,
              (int)stats.overflow, (int)stats.out, size, in, overflow, out);
}

void play_expect_status(lido_pool *pool, const char *status)
{
    char text[200];

    cr_assert_eq(lido_pool_status(pool, text, sizeof text, &play_err), LIDO_OK);
    cr_expect_str_eq(text, status, "\"%s\"", text);
}

void play_execute(const struct lido_conn *conn, const char *sql)
{
    sqlite3 *db = lido_conn_sqlite(conn);

    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

int play_ask(const struct lido_conn *conn, const char *sql)
{
    sqlite3 *db = lido_conn_sqlite(conn);
    sqlite3_stmt *stmt;
    int answer;

    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    answer = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return answer;
}

/* Threads. */

struct errand {
    void (*act)(void *);
    void *ctx;
};

static void *run_errand(void *arg)
{
    const struct errand *errand = arg;

    errand->act(errand->ctx);
    return NULL;
}

void play_on_thread(void (*act_there)(void *), void *ctx)
{
    struct errand errand = { act_there, ctx };
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, run_errand, &errand), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

static void *wait_in_line(void *arg)
{
    struct lido_checkout_options options = LIDO_CHECKOUT_OPTIONS_INIT;
    struct play_waiter *waiter = arg;
    struct lido_conn conn;

    options.timeout_ms = waiter->timeout_ms;
    waiter->rc = lido_pool_checkout(waiter->pool, &conn, &options, &waiter->err);
    pthread_mutex_lock(&lock);
    waiter->order = ++served;
    pthread_mutex_unlock(&lock);
    if (waiter->rc != LIDO_OK)
        return NULL;
    waiter->number = play_number(&conn);
    lido_conn_checkin(&conn, NULL, NULL);
    return NULL;
}

void play_wait_in_line(struct play_waiter *waiter, lido_pool *pool, int64_t timeout_ms,
                       int nth)
{
    *waiter = (struct play_waiter){ .pool = pool, .timeout_ms = timeout_ms };
    cr_assert_eq(pthread_create(&waiter->thread, NULL, wait_in_line, waiter), 0);
    while (play_stats(pool).waiting != nth)
        sched_yield();
}

void play_join(struct play_waiter *waiter)
{
    cr_assert_eq(pthread_join(waiter->thread, NULL), 0);
}
