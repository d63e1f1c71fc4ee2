/* SPDX-License-Identifier: MIT */
/*
 * What is written down stands in a file that all processes have in memory, so it is there when
 * one of them was killed.
 *
 * Threads: each clerk has a number of its own there.
 */
#include "tests/support/bank.h"
#include "tests/support/other_process.h"
#include "tests/support/own_folder.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ACCOUNTS 8
#define EACH     1000

static char folder[60], path[80];
static char journal_mode[40];     /* "": as it is */
static atomic_long *written_down; /* of BANK_CLERKS; NULL: there is no bank */

static void run(sqlite3 *db, const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

static void map_book(int flags)
{
    const size_t size = BANK_CLERKS * sizeof *written_down;
    char name[100];
    int file;

    snprintf(name, sizeof name, "%s-book", path);
    file = open(name, flags, 0600);
    if (file < 0 || ftruncate(file, (off_t)size) != 0)
        abort();
    written_down = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (written_down == MAP_FAILED)
        abort();
    close(file);
}

const char *bank_folder(void)
{
    return folder;
}

void bank_join(const char *folder_of_bank)
{
    snprintf(path, sizeof path, "%s/a.db", folder_of_bank);
    map_book(O_RDWR);
}

void bank_make(const char *journal)
{
    char text[60];
    sqlite3 *db;

    snprintf(journal_mode, sizeof journal_mode, "&journal_mode=%s", journal);
    snprintf(folder, sizeof folder, "%s/lido-bank-XXXXXX",
             access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.db", folder);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    snprintf(text, sizeof text, "PRAGMA page_size=512; PRAGMA journal_mode=%s", journal);
    run(db, text);
    run(db, "CREATE TABLE accounts (id INTEGER PRIMARY KEY, amount);"
            "CREATE TABLE clerks (id INTEGER PRIMARY KEY, made);"
            "WITH RECURSIVE k(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM k WHERE i < 15)"
            " INSERT INTO clerks SELECT i, 0 FROM k;"
            "INSERT INTO accounts SELECT id, 1000 FROM clerks WHERE id < 8");
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    map_book(O_CREAT | O_RDWR);
    other_start(path);
}

void bank_remove(void)
{
    static const char *const endings[] = {
        "", "-journal", "-wal", "-shm", "-gate", "-book"
    };
    char name[100];

    if (written_down == NULL)
        return;
    other_end();
    munmap(written_down, BANK_CLERKS * sizeof *written_down);
    written_down = NULL;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
    own_folder_end(folder);
}

const char *bank_url(const char *more)
{
    static char url[300];

    snprintf(url, sizeof url,
             "sqlite:///%s?pool=queue&pool_size=%d&max_overflow=0&timeout=100"
             "&pool_timeout=100%s%s",
             path, BANK_CLERKS, journal_mode, more);
    return url;
}

lido_pool *bank_open(const char *more)
{
    struct lido_error err = LIDO_ERROR_INIT;
    lido_pool *pool;

    if (lido_pool_open(&pool, bank_url(more), NULL, &err) == LIDO_OK)
        return pool;
    dprintf(2, "%s: %s\n", bank_url(more), err.text);
    abort();
}

/* --- transfers -------------------------------------------------------------------------- */

static void do_if(void (*deed)(int number), int number)
{
    if (deed != NULL)
        deed(number);
}

static int move(int account, int by, const struct lido_conn *conn, struct lido_error *err)
{
    char sql[100];

    snprintf(sql, sizeof sql, "UPDATE accounts SET amount = amount + %d WHERE id = %d", by,
             account);
    return lido_conn_exec(conn, sql, err);
}

/* For the runner: `ctx` is the clerk. */
static int write_transfer(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    const struct bank_clerk *clerk = ctx;
    const int nth = (int)bank_written_down(clerk->number);
    const int from = (clerk->number * 3 + nth) % ACCOUNTS;
    const int to = (from + 1 + nth % (ACCOUNTS - 1)) % ACCOUNTS;
    char sql[100];
    int rc;

    do_if(clerk->before_write, clerk->number);
    rc = move(from, -1 - nth % 5, conn, err);
    if (rc == LIDO_OK)
        do_if(clerk->half_way, clerk->number);
    if (rc == LIDO_OK)
        rc = move(to, 1 + nth % 5, conn, err);
    snprintf(sql, sizeof sql, "UPDATE clerks SET made = made + 1 WHERE id = %d",
             clerk->number);
    if (rc == LIDO_OK)
        rc = lido_conn_exec(conn, sql, err);
    if (rc == LIDO_OK)
        do_if(clerk->after_write, clerk->number);
    return rc;
}

static int transfer_by_lease(const struct bank_clerk *clerk, lido_pool *pool,
                             struct lido_error *err)
{
    struct lido_conn conn;
    int later, rc = lido_pool_checkout(pool, &conn, NULL, err);

    if (rc != LIDO_OK)
        return rc;
    rc = lido_txn_begin(&conn, LIDO_IMMEDIATE, err);
    if (rc == LIDO_OK)
        rc = write_transfer((void *)(uintptr_t)clerk, &conn, err);
    if (rc == LIDO_OK)
        rc = lido_txn_commit(&conn, NULL, err);
    if (rc == LIDO_OK)
        do_if(clerk->after_commit, clerk->number);
    later = lido_conn_checkin(&conn, NULL, rc == LIDO_OK ? err : NULL);
    return rc != LIDO_OK ? rc : later;
}

int bank_transfer(const struct bank_clerk *clerk, lido_pool *pool, struct lido_error *err)
{
    int rc;

    if (clerk->by_runner) {
        rc = lido_pool_run(pool, LIDO_IMMEDIATE, write_transfer, (void *)(uintptr_t)clerk,
                           NULL, err);
        if (rc == LIDO_OK)
            do_if(clerk->after_commit, clerk->number);
    } else {
        rc = transfer_by_lease(clerk, pool, err);
    }
    if (rc == LIDO_OK)
        atomic_fetch_add(&written_down[clerk->number], 1);
    return rc;
}

static void *work(void *arg)
{
    struct bank_member *self = arg;

    for (int i = 0; i < self->each && self->rc == LIDO_OK; i++) {
        self->clerk.by_runner = (i + self->clerk.number) % 2 == 0;
        self->rc = bank_transfer(&self->clerk, self->pool, &self->err);
    }
    return NULL;
}

void bank_team_prepare(struct bank_team *team, lido_pool *pool, int first, int count,
                       int each)
{
    *team = (struct bank_team){ .count = count };
    for (int i = 0; i < count; i++)
        team->members[i] = (struct bank_member){
            .clerk.number = first + i,
            .pool = pool,
            .each = each,
        };
}

void bank_team_go(struct bank_team *team)
{
    for (int i = 0; i < team->count; i++)
        if (pthread_create(&team->members[i].thread, NULL, work, &team->members[i]) != 0)
            abort();
}

void bank_team_start(struct bank_team *team, lido_pool *pool, int first, int count,
                     int each)
{
    bank_team_prepare(team, pool, first, count, each);
    bank_team_go(team);
}

int bank_team_end(struct bank_team *team)
{
    int rc = LIDO_OK;

    for (int i = 0; i < team->count; i++) {
        struct bank_member *member = &team->members[i];

        pthread_join(member->thread, NULL);
        if (member->rc == LIDO_OK)
            continue;
        dprintf(2, "clerk %d, after %ld transfers: %s: %s\n", member->clerk.number,
                bank_written_down(member->clerk.number), lido_status_name(member->rc),
                member->err.text);
        rc = rc != LIDO_OK ? rc : member->rc;
    }
    return rc;
}

int bank_foreign_begin(void)
{
    return other_run("BEGIN IMMEDIATE");
}

void bank_foreign_end(void)
{
    int rc;

    cr_assert_eq(other_run("UPDATE accounts SET amount = amount - 1 WHERE id = 0;"
                           "UPDATE accounts SET amount = amount + 1 WHERE id = 7;"
                           "UPDATE clerks SET made = made + 1 WHERE id = 0"),
                 SQLITE_OK);
    while ((rc = other_run("COMMIT")) ==
           SQLITE_BUSY) /* a reader, with a rollback journal */
        sched_yield();
    cr_assert_eq(rc, SQLITE_OK);
    atomic_fetch_add(&written_down[BANK_FOREIGN], 1);
}

void bank_foreign_transfer(void)
{
    int rc;

    while ((rc = bank_foreign_begin()) == SQLITE_BUSY)
        sched_yield();
    cr_assert_eq(rc, SQLITE_OK);
    bank_foreign_end();
}

long bank_written_down(int number)
{
    return atomic_load(&written_down[number]);
}

/* --- what is there ---------------------------------------------------------------------- */

static sqlite3_int64 ask(sqlite3 *db, const char *sql, const char *when)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3_int64 answer;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    cr_assert_eq(rc, SQLITE_ROW, "%s: %s: %s", when, sql, sqlite3_errmsg(db));
    answer = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return answer;
}

static sqlite3 *look(void)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 60000); /* for who tidies up after one that was killed */
    return db;
}

static long made_by(sqlite3 *db, int number, const char *when)
{
    char sql[100];

    snprintf(sql, sizeof sql, "SELECT made FROM clerks WHERE id = %d", number);
    return (long)ask(db, sql, when);
}

long bank_made(int number)
{
    sqlite3 *db = look();
    long made = made_by(db, number, "a look");

    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    return made;
}

void bank_expect_sound(int killed, const char *when)
{
    sqlite3 *db = look();

    cr_assert_eq(ask(db,
                     "SELECT count(*) FROM pragma_integrity_check "
                     "WHERE integrity_check = 'ok'",
                     when),
                 1, "%s: not sound", when);
    cr_assert_eq(ask(db, "SELECT sum(amount) FROM accounts", when), ACCOUNTS * EACH,
                 "%s: the sum is another", when);
    for (int i = 0; i < BANK_CLERKS; i++) {
        const long told = bank_written_down(i), made = made_by(db, i, when);

        cr_assert(made == told || (i == killed && made == told + 1),
                  "%s: clerk %d made %ld transfers, and was told of %ld", when, i, made,
                  told);
    }
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}
