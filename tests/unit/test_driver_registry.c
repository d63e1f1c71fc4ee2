/* SPDX-License-Identifier: MIT */
/*
 * Which driver is found, what may be registered, and how a pool meets a host's own.
 */
#include "driver/driver.h"
#include "tests/support/failing_malloc.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lido_error err;

TestSuite(driver_registry, .init = failing_malloc_install, .timeout = 20);

/* A driver of the host's own that has no more than it must have. */
struct host {
    int connects, closes;
    int has_no_handle;
    char database[32], params[64]; /* of the last connect; the end of the one's path */
};

static int host_connect(void *ctx, const struct lido_connect *how, lido_record *record,
                        void **handle, struct lido_error *error)
{
    struct host *host = ctx;
    const char *name = strrchr(how->database, '/');
    size_t used = 0;

    (void)record, (void)error;
    host->connects++;
    snprintf(host->database, sizeof host->database, "%s",
             name != NULL ? name : how->database);
    host->params[0] = '\0';
    for (size_t i = 0; i < how->n_params; i++)
        used += (size_t)snprintf(host->params + used, sizeof host->params - used, "%s=%s;",
                                 how->params[i].key, how->params[i].value);
    *handle = host->has_no_handle ? NULL : host;
    return LIDO_OK;
}

static int host_close(void *ctx, void *handle, int terminate, struct lido_error *error)
{
    struct host *host = ctx;

    (void)terminate, (void)error;
    cr_assert_eq(handle, ctx);
    host->closes++;
    return LIDO_OK;
}

static int host_txn_state(void *ctx, void *handle)
{
    (void)ctx, (void)handle;
    return LIDO_TXN_NONE;
}

static const struct lido_driver least = {
    .size = sizeof least,
    .name = "least",
    .connect = host_connect,
    .close = host_close,
    .txn_state = host_txn_state,
};

static void add(const char *name, const struct lido_driver *driver, void *ctx)
{
    cr_assert_eq(lido_driver_register(name, driver, ctx, &err), LIDO_OK, "%s", err.text);
}

static struct lido__driver find(const char *name)
{
    struct lido__driver driver;

    cr_assert_eq(lido__driver_find(&driver, name, &err), LIDO_OK, "%s", err.text);
    return driver;
}

static void expect_not_found(const char *name)
{
    struct lido__driver driver = { &least, &err };

    cr_expect_eq(lido__driver_find(&driver, name, &err), LIDO_NOT_FOUND);
    cr_expect_eq(err.code, LIDO_NOT_FOUND);
    cr_expect_null(driver.table);
    cr_expect_null(driver.ctx);
    cr_expect_eq(lido__driver_find(&driver, name, NULL), LIDO_NOT_FOUND);
}

/* Finding. */

Test(driver_registry, the_built_in_is_there_without_being_registered)
{
    cr_expect_eq(find("sqlite").table, lido_driver_sqlite());
    cr_expect_null(find("sqlite").ctx);
    cr_expect_str_eq(lido_driver_sqlite()->name, "sqlite");
    cr_expect_eq(lido_driver_sqlite()->size, sizeof(struct lido_driver));
}

Test(driver_registry, an_unknown_name_lists_those_that_there_are)
{
    expect_not_found("one");
    cr_expect_not_null(strstr(err.text, "one; there are: sqlite"), "%s", err.text);
    add("one", &least, NULL);
    add("two", &least, NULL);
    expect_not_found("On");
    cr_expect_not_null(strstr(err.text, "sqlite"), "%s", err.text);
    cr_expect_not_null(strstr(err.text, "one"), "%s", err.text);
    cr_expect_not_null(strstr(err.text, "two"), "%s", err.text);
    expect_not_found("");
}

Test(driver_registry, a_list_longer_than_the_text_is_cut)
{
    char name[300];

    memset(name, 'n', sizeof name);
    name[299] = '\0';
    for (int i = 0; i < 20; i++)
        add(name + i * 13, &least, NULL);
    expect_not_found("none");
    cr_expect_not_null(strstr(err.text, "there are: sqlite, nnn"), "%s", err.text);
    cr_expect_eq(find(name).table->connect, host_connect);
}

