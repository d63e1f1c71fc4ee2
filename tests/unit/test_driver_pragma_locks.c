/* SPDX-License-Identifier: MIT */
/*
 * What the pragmas of a new connection cost in the file: it is locked and read once for all of
 * them, and not at all for those that need nothing of it.
 *
 * SQLite reads the schema when a pragma, or any statement, first needs it, and keeps it.  So
 * one list of pragmas is one lock, in whatever order; a transaction around the list would
 * be a second one, and SQLite refuses some of them inside.  This counts what a file system in
 * front of SQLite's own is asked for the database file.
 */
#include "own_folder.h"

#include <lido/lido.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The file system that counts. */

static const sqlite3_io_methods *real; /* those of SQLite's own for a database file */
static sqlite3_io_methods counting;
static sqlite3_vfs *below, vfs;
static struct {
    int opens;  /* of any file, the log of WAL too */
    int locks;  /* of the database, from no lock to a shared one */
    int shared; /* of WAL's shared memory, to read */
    int reads;  /* of the database */
} count;

static int count_lock(sqlite3_file *file, int level)
{
    count.locks += level == SQLITE_LOCK_SHARED;
    return real->xLock(file, level);
}

static int count_read(sqlite3_file *file, void *out, int size, sqlite3_int64 at)
{
    count.reads++;
    return real->xRead(file, out, size, at);
}

static int count_shm_lock(sqlite3_file *file, int first, int n, int flags)
{
    count.shared += flags == (SQLITE_SHM_LOCK | SQLITE_SHM_SHARED);
    return real->xShmLock(file, first, n, flags);
}

static int count_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags,
                      int *out_flags)
{
    int rc = below->xOpen(below, name, file, flags, out_flags);

    (void)self;
    count.opens++;
    if (rc != SQLITE_OK || (flags & SQLITE_OPEN_MAIN_DB) == 0)
        return rc;
    real = file->pMethods;
    counting = *real;
    counting.xLock = count_lock;
    counting.xRead = count_read;
    counting.xShmLock = count_shm_lock;
    file->pMethods = &counting;
    return rc;
}

/* A database of many tables, and a pool that opens anew at each checkout. */

static char folder[] = "/tmp/lido-pragma-locks-XXXXXX";
static char path[60];
static const char *mode; /* of the journal, which the file has already */
static sqlite3 *keeper;  /* so that no connection is the last, which would clear the log */

static void run(sqlite3 *db, const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

static void make_database(const char *journal_mode)
{
    char sql[80];

    mode = journal_mode;
    cr_assert_eq(sqlite3_open(path, &keeper), SQLITE_OK);
    snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", mode);
    run(keeper, sql);
    for (int i = 0; i < 40; i++) {
        snprintf(sql, sizeof sql, "CREATE TABLE t%d (a PRIMARY KEY, b, c)", i);
        run(keeper, sql);
    }
}

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.db", folder);
    below = sqlite3_vfs_find(NULL);
    vfs = *below;
    vfs.pNext = NULL;
    vfs.zName = "counting";
    vfs.xOpen = count_open;
    cr_assert_eq(sqlite3_vfs_register(&vfs, 0), SQLITE_OK);
}

static void tear_down(void)
{
    cr_assert_eq(sqlite3_close(keeper), SQLITE_OK);
    unlink(path);
    own_folder_end(folder);
}

TestSuite(pragma_locks, .init = set_up, .fini = tear_down);

/* Counts what a checkout of a new connection with these keys asks of the file.  A value that
   is "MODE" is that of the file. */
static struct lido_conn connect_with(lido_pool **pool, const char *keys)
{
    const char *found = strstr(keys, "MODE");
    struct lido_error err = LIDO_ERROR_INIT;
    struct lido_conn conn;
    char url[1000];

    snprintf(url, sizeof url, "sqlite:///%s?pool=queue&vfs=counting&%.*s%s%s", path,
             found != NULL ? (int)(found - keys) : (int)strlen(keys), keys,
             found != NULL ? mode : "", found != NULL ? found + 4 : "");
    cr_assert_eq(lido_pool_open(pool, url, NULL, &err), LIDO_OK, "%s: %s", url, err.text);
    memset(&count, 0, sizeof count);
    cr_assert_eq(lido_pool_checkout(*pool, &conn, NULL, &err), LIDO_OK, "%s: %s", keys,
                 err.text);
    return conn;
}

static void end(lido_pool *pool, struct lido_conn *conn)
{
    cr_assert_eq(lido_conn_checkin(conn, NULL, NULL), LIDO_OK);
    lido_pool_free(pool);
}

