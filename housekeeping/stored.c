/* SPDX-License-Identifier: MIT */
/*
 * A stored database: a file that is read and checked, and left as it is.
 *
 * To look must leave no trace: a plain connection to a file in WAL mode makes a log and a
 * `-shm` beside it.  One that is told the file is immutable makes none, but sees no log and
 * takes no lock.  So the header is read as immutable, through SQLite's own file object: a
 * descriptor of our own would drop the locks of this process when it is closed.  A file in WAL
 * mode with no log beside it is open nowhere, and stays immutable; any other is opened again,
 * read-only, with its locks and its log.  Who opens an immutable one later is not kept from
 * writing: its time and size tell.
 *
 * Collations that the host has and this connection lacks are no damage: quick_check needs them
 * to be there, not to be right.
 *
 * Threads: one.
 */
#include "housekeeping/stored.h"

#include "base/sync.h"
#include "housekeeping/lockers.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HEADER_SIZE 100
#define LOCK_MS     5000
#define NAP_MS      10

/* With the system's reason, as that this user may not read it. */
static void fail_open(sqlite3 *db, int rc, const char *path, struct lido_error *err)
{
    const int number = (rc & 0xff) == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;
    char text[LIDO__REASON_SIZE];

    lido_fail(err, rc, "cannot open %.120s: %s%s%s%s", path, sqlite3_errstr(rc),
              number != 0 ? " (" : "", number != 0 ? lido__reason(number, text) : "",
              number != 0 ? ")" : "");
    if (err != NULL)
        err->sys_errno = number;
}

static int connect(struct lido__stored *stored, const char *path, bool is_immutable,
                   struct lido_error *err)
{
    char *uri = lido__database_uri(path, is_immutable);
    int rc;

    if (uri == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    rc = sqlite3_open_v2(uri, &stored->db,
                         SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_PRIVATECACHE,
                         NULL);
    sqlite3_free(uri);
    if (rc != SQLITE_OK) {
        fail_open(stored->db, rc, path, err);
        lido__stored_close(stored);
    }
    return rc;
}

static int read_header(sqlite3 *db, unsigned char header[HEADER_SIZE], sqlite3_int64 *size)
{
    sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

    if (rc == SQLITE_OK && (file == NULL || file->pMethods == NULL))
        rc = SQLITE_CANTOPEN;
    if (rc == SQLITE_OK)
        rc = file->pMethods->xFileSize(file, size);
    if (rc == SQLITE_OK && *size >= HEADER_SIZE)
        rc = file->pMethods->xRead(file, header, HEADER_SIZE, 0);
    return rc;
}

static int look(struct lido__stored *stored, const char *path, bool *is_wal,
                struct lido_error *err)
{
    unsigned char header[HEADER_SIZE];
    sqlite3_int64 size = 0;
    int rc = read_header(stored->db, header, &size);

    if (rc != SQLITE_OK)
        return lido_fail(err, rc, "cannot read %.150s: %s", path, sqlite3_errstr(rc));
    if (size == 0)
        return lido_fail(err, SQLITE_NOTADB, "%.150s is empty", path);
    if (size < HEADER_SIZE || memcmp(header, "SQLite format 3", 16) != 0)
        return lido_fail(err, SQLITE_NOTADB, "%.150s is no database of SQLite", path);
    stored->page_size = (unsigned)header[16] << 8 | header[17];
    if (stored->page_size == 1)
        stored->page_size = 65536;
    if (stored->page_size != 0) /* else SQLite will say that it is none of its own */
        stored->pages = (uint64_t)size / stored->page_size;
    *is_wal = header[19] == 2;
    stored->encoding = header[59];
    return LIDO_OK;
}

/* SQLite's own wait would not hear that the job is to end. */
static int wait_for_lock(void *ctx, int count)
{
    const struct lido__stored *stored = ctx;

    (void)count;
    if (lido__wait_ns(NULL) >= stored->deadline_ns ||
        lido__work_check(stored->work, NULL) != LIDO_OK)
        return 0;
    poll(NULL, 0, NAP_MS);
    return 1;
}

/* A read transaction: what others write from now on is not seen. */
static int pin(struct lido__stored *stored, const char *path, struct lido_error *err)
{
    int rc = sqlite3_exec(stored->db, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL,
                          NULL, NULL);

    if (rc == SQLITE_OK)
        return LIDO_OK;
    if ((rc & 0xff) == SQLITE_BUSY && lido__work_check(stored->work, NULL) != LIDO_OK)
        return lido__lock_tell(stored->db, LIDO__USE_READ,
                               lido__work_check(stored->work, err), err);
    if (sqlite3_extended_errcode(stored->db) == SQLITE_READONLY_ROLLBACK)
        return lido_fail(err, SQLITE_READONLY_ROLLBACK,
                         "%.150s has a journal of a transaction that did not end: open it "
                         "once for writing, which rolls that back",
                         path);
    rc = lido_fail(err, sqlite3_extended_errcode(stored->db), "cannot read %.150s: %s",
                   path, sqlite3_errmsg(stored->db));
    return lido__lock_tell(stored->db, LIDO__USE_READ, rc, err);
}

static int compare_bytes(void *ctx, int size, const void *one, int other_size,
                         const void *other)
{
    const int least = size < other_size ? size : other_size;
    const int order = least > 0 ? memcmp(one, other, (size_t)least) : 0;

    (void)ctx;
    return order != 0 ? order : size - other_size;
}

static void know_collation(void *ctx, sqlite3 *db, int text, const char *name)
{
    (void)ctx;
    sqlite3_create_collation(db, name, text, NULL, compare_bytes);
}

int lido__stored_open(struct lido__stored *stored, const char *path,
                      struct lido__work *work, struct lido_error *err)
{
    char log[PATH_MAX + 8];
    struct stat status;
    bool is_wal = false;
    int rc;

