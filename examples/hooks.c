/* SPDX-License-Identifier: MIT */
/*
 * Hooks: what every connection and every transaction of a pool shall have in common.
 *
 * A connect hook turns foreign keys on, which SQLite has off on each new connection, and
 * reads them back, because the pragma reports no error where it does nothing.  A begin hook
 * makes each transaction take the write lock at once; it is shown in its two forms, by a
 * BEGIN of its own and by the mode.
 *
 *     hooks [FILE]     (a file in a temporary directory, which goes with it)
 *
 * Answers 0 only if the connections refused a row that breaks a foreign key, and the
 * transactions held the write lock from the start.
 *
 * Threads: one.
 */
#include <lido/lido.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The code and text that the last call on `db` left. */
static int fail_sqlite(sqlite3 *db, struct lido_error *err)
{
    return lido_fail(err, sqlite3_extended_errcode(db), "%s", sqlite3_errmsg(db));
}

static int run(sqlite3 *db, const char *sql, struct lido_error *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? LIDO_OK
                                                                : fail_sqlite(db, err);
}

static int read_flag(void *is_on, int n_columns, char **values, char **names)
{
    (void)names;
    *(int *)is_on = n_columns == 1 && values[0] != NULL && values[0][0] == '1';
    return 0;
}

static int foreign_keys_on(void *ctx, const struct lido_event *event,
                           struct lido_error *err)
{
    int is_on = 0, rc = run(event->sqlite, "PRAGMA foreign_keys=ON", err);

    (void)ctx;
    if (rc != LIDO_OK)
        return rc;
    rc = sqlite3_exec(event->sqlite, "PRAGMA foreign_keys", read_flag, &is_on, NULL);
    if (rc != SQLITE_OK)
        return fail_sqlite(event->sqlite, err);
    return is_on ? LIDO_OK : lido_fail(err, SQLITE_ERROR, "foreign keys stayed off");
}

/* By a statement of its own: lido sees that a transaction is open and begins no second. */
static int begin_by_statement(void *ctx, const struct lido_event *event,
                              struct lido_error *err)
{
    (void)ctx;
    return run(event->sqlite, "BEGIN IMMEDIATE", err);
}

/* By the mode: lido begins, as the hook says. */
static int begin_by_mode(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    (void)err;
    *event->begin_mode = LIDO_IMMEDIATE;
    return LIDO_OK;
}

static const struct lido_events connections = { .size = sizeof connections,
                                                .connect = foreign_keys_on };
static const struct lido_events by_statement = { .size = sizeof by_statement,
                                                 .begin = begin_by_statement };
static const struct lido_events by_mode = { .size = sizeof by_mode,
                                            .begin = begin_by_mode };

static const char schema[] = "CREATE TABLE IF NOT EXISTS author (id INTEGER PRIMARY KEY);"
                             "CREATE TABLE IF NOT EXISTS book ("
                             "    author INTEGER NOT NULL REFERENCES author (id));";

/* A book of no author must be refused by this connection. */
static int show_refusal(const struct lido_conn *conn, struct lido_error *err)
{
    sqlite3 *db = lido_conn_sqlite(conn);
    struct lido_error refusal = LIDO_ERROR_INIT;
    int rc = run(db, schema, err);

    if (rc != LIDO_OK)
        return rc;
    rc = run(db, "INSERT INTO book (author) VALUES (-1)", &refusal);
    if (rc != SQLITE_CONSTRAINT_FOREIGNKEY)
        return lido_fail(err, SQLITE_ERROR, "a book of no author was not refused");
    printf("refused: %s\n", refusal.text);
    return LIDO_OK;
}

/* What the transaction holds at its start, before any statement. */
static int show_begin(const struct lido_conn *conn, const char *name, int expected,
                      struct lido_error *err)
{
    int rc = lido_txn_begin(conn, LIDO_BEGIN_DEFAULT, err), state;

    if (rc != LIDO_OK)
        return rc;
    state = lido_txn_state(conn);
    rc = lido_txn_rollback(conn, err);
    if (rc == LIDO_OK && state != expected)
        rc = lido_fail(err, SQLITE_ERROR, "%s: state %d, not %d", name, state, expected);
    if (rc == LIDO_OK)
        printf("%s: %s\n", name,
               state == LIDO_TXN_WRITE ? "the write lock at once" : "no lock yet");
    return rc;
}

/* The same with a begin hook, which is taken away afterwards. */
static int show_begin_hook(const struct lido_conn *conn, const char *name,
                           const struct lido_events *events, struct lido_error *err)
{
    lido_hooks *hooks = lido_pool_hooks(lido_conn_pool(conn));
    lido_hook hook;
    int rc = lido_hooks_add(hooks, &hook, events, NULL, NULL, err), remove_rc;

    if (rc != LIDO_OK)
        return rc;
    rc = show_begin(conn, name, LIDO_TXN_WRITE, err);
    remove_rc = lido_hooks_remove(hooks, hook, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : remove_rc;
}

static int show(lido_pool *pool, struct lido_error *err)
{
    struct lido_conn conn;
    int rc = lido_hooks_add(lido_pool_hooks(pool), NULL, &connections, NULL, NULL, err);

    if (rc == LIDO_OK)
        rc = lido_pool_checkout(pool, &conn, NULL, err);
    if (rc != LIDO_OK)
        return rc;
    rc = show_refusal(&conn, err);
    if (rc == LIDO_OK)
        rc = show_begin(&conn, "no begin hook", LIDO_TXN_OPEN, err);
    if (rc == LIDO_OK)
        rc = show_begin_hook(&conn, "a BEGIN of its own", &by_statement, err);
    if (rc == LIDO_OK)
        rc = show_begin_hook(&conn, "by the mode", &by_mode, err);
    lido_conn_checkin(&conn, NULL, NULL);
    return rc;
}

static int show_on_file(const char *file, struct lido_error *err)
{
    char url[4096];
    lido_pool *pool;
    int rc;

    snprintf(url, sizeof url, "sqlite:///%s?pool=queue", file);
    rc = lido_pool_open(&pool, url, NULL, err);
    if (rc == LIDO_OK)
        rc = show(pool, err);
    lido_pool_free(pool);
    return rc;
}

/* A directory of our own, which SQLite's files leave when the pool is closed. */
static int show_in_scratch(struct lido_error *err)
{
    const char *parent = getenv("TMPDIR");
    char dir[2048], file[2100];
    int rc;

    snprintf(dir, sizeof dir, "%s/lido-hooks.XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(dir) == NULL)
        return lido_fail(err, SQLITE_CANTOPEN, "no directory could be made: %s", dir);
    snprintf(file, sizeof file, "%s/hooks.db", dir);
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
        fprintf(stderr, "hooks: %s: %s\n", lido_status_name(rc), err.text);
    return rc != LIDO_OK;
}
