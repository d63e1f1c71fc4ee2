/* SPDX-License-Identifier: MIT */
/*
 * A check of a file: how it is read without a trace.
 *
 *     a look by a child --> exclusive lock? hot journal? header? --> a verdict
 *            |
 *            +-- a WAL with something in it: a private copy, and SQLite on that
 *            +-- WAL mode, nothing in it:    SQLite, immutable, and a second look: if the
 *            |                               file is another now, all again by a copy
 *            +-- rollback:                   SQLite, read-only, under its shared lock; and
 *                                            with CHECK constraints a copy, made under that
 *
 * SQLite makes -wal and -shm for any reader of a file in WAL mode, unless it is told that
 * nothing can change; whether that was true is known afterwards.  Under a hot journal it
 * would roll back.  Without a WAL a shared lock leaves no trace, and keeps what is read as
 * it is.
 *
 * Threads: any; each check is its thread's own.
 */
#include "housekeeping/check_file.h"

#include "base/alloc.h"
#include "base/sync.h"
#include "housekeeping/check_header.h"
#include "housekeeping/check_sql.h"
#include "housekeeping/child.h"

#include <lido/file.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAP_MS    10
#define MAX_TRIES 20 /* how often a file may change under the check */

/* --- a private copy -------------------------------------------------------------------- */

static int make_folder(const struct lido_check_options *options, char folder[PATH_MAX],
                       struct lido_error *err)
{
    static const char name[] = "/lido-check-XXXXXX";
    const char *within = options->copy_folder;
    int rc;

    if (within == NULL)
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): as all who read the environment */
        within = getenv("TMPDIR");
    if (within == NULL || within[0] == '\0')
        within = "/tmp";
    if (realpath(within, folder) != NULL) {
        const size_t length = strlen(folder);

        /* And room for the names in it. */
        if (length + sizeof name + 20 >= PATH_MAX)
            errno = ENAMETOOLONG;
        else {
            memcpy(folder + length, name, sizeof name);
            if (mkdtemp(folder) != NULL)
                return LIDO_OK;
        }
    }
    rc = lido_fail(err, SQLITE_CANTOPEN, "no folder for a copy can be made in %.120s: %s",
                   within, lido__reason(errno, (char[LIDO__REASON_SIZE]){ 0 }));
    if (err != NULL)
        err->sys_errno = errno;
    return rc;
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = { "db", "db-wal", "db-shm", "db-journal" };
    char path[PATH_MAX + 16];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static int open_failed(const char *path, sqlite3 *db, int rc, struct lido_error *err)
{
    rc = lido_fail(err, rc, "cannot open %.120s: %s", path,
                   db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc & 0xff));
    sqlite3_close(db);
    return rc;
}

/* Nobody else knows the copy: its wal-index is in this process's memory. */
static int check_copied(struct lido__checking *checking, const char *path,
                        struct lido_error *err)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(
        path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
        NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return open_failed(path, db, rc, err);
    rc = lido__check_sql(checking, db, false, err);
    sqlite3_close(db);
    return rc;
}

static int check_by_copy(struct lido__checking *checking, const struct lido__names *names,
                         const struct lido__looked *looked, bool *is_changed,
                         struct lido_error *err)
{
    struct lido__names *to = lido__new(sizeof *to);
    char folder[PATH_MAX];
    int rc;

    if (to == NULL)
        return lido_fail(err, SQLITE_NOMEM, "no memory to copy %.150s", names->main);
    rc = make_folder(checking->options, folder, err);
    if (rc != LIDO_OK) {
        lido__free(to);
        return rc;
    }
    snprintf(to->main, sizeof to->main, "%.*s/db", PATH_MAX - 4, folder);
    snprintf(to->wal, sizeof to->wal, "%s-wal", to->main);
    rc = lido__work_phase(&checking->work, "copying", "bytes",
                          (uint64_t)(looked->bytes + looked->wal_bytes), err);
    if (rc == LIDO_OK)
        rc = lido__child_copy(names, to, &checking->work, is_changed, err);
    if (rc == LIDO_OK && !*is_changed)
        rc = check_copied(checking, to->main, err);
    remove_folder(folder);
    lido__free(to);
    return rc;
}