    *stored = (struct lido__stored){ .work = work,
                                     .deadline_ns = lido__deadline_ns(NULL, LOCK_MS) };
    if (stat(path, &status) != 0) {
        rc = lido_fail(err, SQLITE_CANTOPEN, "%.150s: %s", path,
                       lido__reason(errno, (char[LIDO__REASON_SIZE]){ 0 }));
        if (err != NULL)
            err->sys_errno = errno;
        return rc;
    }
    if (!S_ISREG(status.st_mode))
        return lido_fail(err, SQLITE_CANTOPEN, "%.150s is no file", path);
    stored->status = status;
    rc = connect(stored, path, true, err);
    if (rc == LIDO_OK)
        rc = look(stored, path, &is_wal, err);
    snprintf(log, sizeof log, "%s-wal", path);
    if (rc == LIDO_OK && (!is_wal || stat(log, &status) == 0)) {
        lido__stored_close(stored);
        rc = connect(stored, path, false, err);
        stored->has_lock = true;
        if (rc == LIDO_OK)
            sqlite3_busy_handler(stored->db, wait_for_lock, stored);
    }
    if (rc == LIDO_OK)
        sqlite3_collation_needed(stored->db, NULL, know_collation);
    if (rc == LIDO_OK)
        rc = pin(stored, path, err);
    if (rc != LIDO_OK)
        lido__stored_close(stored);
    return rc;
}

void lido__stored_close(struct lido__stored *stored)
{
    sqlite3_close(stored->db);
    stored->db = NULL;
}

int lido__stored_expect_unchanged(const struct lido__stored *stored, const char *path,
                                  struct lido_error *err)
{
    struct stat now;

    if (stored->has_lock ||
        (stat(path, &now) == 0 && now.st_ino == stored->status.st_ino &&
         now.st_dev == stored->status.st_dev && now.st_size == stored->status.st_size &&
         now.st_mtim.tv_sec == stored->status.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == stored->status.st_mtim.tv_nsec))
        return LIDO_OK;
    return lido_fail(err, SQLITE_BUSY,
                     "%.150s was written or replaced while it was read: try again when "
                     "nobody has it open",
                     path);
}

int lido__stored_check(struct lido__stored *stored, const char *path,
                       struct lido__work *work, bool *is_checked, struct lido_error *why,
                       struct lido_error *err)
{
    /* A row that breaks a CHECK is the host's affair, and its function may be too.  As of 3.40
       SQLite knows no CHECK of a database that is only read; it is told all the same. */
    static const char sql[] = "PRAGMA quick_check(1)";
    sqlite3_stmt *stmt = NULL;
    int rc = lido__work_phase(work, "checking", "pages", 0, err);

    *is_checked = false;
    if (rc != LIDO_OK)
        return rc;
    lido__work_reads(work, stored->db, stored->pages, LIDO__CHECK_READS);
    lido__work_watch(work, stored->db);
    rc = sqlite3_exec(stored->db, "PRAGMA ignore_check_constraints=ON", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(stored->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *says = (const char *)sqlite3_column_text(stmt, 0);

        *is_checked = says != NULL && strcmp(says, "ok") == 0;
        rc = *is_checked ? LIDO_OK
                         : lido_fail(err, says != NULL ? SQLITE_CORRUPT : SQLITE_NOMEM,
                                     "%.100s is damaged: %.120s", path,
                                     says != NULL ? says : "out of memory");
    } else if (rc == SQLITE_ERROR) {
        lido_fail(why, rc, "%.100s cannot be checked: %s", path,
                  sqlite3_errmsg(stored->db));
        rc = LIDO_OK;
    } else {
        rc = lido__work_fail(work, stored->db, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc,
                             "checking the file", err);
    }
    sqlite3_finalize(stmt);
    lido__work_watch(NULL, stored->db);
    return rc == LIDO_OK ? lido__work_done(work, err) : rc;
}

bool lido__database_is_file(sqlite3 *db)
{
    const char *name = sqlite3_db_filename(db, "main");
    char *vfs = NULL;
    bool is_memory;

    if (name == NULL || name[0] == '\0')
        return false;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_VFSNAME, &vfs);
    is_memory = vfs != NULL && strncmp(vfs, "memdb", 5) == 0; /* its "/name" is no file's */
    sqlite3_free(vfs);
    return !is_memory;
}

int lido__database_expect_in_place(sqlite3 *db, const char *path, struct lido_error *err)
{
    int has_moved = 0;

    sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
    return !has_moved ? LIDO_OK
                      : lido_fail(err, SQLITE_READONLY_DBMOVED,
                                  "%.150s is no longer the file that is open: it was moved "
                                  "or replaced",
                                  path);
}

/* What stands at its name now may be another's, who lets others read it. */
bool lido__database_file(sqlite3 *db, struct stat *status)
{
    return lido__database_is_file(db) &&
           stat(sqlite3_db_filename(db, "main"), status) == 0 &&
           lido__database_expect_in_place(db, "", NULL) == LIDO_OK;
}

unsigned lido__page_size(sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    unsigned size = 0;

    if (sqlite3_prepare_v2(db, "PRAGMA main.page_size", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        size = (unsigned)sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return size;
}

int lido__encoding(sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    int encoding = 0;

    if (sqlite3_prepare_v2(db, "PRAGMA encoding", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);

        encoding = name == NULL                    ? 0
                   : strcmp(name, "UTF-8") == 0    ? SQLITE_UTF8
                   : strcmp(name, "UTF-16le") == 0 ? SQLITE_UTF16LE
                                                   : SQLITE_UTF16BE;
    }
    sqlite3_finalize(stmt);
    return encoding;
}
