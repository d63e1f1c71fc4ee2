/* SPDX-License-Identifier: MIT */
/*
 * The fake driver.
 *
 * Threads: any; `lock` guards everything.
 */
#include "tests/support/fake_driver.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct fake_handle {
    int number;
    int state;
    int properties[2];
    lido_busy_wait wait;
    void *wait_ctx;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static char calls[1 << 16], shown[1 << 16];
static size_t used;
static int connections, open_now, countdown, fail_code, has_failed, unclean;
static int is_holding, held;

/* Writes a call down and says whether it is the one to fail. */
static int called(const char *name, int number)
{
    int code = LIDO_OK;

    if (countdown > 0 && --countdown == 0) {
        code = fail_code;
        has_failed = 1;
    }
    if (used + 64 < sizeof calls)
        used += (size_t)snprintf(calls + used, sizeof calls - used, "%s%s %d%s",
                                 used > 0 ? ", " : "", name, number,
                                 code != LIDO_OK ? "!" : "");
    return code;
}

static int answer(int code, struct lido_error *err)
{
    return code == LIDO_OK ? LIDO_OK : lido_fail(err, code, "the fake driver was told to");
}

static int fake_connect(void *ctx, const struct lido_connect *how, lido_record *record,
                        void **handle, struct lido_error *err)
{
    struct fake_handle *fake = calloc(1, sizeof *fake);
    int code;

    (void)ctx, (void)how, (void)record;
    pthread_mutex_lock(&lock);
    while (is_holding) {
        held++;
        pthread_cond_broadcast(&moved);
        pthread_cond_wait(&moved, &lock);
        held--;
    }
    fake->number = connections + 1;
    code = called("connect", fake->number);
    if (code == LIDO_OK) {
        connections++;
        open_now++;
    }
    pthread_mutex_unlock(&lock);
    *handle = code == LIDO_OK ? fake : NULL;
    if (code != LIDO_OK)
        free(fake);
    return answer(code, err);
}

static int fake_close(void *ctx, void *handle, int terminate, struct lido_error *err)
{
    struct fake_handle *fake = handle;
    int code;

    (void)ctx;
    pthread_mutex_lock(&lock);
    code = called(terminate ? "terminate" : "close", fake->number);
    open_now--;
    pthread_mutex_unlock(&lock);
    free(fake);
    return answer(code, err);
}

static int simple(const char *name, void *handle, struct lido_error *err)
{
    struct fake_handle *fake = handle;
    int code;

    pthread_mutex_lock(&lock);
    code = called(name, fake->number);
    pthread_mutex_unlock(&lock);
    return answer(code, err);
}

static int fake_ping(void *ctx, void *handle, struct lido_error *err)
{
    (void)ctx;
    return simple("ping", handle, err);
}

static int fake_reset(void *ctx, void *handle, int how, struct lido_reset *outcome,
                      struct lido_error *err)
{
    struct fake_handle *fake = handle;
    int code;

    (void)ctx, (void)how;
    pthread_mutex_lock(&lock);
    code = called("reset", fake->number);
    if (code == LIDO_OK && unclean == 2)
        code = SQLITE_IOERR;
    outcome->was_in_txn = unclean == 1 || fake->state != LIDO_TXN_NONE;
    if (code == LIDO_OK)
        fake->state = LIDO_TXN_NONE;
    pthread_mutex_unlock(&lock);
    return answer(code, err);
}

static int fake_txn_state(void *ctx, void *handle)
{
    struct fake_handle *fake = handle;
    int state;

    (void)ctx;
    pthread_mutex_lock(&lock);
    state = fake->state;
    pthread_mutex_unlock(&lock);
    return state;
}

static int fake_begin(void *ctx, void *handle, int mode, struct lido_error *err)
{
    static const char *const names[] = { "begin",           "begin-deferred",
                                         "begin-immediate", "begin-exclusive",
                                         "begin-read",      "begin-concurrent" };
    int code = simple(names[mode], handle, err);

    (void)ctx;
    if (code == LIDO_OK)
        fake_driver_set_state(handle, LIDO_TXN_OPEN);
    return code;
}

/* A failed commit leaves the transaction open, as COMMIT that met SQLITE_BUSY does. */
static int fake_commit(void *ctx, void *handle, int *outcome, struct lido_error *err)
{
    int code = simple("commit", handle, err);

    (void)ctx;
    *outcome = code == LIDO_OK ? LIDO_OUTCOME_COMMITTED : LIDO_OUTCOME_OPEN;
    if (code == LIDO_OK)
        fake_driver_set_state(handle, LIDO_TXN_NONE);
    return code;
}