/* --- SQLite on a file ------------------------------------------------------------------ */

struct patience {
    struct lido__work *work;
    int64_t deadline_ns;
};

static int wait_for_lock(void *ctx, int count)
{
    const struct patience *patience = ctx;

    (void)count;
    if (lido__wait_ns(NULL) >= patience->deadline_ns ||
        lido__work_check(patience->work, NULL) != LIDO_OK)
        return 0;
    poll(NULL, 0, NAP_MS);
    return 1;
}

/* A copy that is wanted is made while the shared lock is held, so no commit comes between. */
static int check_file(struct lido__checking *checking, const struct lido__names *names,
                      const struct lido__looked *looked, bool is_immutable,
                      int64_t deadline_ns, bool *is_changed, struct lido_error *err)
{
    const char *path = names->main;
    struct patience patience = { &checking->work, deadline_ns };
    char *uri = lido__database_uri(path, is_immutable);
    sqlite3 *db = NULL;
    int rc;

    if (uri == NULL)
        return lido_fail(err, SQLITE_NOMEM, "no memory to open %.150s", path);
    rc = sqlite3_open_v2(uri, &db,
                         SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
                             SQLITE_OPEN_PRIVATECACHE,
                         NULL);
    sqlite3_free(uri);
    if (rc != SQLITE_OK)
        return open_failed(path, db, rc, err);
    sqlite3_busy_handler(db, wait_for_lock, &patience);
    rc = lido__check_sql(checking, db, false, err);
    if (rc == LIDO_OK && checking->wants_copy)
        rc = check_by_copy(checking, names, looked, is_changed, err);
    sqlite3_close(db);
    return rc;
}

/* --- a file ---------------------------------------------------------------------------- */

static bool is_same(const struct lido__looked *one, const struct lido__looked *other)
{
    return one->device == other->device && one->inode == other->inode &&
           one->bytes == other->bytes && one->changed_ns == other->changed_ns &&
           one->status_ns == other->status_ns && one->wal_bytes == other->wal_bytes &&
           one->sys_errno == other->sys_errno && one->n_head == other->n_head &&
           memcmp(one->head, other->head, one->n_head) == 0;
}

/* The rule by which SQLite rolls back: a journal that does not begin with a zero, of which
   nobody is the writer now. */
static bool is_hot(const struct lido__looked *looked)
{
    static const unsigned char magic[] = { 0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7 };

    return looked->bytes > 0 && looked->journal_bytes > 0 && looked->journal_head[0] != 0 &&
           !looked->is_reserved &&
           (memcmp(looked->journal_head, magic, sizeof magic) == 0 ||
            memcmp(looked->head, "SQLite format 3", 16) == 0);
}

/* What the child saw, without SQLite.  No verdict: SQLite is to be asked. */
static void judge_look(struct lido__checking *checking, const struct lido__looked *looked)
{
    struct lido_check *out = &checking->out;

    out->bytes = looked->bytes;
    out->wal_bytes = looked->wal_bytes;
    out->journal_bytes = looked->journal_bytes;
    out->is_in_use = looked->is_in_use;
    if (looked->sys_errno != 0)
        lido__check_say(checking, LIDO_CHECK_UNREADABLE, "the file cannot be read: %s",
                        lido__reason(looked->sys_errno, (char[LIDO__REASON_SIZE]){ 0 }));
    else if (looked->is_exclusive)
        lido__check_say(checking, LIDO_CHECK_LOCKED,
                        "another connection has it for itself, after %lld ms of waiting",
                        (long long)checking->options->lock_timeout_ms);
    else if (is_hot(looked))
        lido__check_say(checking, LIDO_CHECK_NEEDS_RECOVERY,
                        "a transaction was cut off, and its journal of %lld bytes is to be "
                        "rolled back: open the database to write",
                        (long long)looked->journal_bytes);
    if (out->verdict == LIDO_CHECK_NONE)
        lido__check_header(checking, looked);
    if (out->verdict == LIDO_CHECK_NONE && checking->options->depth == LIDO_DEPTH_HEADER)
        lido__check_give(checking, LIDO_CHECK_SOUND);
}