Test(driver_registry, a_hosts_own_is_found_before_a_built_in_of_its_name)
{
    struct host host = { 0 };

    add("sqlite", &least, &host);
    cr_expect_eq(find("sqlite").table->connect, host_connect);
    cr_expect_eq(find("sqlite").ctx, (void *)&host);
    cr_expect_eq(lido_driver_unregister("sqlite", &err), LIDO_OK);
    cr_expect_eq(find("sqlite").table, lido_driver_sqlite());
    cr_expect_null(find("sqlite").ctx);
    cr_expect_eq(lido_driver_unregister("sqlite", &err), LIDO_NOT_FOUND);
}

Test(driver_registry, what_is_not_registered_cannot_be_taken_away)
{
    cr_expect_eq(lido_driver_unregister("one", &err), LIDO_NOT_FOUND);
    cr_expect_not_null(strstr(err.text, "one"), "%s", err.text);
    cr_expect_eq(lido_driver_unregister(NULL, &err), LIDO_NOT_FOUND);
    cr_expect_eq(lido_driver_unregister("", NULL), LIDO_NOT_FOUND);
    add("one", &least, NULL);
    cr_expect_eq(lido_driver_unregister("one", NULL), LIDO_OK);
    expect_not_found("one");
}

/* Registering. */

Test(driver_registry, a_name_is_copied_and_stands_in_where_the_table_has_none)
{
    struct lido_driver nameless = least;
    char name[] = "one";

    nameless.name = NULL;
    add(name, &nameless, NULL);
    name[0] = 'x';
    cr_expect_str_eq(find("one").table->name, "one");
    add("two", &least, NULL);
    cr_expect_str_eq(find("two").table->name, "least");
}

static void expect_misuse(const char *name, const struct lido_driver *driver)
{
    memset(&err, 0, sizeof err);
    cr_expect_eq(lido_driver_register(name, driver, NULL, &err), SQLITE_MISUSE, "%s", name);
    cr_expect_eq(err.code, SQLITE_MISUSE);
    cr_expect_neq(err.text[0], '\0');
    cr_expect_eq(lido_driver_register(name, driver, NULL, NULL), SQLITE_MISUSE);
}

