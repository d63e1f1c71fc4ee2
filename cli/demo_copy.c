/* SPDX-License-Identifier: MIT */
/*
 * The copy: made by SQLite's backup, page by page, into a directory of our own.
 *
 * The source is opened immutable through a URI, in which the path is escaped, so a name may
 * hold '?', '%' and '#'.  All that the demo makes lies in that directory and goes with it.
 *
 * Threads: one.
 */
#include "cli/demo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGES_A_STEP = 512 }; /* 2 MB: some milliseconds, between two looks at the signals */

char *demo_uri(const char *scheme, const char *path, const char *query)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~/";
    char *uri = malloc(strlen(scheme) + 3 * strlen(path) + strlen(query) + 1);
    char *at = uri;

    if (uri == NULL)
        return NULL;
    at += sprintf(at, "%s", scheme);
    for (; *path != '\0'; path++) {
        if (strchr(plain, *path) != NULL)
            *at++ = *path;
        else
            at += sprintf(at, "%%%02X", (unsigned char)*path);
    }
    memcpy(at, query, strlen(query) + 1);
    return uri;
}

static int tell_sqlite(const char *name, int rc, sqlite3 *db, struct demo_error *error)
{
    const char *said = db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(db);

    switch (rc & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return demo_fail(error, CLI_NO_DATABASE, "'%s' is not a sound database: %s", name,
                         said);
    case SQLITE_CANTOPEN:
        return demo_fail(error, CLI_NO_DATABASE, "'%s' cannot be opened: %s", name, said);
    default:
        return demo_fail(error, CLI_FAILED, "'%s' could not be copied: %s", name, said);
    }
}

