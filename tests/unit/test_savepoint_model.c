/* SPDX-License-Identifier: MIT */
/*
 * Every order of savepoints against a model, and changes of the schema that are undone.
 *
 * The model is a stack of names with the rows that were there when each was set.  A row is a
 * bit, so the rows are a number.
 */
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEEPEST 8

static struct lido_error err;
static lido_pool *pool;
static struct lido_conn conn;

static void set_up(void)
{
    cr_assert_eq(lido_pool_open(&pool, "sqlite://", NULL, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_pool_checkout(pool, &conn, NULL, &err), LIDO_OK, "%s", err.text);
}

static void tear_down(void)
{
    lido_conn_checkin(&conn, NULL, NULL);
    lido_pool_free(pool);
}

TestSuite(savepoint_model, .init = set_up, .fini = tear_down, .timeout = 120);

static void run(const char *sql)
{
    sqlite3 *db = lido_conn_sqlite(&conn);

    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

static int copy_text(void *out, int columns, char **values, char **names)
{
    (void)columns, (void)names;
    snprintf(out, 2000, "%s", values[0] != NULL ? values[0] : "");
    return 0;
}

static const char *ask(const char *sql)
{
    static char answer[2000];

    answer[0] = '\0';
    cr_assert_eq(sqlite3_exec(lido_conn_sqlite(&conn), sql, copy_text, answer, NULL), 0);
    return answer;
}

struct model {
    struct {
        const char *name;
        int rows;
    } stack[DEEPEST];
    int depth, rows;
};

/* Where the last of that name stands; -1 if none is there. */
static int find(const struct model *model, const char *name)
{
    int at = model->depth - 1;

    while (at >= 0 && strcasecmp(model->stack[at].name, name) != 0)
        at--;
    return at;
}

/* What is to happen, and whether it may. */
static bool act_on_model(struct model *model, char what, const char *name)
{
    int at = find(model, name);

    if (what == 's') {
        model->stack[model->depth].name = name;
        model->stack[model->depth++].rows = model->rows;
        return true;
    }
    if (at < 0)
        return false;
    if (what == 't')
        model->rows = model->stack[at].rows;
    model->depth = what == 't' ? at + 1 : at;
    return true;
}

static int act(char what, const char *name)
{
    return what == 's'   ? lido_txn_savepoint(&conn, name, &err)
           : what == 't' ? lido_txn_rollback_to(&conn, name, &err)
                         : lido_txn_release(&conn, name, &err);
}

static void insert(struct model *model, int bit)
{
    char sql[60];

    snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d)", 1 << bit);
    run(sql);
    model->rows |= 1 << bit;
}

static int rows(void)
{
    return atoi(ask("SELECT total(x) FROM t"));
}

/* One order from its start: pairs of an act and a name. */
static void play(const char *order, const char *const *names)
{
    struct model model = { .depth = 0 };
    int steps = (int)strlen(order) / 2;
    bool is_committed = order[0] != '\0' && order[strlen(order) - 1] % 2 != 0;

    cr_assert_eq(lido_txn_begin(&conn, LIDO_DEFERRED, &err), LIDO_OK, "%s", err.text);
    for (int i = 0; i < steps; i++) {
        const char *name = names[order[2 * i + 1] - '0'];
        char text[60];

        if (act_on_model(&model, order[2 * i], name)) {
            cr_assert_eq(act(order[2 * i], name), LIDO_OK, "%s at %d: %s", order, i,
                         err.text);
        } else {
            cr_assert_eq(act(order[2 * i], name), SQLITE_ERROR, "%s at %d", order, i);
            snprintf(text, sizeof text, "no such savepoint: %s", name);
            cr_assert_not_null(strstr(err.text, text), "%s", err.text);
        }
        cr_assert_eq(rows(), model.rows, "%s at %d", order, i);
        insert(&model, i);
    }
    if (is_committed) {
        cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
        cr_assert_eq(rows(), model.rows, "%s", order);
        run("DELETE FROM t");
    } else {
        cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK, "%s", err.text);
        cr_assert_eq(rows(), 0, "%s", order);
    }
}

/* Every order of `left` more acts, legal or not, over four names, two of which are one. */
static int sweep_all(char *order, int used, int left)
{
    static const char *const names[] = { "a", "b", "A", "\"'" };
    int count = 0;

    if (left == 0) {
        order[used] = '\0';
        play(order, names);
        return 1;
    }
    for (int i = 0; i < 12; i++) {
        order[used] = "str"[i / 4];
        order[used + 1] = (char)('0' + i % 4);
        count += sweep_all(order, used + 2, left - 1);
    }
    return count;
}

Test(savepoint_model, every_order_of_four_acts_is_the_model_s)
{
    char order[2 * DEEPEST + 1];

    run("CREATE TABLE t (x)");
    cr_expect_eq(sweep_all(order, 0, 4), 12 * 12 * 12 * 12);
}

