/* SPDX-License-Identifier: MIT */
/*
 * Savepoints of the built-in driver by its table: names, the stack, and what SQLite says.
 */
#include <lido/sys/driver.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct lido_driver *driver;
static struct lido_error err;
static void *handle;

static void set_up(void)
{
    struct lido_connect how = { .size = sizeof how,
                                .url = "sqlite://",
                                .database = ":memory:" };

    driver = lido_driver_sqlite();
    cr_assert_eq(driver->connect(NULL, &how, NULL, &handle, &err), LIDO_OK);
    cr_assert_eq(sqlite3_exec(handle, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(driver->begin(NULL, handle, LIDO_IMMEDIATE, &err), LIDO_OK);
}

static void tear_down(void)
{
    driver->close(NULL, handle, 0, NULL);
}

TestSuite(driver_savepoint, .init = set_up, .fini = tear_down, .timeout = 20);

static int act(int what, const char *name)
{
    memset(&err, 0, sizeof err);
    return driver->savepoint(NULL, handle, what, name, &err);
}

static void set(const char *name)
{
    cr_assert_eq(act(LIDO_SAVEPOINT_SET, name), LIDO_OK, "%s: %s", name, err.text);
}

static void insert(void)
{
    cr_assert_eq(sqlite3_exec(handle, "INSERT INTO t VALUES (1)", NULL, NULL, NULL), 0);
}

static int first_int(void *out, int columns, char **values, char **names)
{
    (void)columns, (void)names;
    *(int *)out = atoi(values[0]);
    return 0;
}

static int count(void)
{
    int answer = -1;

    sqlite3_exec(handle, "SELECT count(*) FROM t", first_int, &answer, NULL);
    return answer;
}

Test(driver_savepoint, rolls_back_to_where_it_was_set_as_often_as_wanted)
{
    insert();
    set("one");
    for (int i = 0; i < 3; i++) {
        insert();
        cr_assert_eq(count(), 2);
        cr_assert_eq(act(LIDO_SAVEPOINT_ROLLBACK_TO, "one"), LIDO_OK, "%s", err.text);
        cr_assert_eq(count(), 1);
    }
    cr_assert_eq(act(LIDO_SAVEPOINT_RELEASE, "one"), LIDO_OK, "%s", err.text);
    cr_expect_eq(act(LIDO_SAVEPOINT_RELEASE, "one"), SQLITE_ERROR);
    cr_expect_str_eq(err.text, "RELEASE: no such savepoint: one");
    cr_expect_eq(act(LIDO_SAVEPOINT_ROLLBACK_TO, "one"), SQLITE_ERROR);
    cr_expect_str_eq(err.text, "ROLLBACK TO: no such savepoint: one");
    cr_expect_eq(driver->txn_state(NULL, handle), LIDO_TXN_WRITE);
    cr_expect_eq(count(), 1);
}

Test(driver_savepoint, may_have_any_name)
{
    static const char *const names[] = {
        "two words",
        "say \"x\"",
        "\"",
        "'",
        "select",
        "a;b--c",
        "%s%w%n",
        "[x]",
        "s\xc3\xa4gespan",
        "\xe2\x82\xac",
        "\xff",
        "x\ny",
        "`",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        set(names[i]);
        insert();
        cr_expect_eq(act(LIDO_SAVEPOINT_ROLLBACK_TO, names[i]), LIDO_OK, "%s", err.text);
        cr_expect_eq(count(), 0);
        cr_expect_eq(act(LIDO_SAVEPOINT_RELEASE, names[i]), LIDO_OK, "%s", err.text);
        cr_expect_eq(act(LIDO_SAVEPOINT_RELEASE, names[i]), SQLITE_ERROR);
        cr_expect_not_null(strstr(err.text, "no such savepoint: "), "%s", err.text);
    }
}

/* https://sqlite.org/lang_savepoint.html: names compare without regard to ASCII case, and
   the last one set is meant. */
Test(driver_savepoint, the_last_of_a_name_is_meant_whatever_its_case)
{
    set("Name");
    insert();
    set("nAME");
    insert();
    cr_assert_eq(act(LIDO_SAVEPOINT_ROLLBACK_TO, "NAME"), LIDO_OK);
    cr_expect_eq(count(), 1);
    cr_assert_eq(act(LIDO_SAVEPOINT_RELEASE, "name"), LIDO_OK);
    cr_assert_eq(act(LIDO_SAVEPOINT_ROLLBACK_TO, "NAME"), LIDO_OK);
    cr_expect_eq(count(), 0);
    set("\xc3\x84");
    cr_expect_eq(act(LIDO_SAVEPOINT_RELEASE, "\xc3\xa4"), SQLITE_ERROR);
}

Test(driver_savepoint, an_act_that_is_none_changes_nothing)
{
    set("one");
    cr_expect_eq(act(-1, "one"), SQLITE_MISUSE);
    cr_expect_eq(act(LIDO_SAVEPOINT_RELEASE + 1, "one"), SQLITE_MISUSE);
    cr_expect_str_eq(err.text, "nothing called 3 is done with a savepoint");
    cr_expect_eq(driver->savepoint(NULL, handle, 7, "one", NULL), SQLITE_MISUSE);
    cr_expect_eq(act(LIDO_SAVEPOINT_RELEASE, "one"), LIDO_OK);
}