static void expect_locks(const char *keys, int locks)
{
    lido_pool *pool;
    struct lido_conn conn = connect_with(&pool, keys);

    if (strcmp(mode, "wal") == 0) {
        cr_expect_eq(count.locks, locks > 0, "%s: %d locks", keys, count.locks);
        cr_expect_eq(count.shared, locks, "%s: %d of the log's", keys, count.shared);
        cr_expect_eq(count.opens, 1 + (locks > 0), "%s: %d opened", keys, count.opens);
    } else {
        cr_expect_eq(count.locks, locks, "%s: %d locks", keys, count.locks);
        cr_expect_eq(count.opens, 1, "%s: %d opened", keys, count.opens);
        /* The head of the file is read without a lock, by the opening itself. */
        cr_expect_eq(count.reads > 1, locks > 0, "%s: %d reads", keys, count.reads);
    }
    end(pool, &conn);
}

/* Each pragma that the driver knows, and how often it alone locks the file: to read the
   schema, and max_page_count twice more, to be set and to be asked. */
static const struct {
    const char *key;
    int locks;
} settings[] = {
    { "analysis_limit=100", 0 },
    { "auto_vacuum=none", 1 },
    { "automatic_index=1", 0 },
    { "cache_size=-4000", 1 },
    { "case_sensitive_like=1", 0 },
    { "cell_size_check=1", 0 },
    { "checkpoint_fullfsync=1", 0 },
    { "foreign_keys=1", 0 },
    { "fullfsync=0", 0 },
    { "ignore_check_constraints=1", 0 },
    { "journal_mode=MODE", 1 },
    { "journal_size_limit=1000", 0 },
    { "locking_mode=normal", 0 },
    { "max_page_count=100000", 3 },
    { "mmap_size=0", 0 },
    { "page_size=4096", 0 },
    { "query_only=0", 0 },
    { "read_uncommitted=0", 0 },
    { "recursive_triggers=1", 0 },
    { "reverse_unordered_selects=0", 0 },
    { "secure_delete=fast", 0 },
    { "synchronous=normal", 1 },
    { "temp_store=memory", 0 },
    { "threads=0", 0 },
    { "wal_autocheckpoint=100", 0 },
};
enum { N_SETTINGS = sizeof settings / sizeof settings[0] };

static void expect_each_alone(void)
{
    for (int i = 0; i < N_SETTINGS; i++)
        expect_locks(settings[i].key, settings[i].locks);
}

/* All that lock once or never, forwards or backwards. */
static void expect_one_lock_for_all(bool is_backwards)
{
    char keys[800] = "";
    size_t used = 0;

    for (int i = 0; i < N_SETTINGS; i++) {
        int at = is_backwards ? N_SETTINGS - 1 - i : i;

        if (settings[at].locks <= 1)
            used += (size_t)snprintf(keys + used, sizeof keys - used, "%s%s",
                                     used > 0 ? "&" : "", settings[at].key);
    }
    expect_locks(keys, 1);
}

Test(pragma_locks, a_pragma_locks_the_file_only_if_it_needs_the_schema)
{
    make_database("delete");
    expect_each_alone();
}

Test(pragma_locks, a_pragma_reads_the_log_only_if_it_needs_the_schema)
{
    make_database("wal");
    expect_each_alone();
}

Test(pragma_locks, a_whole_list_locks_the_file_once)
{
    make_database("delete");
    expect_one_lock_for_all(false);
    expect_one_lock_for_all(true);
    expect_locks("synchronous=normal&max_page_count=100000&cache_size=77", 3);
}

Test(pragma_locks, a_whole_list_reads_the_log_once)
{
    make_database("wal");
    expect_one_lock_for_all(false);
    expect_one_lock_for_all(true);
    expect_locks("profile=server", 1);
}

/* What was read for the pragmas is not read again for the first statement. */
Test(pragma_locks, the_first_statement_finds_the_schema_read)
{
    struct lido_conn conn;
    lido_pool *pool;
    int reads;

    make_database("delete");
    conn = connect_with(&pool, "synchronous=normal&foreign_keys=1");
    reads = count.reads;
    cr_expect_gt(reads, 1);
    run(lido_conn_sqlite(&conn), "SELECT a FROM t7");
    cr_expect_eq(count.locks, 2, "the statement's own");
    cr_expect_leq(count.reads, reads + 2,
                  "whether the file changed, and a page of the table");
    end(pool, &conn);
}