/* Opens it without a lock or a trace, and sees that it is a database. */
static int open_immutable(sqlite3 **db, const char *path, struct demo_error *error)
{
    char *uri = demo_uri("file://", path, "?immutable=1");
    int rc;

    *db = NULL;
    if (uri == NULL)
        return demo_fail(error, CLI_FAILED, "out of memory");
    rc = sqlite3_open_v2(uri, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    free(uri);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(*db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    return rc == SQLITE_OK ? CLI_OK : tell_sqlite(path, rc, *db, error);
}

/* Copies all pages of `from` into the new file `path`. */
static int copy_pages(sqlite3 *from, const char *from_name, const char *path,
                      struct progress *progress, struct demo_error *error)
{
    sqlite3 *to = NULL;
    sqlite3_backup *backup = NULL;
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    int answer = CLI_OK;

    if (rc != SQLITE_OK)
        answer = demo_fail(error, CLI_FAILED, "'%s' could not be made: %s", path,
                           to == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(to));
    if (rc == SQLITE_OK) {
        backup = sqlite3_backup_init(to, "main", from, "main");
        rc = backup == NULL ? sqlite3_extended_errcode(to) : SQLITE_OK;
    }
    while (rc == SQLITE_OK && answer == CLI_OK) {
        int total, left;

        rc = sqlite3_backup_step(backup, PAGES_A_STEP);
        total = sqlite3_backup_pagecount(backup);
        left = sqlite3_backup_remaining(backup);
        if (progress != NULL && rc == SQLITE_OK)
            progress_draw(progress,
                          &(struct progress_state){
                              .title = "copy",
                              .fraction = total > 0 ? (double)(total - left) / total : -1,
                              .done = total - left,
                              .noun = "pages",
                              .per_s = -1,
                              .waiting = -1,
                              .left_s = -1,
                          },
                          cli_now_ns());
        answer = demo_interrupted(error);
    }
    if (backup != NULL) {
        int finished = sqlite3_backup_finish(backup);

        if (rc == SQLITE_DONE)
            rc = finished;
    }
    if (answer == CLI_OK && rc != SQLITE_OK)
        answer = tell_sqlite(from_name, rc, to, error);
    sqlite3_close(to);
    return answer;
}

/* Makes the directory, in $TMPDIR or /tmp, and names the copy in it. */
static int make_dir(struct demo_copy *copy, struct demo_error *error)
{
    const char *base = getenv("TMPDIR");
    char *dir = NULL;

    if (base == NULL || base[0] == '\0')
        base = "/tmp";
    base = realpath(base, NULL);
    if (base == NULL || asprintf(&dir, "%s/lido-demo-XXXXXX", base) < 0 ||
        mkdtemp(dir) == NULL) {
        demo_fail(error, CLI_FAILED, "could not make a temporary directory: %s",
                  strerror(errno));
        free(dir);
        free((char *)base);
        return CLI_FAILED;
    }
    free((char *)base);
    copy->dir = dir;
    if (asprintf(&copy->path, "%s/copy.db", dir) < 0) {
        copy->path = NULL;
        demo_fail(error, CLI_FAILED, "out of memory");
        return CLI_FAILED;
    }
    return CLI_OK;
}

int demo_copy_make(struct demo_copy *copy, const struct demo_original *original,
                   struct progress *progress, struct demo_error *error)
{
    sqlite3 *from = NULL;
    char difference[128];
    struct stat file;
    int answer;

    memset(copy, 0, sizeof *copy);
    answer = open_immutable(&from, original->path, error);
    if (answer == CLI_OK)
        answer = make_dir(copy, error);
    if (answer == CLI_OK)
        answer = copy_pages(from, original->path, copy->path, progress, error);
    sqlite3_close(from);
    progress_clear(progress);
    if (answer != CLI_OK)
        return answer;

    /* An immutable read sees no lock, so what came meanwhile is looked for afterwards. */
    answer = demo_original_recheck(original, error);
    if (answer == CLI_OK &&
        !demo_original_is_untouched(original, difference, sizeof difference))
        answer = demo_fail(error, CLI_BUSY, "'%s' changed while it was copied: %s",
                           original->path, difference);
    if (answer == CLI_OK && stat(copy->path, &file) == 0)
        copy->size = file.st_size;
    return answer;
}

int demo_copy_keep(const struct demo_copy *copy, const char *name, struct demo_error *error)
{
    sqlite3 *from = NULL;
    char *path = NULL;
    int answer, fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd < 0)
        return demo_fail(error, CLI_FAILED, "the copy could not be kept as '%s': %s", name,
                         strerror(errno));
    close(fd); /* ours and new: nobody holds a lock in it */
    path = realpath(name, NULL);
    if (path == NULL)
        answer = demo_fail(error, CLI_FAILED, "the copy could not be kept as '%s': %s",
                           name, strerror(errno));
    else
        answer = demo_copy_open(copy, &from, error);
    if (answer == CLI_OK)
        answer = copy_pages(from, copy->path, path, NULL, error);
    sqlite3_close(from);
    if (answer != CLI_OK)
        unlink(path == NULL ? name : path);
    free(path);
    return answer;
}

int demo_copy_open(const struct demo_copy *copy, sqlite3 **db, struct demo_error *error)
{
    int rc = sqlite3_open_v2(copy->path, db, SQLITE_OPEN_READWRITE, NULL);

    if (rc != SQLITE_OK)
        return demo_fail(error, CLI_FAILED, "the copy could not be opened: %s",
                         *db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(*db));
    sqlite3_extended_result_codes(*db, 1);
    sqlite3_progress_handler(*db, 10000, demo_sqlite_interrupt, NULL);
    return CLI_OK;
}

void demo_copy_fini(struct demo_copy *copy)
{
    DIR *entries = copy->dir == NULL ? NULL : opendir(copy->dir);
    struct dirent *entry;

    while (entries != NULL && (entry = readdir(entries)) != NULL)
        unlinkat(dirfd(entries), entry->d_name, 0); /* fails for . and .. */
    if (entries != NULL)
        closedir(entries);
    if (copy->dir != NULL)
        rmdir(copy->dir);
    for (size_t i = 0; i < copy->n_tables; i++)
        sqlite3_free(copy->tables[i].read);
    free(copy->tables);
    free(copy->path);
    free(copy->dir);
    memset(copy, 0, sizeof *copy);
}