static int check_once(struct lido__checking *checking, const struct lido__names *names,
                      const struct lido__looked *looked, int64_t deadline_ns, bool may_stay,
                      bool *is_changed, struct lido_error *err)
{
    const bool is_wal = checking->out.is_wal != 0;
    /* To find a journal that has ended SQLite opens it, and as root gives it to the owner of
       the database: that would be a trace. */
    const bool has_ended = looked->journal_bytes > 0 && !looked->is_reserved;
    const bool is_immutable = is_wal || (has_ended && may_stay);
    struct lido__looked again;
    int rc;

    if (looked->wal_bytes > 0 || (is_wal && !may_stay))
        return check_by_copy(checking, names, looked, is_changed, err);
    rc = check_file(checking, names, looked, is_immutable, deadline_ns, is_changed, err);
    if (rc != LIDO_OK || *is_changed || !is_immutable)
        return rc;
    rc = lido__child_look(names, &checking->work, &again, err);
    *is_changed = rc == LIDO_OK && !is_same(looked, &again);
    return rc;
}

static int check_named(struct lido__checking *checking, const struct lido__names *names,
                       struct lido_error *err)
{
    const int64_t deadline_ns = lido__deadline_ns(NULL, checking->options->lock_timeout_ms);
    bool may_stay = true;
    int n_tries = 0;

    for (;;) {
        struct lido__looked looked;
        bool is_changed = false;
        int rc = lido__child_look(names, &checking->work, &looked, err);

        if (rc != LIDO_OK)
            return rc;
        if (looked.is_exclusive && lido__wait_ns(NULL) < deadline_ns) {
            poll(NULL, 0, NAP_MS);
            continue;
        }
        lido__check_forget(checking);
        judge_look(checking, &looked);
        if (checking->out.verdict != LIDO_CHECK_NONE)
            return LIDO_OK;
        rc = check_once(checking, names, &looked, deadline_ns, may_stay, &is_changed, err);
        if (rc != LIDO_OK || !is_changed)
            return rc;
        lido__check_forget(checking);
        may_stay = false;
        checking->work.now.restarts++;
        if (++n_tries == MAX_TRIES) {
            lido__check_say(checking, LIDO_CHECK_LOCKED,
                            "others changed it while it was read, %d times", n_tries);
            return LIDO_OK;
        }
    }
}

int lido__check_path(struct lido__checking *checking, const char *path,
                     struct lido_error *err)
{
    struct lido_file file = LIDO_FILE_INIT;
    struct lido__names *names;
    int rc = lido_file_look(path, &file, err);

    if (rc != LIDO_OK)
        return rc;
    if (file.kind == LIDO_FILE_MISSING || file.kind == LIDO_FILE_BROKEN_LINK) {
        lido__check_say(checking, LIDO_CHECK_MISSING, "%s",
                        file.kind == LIDO_FILE_MISSING
                            ? "there is no such file"
                            : "it is a link to a file that is not there");
        return LIDO_OK;
    }
    if (file.kind != LIDO_FILE_REGULAR) {
        lido__check_say(checking, LIDO_CHECK_UNREADABLE,
                        file.kind == LIDO_FILE_UNREADABLE ? "this user may not read it"
                                                          : "it is %s, and no database",
                        lido_file_kind_name(file.kind));
        checking->out.bytes = file.bytes;
        return LIDO_OK;
    }
    names = lido__new(sizeof *names);
    if (names == NULL)
        return lido_fail(err, SQLITE_NOMEM, "no memory to check %.150s", path);
    rc = lido__names_of(names, path, err);
    if (rc == LIDO_OK)
        rc = lido__work_phase(&checking->work, "looking", "bytes", 0, err);
    if (rc == LIDO_OK)
        rc = check_named(checking, names, err);
    if ((rc & 0xff) == SQLITE_IOERR && rc == SQLITE_IOERR_READ) {
        lido__check_forget(checking);
        lido__check_say(checking, LIDO_CHECK_UNREADABLE, "%s",
                        err != NULL ? err->text : "the file cannot be read");
        rc = LIDO_OK;
    }
    lido__free(names);
    return rc;
}
