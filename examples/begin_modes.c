/* SPDX-License-Identifier: MIT */
/*
 * The modes of BEGIN: what each takes at once, what it leaves to others, and what it lets its
 * own lease do.  In a rollback-journal database; in WAL mode nobody keeps a reader out.
 *
 *     begin_modes URL
 *
 * The last one is begun by a begin hook in SQL text of its own, as a program may that wants
 * more than a mode.  Answers 0 only if the table that it prints is what is meant.
 *
 * Threads: one, with two leases.
 */
#include <lido/lido.h>
#include <stdbool.h>
#include <stdio.h>

static const struct {
    const char *name;
    int mode;
    int state;         /* at once */
    bool others_read;  /* meanwhile */
    bool others_write; /* meanwhile */
    bool writes;       /* itself */
} modes[] = {
    { "deferred", LIDO_DEFERRED, LIDO_TXN_OPEN, true, true, true },
    { "immediate", LIDO_IMMEDIATE, LIDO_TXN_WRITE, true, false, true },
    { "exclusive", LIDO_EXCLUSIVE, LIDO_TXN_WRITE, false, false, true },
    { "read", LIDO_READ, LIDO_TXN_READ, true, false, false },
    { "by a hook", LIDO_BEGIN_DEFAULT, LIDO_TXN_WRITE, false, false, true },
};

/* Issues its own BEGIN; lido begins no second one. */
static int begin_by_hook(void *ctx, const struct lido_event *event, struct lido_error *err)
{
    (void)ctx;
    return lido_conn_exec(event->conn, "BEGIN EXCLUSIVE", err);
}

static bool can(const struct lido_conn *conn, const char *sql)
{
    return lido_conn_exec(conn, sql, NULL) == LIDO_OK;
}

/* True if the mode does what the table says. */
static bool show(const struct lido_conn *mine, const struct lido_conn *others, int i,
                 struct lido_error *err)
{
    bool others_read, others_write, writes, is_meant;
    int state;

    if (lido_txn_begin(mine, modes[i].mode, err) != LIDO_OK)
        return false;
    state = lido_txn_state(mine);
    others_read = can(others, "SELECT count(*) FROM t");
    others_write = can(others, "INSERT INTO t VALUES (1)");
    writes = can(mine, "INSERT INTO t VALUES (2)");
    is_meant = state == modes[i].state && others_read == modes[i].others_read &&
               others_write == modes[i].others_write && writes == modes[i].writes;
    printf("%-10s %-7s others read: %-3s others write: %-3s writes: %s\n", modes[i].name,
           state == LIDO_TXN_WRITE  ? "writing"
           : state == LIDO_TXN_READ ? "reading"
                                    : "open",
           others_read ? "yes" : "no", others_write ? "yes" : "no", writes ? "yes" : "no");
    return lido_txn_rollback(mine, err) == LIDO_OK && is_meant;
}

int main(int argc, char **argv)
{
    const int count = sizeof modes / sizeof modes[0];
    static const struct lido_events hooks = { .size = sizeof hooks,
                                              .begin = begin_by_hook };
    struct lido_error err = LIDO_ERROR_INIT;
    struct lido_conn mine, others;
    bool is_meant = true;
    lido_pool *pool;
    int rc = lido_pool_open(
        &pool, argc > 1 ? argv[1] : "sqlite:///begin_modes.db?pool=queue&timeout=0", NULL,
        &err);

    if (rc == LIDO_OK)
        rc = lido_pool_exec(pool, "DROP TABLE IF EXISTS t; CREATE TABLE t (x)", &err);
    if (rc == LIDO_OK)
        rc = lido_pool_checkout(pool, &mine, NULL, &err);
    if (rc == LIDO_OK)
        rc = lido_pool_checkout(pool, &others, NULL, &err);
    for (int i = 0; i < count && rc == LIDO_OK; i++) {
        if (modes[i].mode == LIDO_BEGIN_DEFAULT)
            rc = lido_hooks_add(lido_pool_hooks(pool), NULL, &hooks, NULL, NULL, &err);
        is_meant = is_meant && rc == LIDO_OK && show(&mine, &others, i, &err);
    }
    if (rc != LIDO_OK)
        puts(err.text);
    lido_pool_free(pool);
    return rc != LIDO_OK || !is_meant;
}
