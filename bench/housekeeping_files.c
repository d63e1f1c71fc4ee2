/* SPDX-License-Identifier: MIT */
/*
 * lido-bench housekeeping: the databases that jobs work on.
 *
 * A row has a key, two texts, a real that needs most of its digits, an integer and a blob of 40
 * bytes: some 200 bytes.  One text in sixteen has a quote in it.  The content is the same in
 * each run.
 *
 * Threads: one at a time.
 */
#include "housekeeping.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define ROWS_PER_MB 4600

static const char rows_sql[] =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
    "INSERT INTO item SELECT i, printf('item %%08x', i * 2654435761 & 0xffffffff), "
    "i * 0.37 + 1.0 / (i %% 97 + 3), i * 7919 %% 100003, "
    "CASE WHEN i & 15 THEN 'of ' ELSE 'it''s ' END || printf('%%.60c, %%d', 'a', i), "
    "CAST(printf('%%020d%%020x', i, i * 48271) AS BLOB) FROM n;";

static int make(sqlite3 *db, unsigned megabytes, bool has_index)
{
    const unsigned blobs = megabytes / 5;
    char *sql = sqlite3_mprintf(rows_sql, (int)(megabytes - blobs) * ROWS_PER_MB);
    int rc = sqlite3_exec(
        db,
        "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN;"
        "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, amount REAL, count INT, "
        "note TEXT, data BLOB);"
        "CREATE TABLE file(name TEXT UNIQUE, content BLOB);",
        NULL, NULL, NULL);

    if (rc == SQLITE_OK)
        rc = sql != NULL ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
    for (unsigned i = 0; rc == SQLITE_OK && i < blobs; i++)
        rc = sqlite3_exec(db,
                          "INSERT INTO file SELECT 'file ' || (count(*) + 1), "
                          "CAST(printf('%.1000000c', char(65 + count(*) % 26)) AS BLOB) "
                          "FROM file",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK && has_index)
        rc = sqlite3_exec(db, "CREATE INDEX item_by_name ON item(name)", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc;
}

int housekeeping_make(const char *path, unsigned megabytes, bool has_index,
                      struct lido_error *err)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open(path, &db);

    if (rc == SQLITE_OK)
        rc = make(db, megabytes, has_index);
    if (rc != SQLITE_OK)
        lido_fail(err, rc, "making %s: %s", path, sqlite3_errmsg(db));
    sqlite3_close(db);
    return rc;
}

int housekeeping_make_empty(const char *path, struct lido_error *err)
{
    sqlite3 *db = NULL;
    int rc;

    housekeeping_remove(path);
    rc = sqlite3_open(path, &db);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA user_version=1", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        lido_fail(err, rc, "making %s: %s", path, sqlite3_errmsg(db));
    sqlite3_close(db);
    return rc;
}

/* No connection of this process is open to either. */
int housekeeping_copy_file(const char *from, const char *into, struct lido_error *err)
{
    const int in = open(from, O_RDONLY | O_CLOEXEC);
    const int out = open(into, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t moved = in < 0 || out < 0 ? -1 : 1;
    int number;

    while (moved > 0)
        moved = sendfile(out, in, NULL, 1 << 24);
    number = errno;
    if (in >= 0)
        close(in);
    if (out >= 0 && close(out) != 0 && moved == 0) {
        number = errno;
        moved = -1;
    }
    if (moved == 0)
        return LIDO_OK;
    return lido_fail(err, SQLITE_IOERR, "could not copy %s: %s", from, strerror(number));
}

void housekeeping_remove(const char *path)
{
    static const char *const suffixes[] = { "", "-journal", "-wal", "-shm" };
    char name[HOUSEKEEPING_PATH + 16];

    for (unsigned i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}