/* Every legal order of up to `left` more acts, not deeper than four, by names of the depth. */
static int sweep_deep(char *order, int used, int left, int depth)
{
    static const char *const names[] = { "one", "two", "three", "four" };
    int count = 1;

    order[used] = '\0';
    if (left == 0 || used >= 2 * 5)
        play(order, names);
    if (left == 0)
        return count;
    for (int at = 0; at < 4; at++) {
        order[used + 1] = (char)('0' + at);
        if (at == depth) {
            order[used] = 's';
            count += sweep_deep(order, used + 2, left - 1, depth + 1);
        }
        if (at >= depth)
            continue;
        order[used] = 't';
        count += sweep_deep(order, used + 2, left - 1, at + 1);
        order[used] = 'r';
        count += sweep_deep(order, used + 2, left - 1, at);
    }
    return count;
}

Test(savepoint_model, every_legal_order_to_depth_four_is_the_model_s)
{
    char order[2 * DEEPEST + 1] = "";

    run("CREATE TABLE t (x)");
    cr_expect_gt(sweep_deep(order, 0, 7, 0), 1000);
}

/* Changes of the schema. */

static const char *const changes[] = {
    "CREATE TABLE other (y)",
    "ALTER TABLE t ADD COLUMN z",
    "ALTER TABLE t RENAME TO u",
    "ALTER TABLE t RENAME COLUMN x TO w",
    "ALTER TABLE t DROP COLUMN extra",
    "DROP TABLE t",
    "CREATE INDEX j ON t (extra)",
    "DROP INDEX i",
    "CREATE TRIGGER fires AFTER DELETE ON t BEGIN SELECT 1; END",
    "DROP TRIGGER g",
    "CREATE VIEW w AS SELECT 1",
    "DROP VIEW v",
    "CREATE TEMP TABLE t (only)",
    "CREATE VIRTUAL TABLE f USING fts5(body)",
};
#define CHANGES (sizeof changes / sizeof changes[0])

/* All that there is, as one text. */
static const char *schema(void)
{
    return ask("SELECT group_concat(type || ' ' || name || ': ' || sql, ';') FROM "
               "(SELECT * FROM main.sqlite_schema UNION ALL "
               "SELECT * FROM temp.sqlite_schema ORDER BY 1, 2)");
}

static void make_schema(char *before, size_t size)
{
    run("CREATE TABLE t (x, extra); CREATE INDEX i ON t (x); CREATE VIEW v AS SELECT 1;"
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;"
        "INSERT INTO t VALUES (1, 2)");
    snprintf(before, size, "%s", schema());
}

/* Each change, and then all that go together. */
static void change(size_t i)
{
    if (i < CHANGES) {
        run(changes[i]);
        return;
    }
    run("CREATE TABLE other (y); ALTER TABLE t ADD COLUMN z; DROP INDEX i; DROP VIEW v;"
        "UPDATE t SET z = 5; ALTER TABLE t RENAME TO u; CREATE VIEW v AS SELECT z FROM u;"
        "DROP TRIGGER g; DROP TABLE u; CREATE TABLE t (quite, another)");
}

Test(savepoint_model, a_rollback_undoes_what_was_done_to_the_schema)
{
    char before[2000];

    make_schema(before, sizeof before);
    for (size_t i = 0; i <= CHANGES; i++) {
        cr_assert_eq(lido_txn_begin(&conn, LIDO_IMMEDIATE, &err), LIDO_OK, "%s", err.text);
        change(i);
        cr_expect_str_neq(schema(), before, "%zu", i);
        cr_assert_eq(lido_txn_rollback(&conn, &err), LIDO_OK, "%s", err.text);
        cr_expect_str_eq(schema(), before);
        cr_expect_str_eq(ask("SELECT x || extra FROM t"), "12");
    }
}

Test(savepoint_model, a_savepoint_undoes_what_was_done_to_the_schema)
{
    char before[2000];

    make_schema(before, sizeof before);
    for (size_t i = 0; i <= CHANGES; i++) {
        cr_assert_eq(lido_txn_savepoint(&conn, "s", &err), LIDO_OK, "%s", err.text);
        change(i);
        cr_expect_str_neq(schema(), before, "%zu", i);
        cr_assert_eq(lido_txn_rollback_to(&conn, "s", &err), LIDO_OK, "%s", err.text);
        cr_expect_str_eq(schema(), before);
        cr_assert_eq(lido_txn_release(&conn, "s", &err), LIDO_OK, "%s", err.text);
        cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
        cr_expect_str_eq(schema(), before);
        cr_expect_str_eq(ask("SELECT x || extra FROM t"), "12");
    }
}

Test(savepoint_model, what_was_done_to_the_schema_stays_after_a_commit)
{
    char before[2000];

    make_schema(before, sizeof before);
    cr_assert_eq(lido_txn_savepoint(&conn, "s", &err), LIDO_OK, "%s", err.text);
    change(CHANGES);
    cr_assert_eq(lido_txn_release(&conn, "s", &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido_txn_commit(&conn, NULL, &err), LIDO_OK, "%s", err.text);
    cr_expect_str_neq(schema(), before);
    cr_expect_str_eq(ask("SELECT count(*) FROM other, t"), "0");
}