Test(driver_registry, a_name_that_no_url_could_hold_is_misuse)
{
    static const char *const names[] = {
        NULL,  "",    " ",   "a b",      "a/b", "a:",
        "a+b", "a%b", "a?b", "\xc3\xa9", "a\n", "sqlite+a"
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        expect_misuse(names[i], &least);
    add("Aa0._-", &least, NULL);
}

Test(driver_registry, a_table_without_what_it_must_have_is_misuse)
{
    struct lido_driver lacks = least;

    expect_misuse("one", NULL);
    lacks.connect = NULL;
    expect_misuse("one", &lacks);
    lacks = least, lacks.close = NULL;
    expect_misuse("one", &lacks);
    lacks = least, lacks.txn_state = NULL;
    expect_misuse("one", &lacks);
    expect_not_found("one");
}

static int never_called(void)
{
    abort();
}

Test(driver_registry, a_shorter_table_reads_as_null_where_it_ends)
{
    const size_t start = offsetof(struct lido_driver, begin);
    struct lido_driver full = least;

    /* Every member from `begin` on is set. */
    for (size_t at = start; at < sizeof full; at += sizeof full.begin) {
        int (*member)(void) = never_called;

        memcpy((char *)&full + at, &member, sizeof member);
    }
    for (size_t size = 0; size <= sizeof full; size++) {
        struct lido_driver *shorter = malloc(size > sizeof size ? size : sizeof size);
        const unsigned char *found;
        bool is_end = size >= start && (size - start) % sizeof full.begin == 0;

        full.size = size;
        memcpy(shorter, &full, size > sizeof size ? size : sizeof size);
        if (is_end) {
            add("one", shorter, NULL);
            found = (const unsigned char *)find("one").table;
            cr_expect_eq(find("one").table->size, sizeof full);
            cr_expect_eq(memcmp(found + sizeof size, (char *)&full + sizeof size,
                                size - sizeof size),
                         0, "%zu", size);
            for (size_t at = size; at < sizeof full; at++)
                cr_expect_eq(found[at], 0, "%zu of %zu", at, size);
        } else {
            expect_misuse("one", shorter);
        }
        free(shorter);
    }
}

Test(driver_registry, a_longer_table_is_taken_if_its_rest_is_zero)
{
    struct {
        struct lido_driver known;
        unsigned char more[16];
    } longer = { .known = least };

    longer.known.size = sizeof longer;
    add("one", &longer.known, NULL);
    cr_expect_eq(find("one").table->size, sizeof(struct lido_driver));
    longer.more[15] = 1;
    expect_misuse("one", &longer.known);
    longer.known.size = SIZE_MAX - SIZE_MAX % sizeof(void *);
    expect_misuse("one", &longer.known);
}

Test(driver_registry, without_memory_nothing_changes)
{
    struct host before = { 0 }, after = { 0 };
    int n;

    add("one", &least, &before);
    for (n = 1;; n++) {
        long outstanding = failing_malloc_outstanding();
        int rc;

        failing_malloc_arm(n);
        rc = lido_driver_register("one", &least, &after, &err);
        if (!failing_malloc_fired())
            break;
        cr_assert_eq(rc, SQLITE_NOMEM);
        cr_assert_eq(err.code, SQLITE_NOMEM);
        cr_assert_eq(failing_malloc_outstanding(), outstanding);
        cr_assert_eq(find("one").ctx, (void *)&before);
    }
    failing_malloc_arm(0);
    cr_expect_eq(n, 3);
    cr_expect_eq(find("one").ctx, (void *)&after);
}

static void *register_and_find(void *name)
{
    for (int i = 0; i < 200; i++) {
        struct lido__driver driver;

        if (lido_driver_register(name, &least, name, NULL) != LIDO_OK ||
            lido__driver_find(&driver, name, NULL) != LIDO_OK ||
            driver.table->connect != host_connect || driver.ctx != name ||
            lido__driver_find(&driver, "none", &(struct lido_error)LIDO_ERROR_INIT) !=
                LIDO_NOT_FOUND ||
            lido_driver_unregister(name, NULL) != LIDO_OK)
            return name;
    }
    return NULL;
}

Test(driver_registry, threads_do_not_disturb_each_other)
{
    static char names[4][2] = { "a", "b", "c", "d" };
    pthread_t threads[4];
    void *failed;

    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, register_and_find, names[i]), 0);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(threads[i], &failed), 0);
        cr_expect_null(failed, "%s", names[i]);
    }
}

/* Pools. */

static lido_pool *open_pool(const char *url)
{
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
    return pool;
}

static void expect_bad_url(const char *url, const char *part)
{
    lido_pool *pool;

    cr_expect_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_BAD_URL);
    cr_expect_not_null(strstr(err.text, part), "%s", err.text);
    cr_expect_null(pool);
}

static void use(lido_pool *pool)
{
    struct lido_conn conn;

    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_not_null(lido_conn_handle(&conn));
    cr_assert_null(lido_conn_sqlite(&conn));
    cr_assert_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", err.text);
}

Test(driver_registry, an_open_pool_keeps_the_driver_it_was_opened_with)
{
    struct host first = { 0 }, second = { 0 };
    lido_pool *old, *new, *none;

    add("one", &least, &first);
    old = open_pool("one:////a?pool=null");
    add("one", &least, &second);
    new = open_pool("sqlite+one:////b?pool=null");
    use(old);
    use(new);
    cr_expect_eq(lido_driver_unregister("one", &err), LIDO_OK);
    use(old);
    use(new);
    cr_expect_eq(lido_pool_open(&none, "one:////c", NULL, &err), LIDO_NOT_FOUND);

    cr_expect_eq(first.connects, 2);
    cr_expect_eq(first.closes, 2);
    cr_expect_str_eq(first.database, "/a");
    cr_expect_eq(second.connects, 2);
    cr_expect_str_eq(second.database, "/b");
    lido_pool_free(old);
    lido_pool_free(new);
}