static int fake_rollback(void *ctx, void *handle, int *outcome, struct lido_error *err)
{
    int code = simple("rollback", handle, err);

    (void)ctx;
    *outcome = code == LIDO_OK ? LIDO_OUTCOME_ROLLED_BACK : LIDO_OUTCOME_OPEN;
    if (code == LIDO_OK)
        fake_driver_set_state(handle, LIDO_TXN_NONE);
    return code;
}

/* The fake driver knows no names: each is there. */
static int fake_savepoint(void *ctx, void *handle, int what, const char *name,
                          struct lido_error *err)
{
    static const char *const names[] = { "savepoint", "rollback-to", "release" };
    char word[60];

    (void)ctx;
    snprintf(word, sizeof word, "%s %.40s", names[what], name);
    return simple(word, handle, err);
}

static int fake_property(void *ctx, void *handle, int which, int value, int *was,
                         struct lido_error *err)
{
    static const char *const names[] = { "read-only", "read-uncommitted" };
    struct fake_handle *fake = handle;
    char word[40];
    int code;

    (void)ctx;
    *was = fake->properties[which];
    if (value < 0)
        return LIDO_OK;
    snprintf(word, sizeof word, "%s=%d", names[which], value);
    code = simple(word, handle, err);
    if (code == LIDO_OK)
        fake->properties[which] = value;
    return code;
}

static void fake_set_busy_wait(void *ctx, void *handle, lido_busy_wait wait, void *wait_ctx)
{
    struct fake_handle *fake = handle;

    (void)ctx;
    fake->wait = wait;
    fake->wait_ctx = wait_ctx;
}

static const struct lido_driver table = {
    .size = sizeof table,
    .name = "fake",
    .connect = fake_connect,
    .close = fake_close,
    .ping = fake_ping,
    .reset = fake_reset,
    .txn_state = fake_txn_state,
    .begin = fake_begin,
    .commit = fake_commit,
    .rollback = fake_rollback,
    .set_busy_wait = fake_set_busy_wait,
    .savepoint = fake_savepoint,
    .property = fake_property,
};

void fake_driver_install(void)
{
    pthread_mutex_lock(&lock);
    used = 0;
    connections = open_now = countdown = has_failed = unclean = is_holding = 0;
    pthread_mutex_unlock(&lock);
    if (lido_driver_register("fake", &table, NULL, NULL) != LIDO_OK)
        abort();
}

const char *fake_driver_calls(void)
{
    pthread_mutex_lock(&lock);
    snprintf(shown, sizeof shown, "%.*s", (int)used, calls);
    used = 0;
    pthread_mutex_unlock(&lock);
    return shown;
}

void fake_driver_fail(int nth, int code)
{
    pthread_mutex_lock(&lock);
    countdown = nth;
    fail_code = code;
    has_failed = 0;
    pthread_mutex_unlock(&lock);
}

int fake_driver_has_failed(void)
{
    int answer;

    pthread_mutex_lock(&lock);
    answer = has_failed;
    pthread_mutex_unlock(&lock);
    return answer;
}

void fake_driver_find_unclean(int what)
{
    pthread_mutex_lock(&lock);
    unclean = what;
    pthread_mutex_unlock(&lock);
}

int fake_driver_open_count(void)
{
    int count;

    pthread_mutex_lock(&lock);
    count = open_now;
    pthread_mutex_unlock(&lock);
    return count;
}

void fake_driver_hold_connects(void)
{
    pthread_mutex_lock(&lock);
    is_holding = 1;
    pthread_mutex_unlock(&lock);
}

void fake_driver_wait_for_held(int count)
{
    pthread_mutex_lock(&lock);
    while (held < count)
        pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
}

void fake_driver_let_connect(void)
{
    pthread_mutex_lock(&lock);
    is_holding = 0;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

int fake_driver_number(const void *handle)
{
    return ((const struct fake_handle *)handle)->number;
}

int fake_driver_busy(const void *handle, int count)
{
    const struct fake_handle *fake = handle;

    return fake->wait != NULL ? fake->wait(fake->wait_ctx, count) : 0;
}

void fake_driver_set_state(void *handle, int state)
{
    struct fake_handle *fake = handle;

    pthread_mutex_lock(&lock);
    fake->state = state;
    pthread_mutex_unlock(&lock);
}

void fake_driver_close(void *handle)
{
    fake_close(NULL, handle, 0, NULL);
}