Test(driver_registry, a_driver_that_connects_without_a_handle_is_found_out)
{
    struct host host = { .has_no_handle = 1 };
    struct lido_conn conn;
    lido_pool *pool;

    add("one", &least, &host);
    pool = open_pool("one:////a?pool=queue");
    cr_expect_eq(lido_pool_checkout(pool, &conn, NULL, &err), SQLITE_MISUSE);
    cr_expect_not_null(strstr(err.text, "least connected without a handle"), "%s",
                       err.text);
    host.has_no_handle = 0;
    use(pool);
    lido_pool_free(pool);
    cr_expect_eq(host.connects, 2);
    cr_expect_eq(host.closes, 1);
}

Test(driver_registry, a_driver_of_the_least_works_and_has_no_transactions)
{
    static const char *const urls[] = { "one:////a?pool=queue&open_now=1",
                                        "one:////a?pool=null&open_now=1" };
    int outcome = 77;

    for (int i = 0; i < 2; i++) {
        struct host host = { 0 };
        struct lido_conn conn;
        lido_pool *pool;

        add("one", &least, &host);
        pool = open_pool(urls[i]);
        cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
        cr_expect_eq(lido_txn_state(&conn), LIDO_TXN_NONE);
        cr_expect_eq(lido_txn_begin(&conn, LIDO_BEGIN_DEFAULT, &err), SQLITE_MISUSE);
        cr_expect_not_null(strstr(err.text, "least has no transactions"), "%s", err.text);
        cr_expect_eq(lido_txn_commit(&conn, &outcome, &err), SQLITE_MISUSE);
        cr_expect_not_null(strstr(err.text, "no transactions"), "%s", err.text);
        cr_expect_eq(outcome, LIDO_OUTCOME_UNKNOWN);
        cr_expect_eq(lido_txn_rollback(&conn, &err), SQLITE_MISUSE);
        cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK, "%s", err.text);
        use(pool);
        cr_expect_eq(lido_pool_close(pool, 0, &err), LIDO_OK, "%s", err.text);
        lido_pool_free(pool);
        cr_expect_eq(host.connects, i == 0 ? 1 : 3);
        cr_expect_eq(host.closes, host.connects);
    }
}

static int check_color(void *ctx, const struct lido_connect *how, struct lido_error *error)
{
    (void)ctx;
    for (size_t i = 0; i < how->n_params; i++)
        if (strcmp(how->params[i].key, "color") != 0)
            return lido_fail(error, LIDO_BAD_URL, "only a color, no %s",
                             how->params[i].key);
    return LIDO_OK;
}

Test(driver_registry, keys_reach_only_a_driver_that_takes_them)
{
    struct lido_driver takes = least;
    struct host host = { 0 };
    lido_pool *pool;

    add("one", &least, &host);
    expect_bad_url("one:////a?pool=queue&color=SECRET", "color");
    cr_expect_null(strstr(err.text, "SECRET"), "%s", err.text);
    pool = open_pool("one:////a?pool=queue&timeout=1");
    use(pool);
    lido_pool_free(pool);
    cr_expect_str_eq(host.params, "");

    takes.capabilities = LIDO_DRIVER_TAKES_PARAMS;
    add("one", &takes, &host);
    pool = open_pool("one:////a?b=2&pool=queue&a=%41&timeout=1&mode=ro");
    use(pool);
    lido_pool_free(pool);
    cr_expect_str_eq(host.params, "b=2;a=A;mode=ro;");

    takes.check = check_color;
    add("one", &takes, &host);
    expect_bad_url("one:////a?color=red&b=2", "only a color, no b");
    pool = open_pool("one:////a?color=red&timeout=1");
    use(pool);
    lido_pool_free(pool);
    cr_expect_str_eq(host.params, "color=red;");
}

Test(driver_registry, a_copy_of_the_built_in_with_one_part_replaced_is_still_sqlite)
{
    struct lido_driver mine = *lido_driver_sqlite();
    struct lido_conn conn;
    lido_pool *pool;

    mine.name = "mine";
    mine.ping = NULL;
    add("sqlite", &mine, NULL);
    pool = open_pool("sqlite://?pool=null&open_now=1");
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
    cr_expect_not_null(lido_conn_sqlite(&conn));
    cr_expect_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK);
    cr_expect_eq(lido_conn_checkin(&conn, NULL, &err), LIDO_OK);
    lido_pool_free(pool);
}
