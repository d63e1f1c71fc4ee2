/* SPDX-License-Identifier: MIT */
/*
 * lido-bench housekeeping: one job, in a process that does nothing else.
 *
 * So its time can be compared with that of the sqlite3 shell, which is a process too, and the
 * most memory that it ever had is that of the job.  What a job does not need is not loaded
 * into memory: the text of a dump goes to a file, that of a load comes from one.
 *
 * Threads: one.
 */
#include "command.h"
#include "housekeeping.h"

#include <lido/lido.h>

#include <stdlib.h>
#include <string.h>

/* --- lido's ----------------------------------------------------------------------------- */

static int backup(const char *from, const char *into, struct lido_error *err)
{
    struct lido_backup_options options = LIDO_BACKUP_OPTIONS_INIT;

    options.check = 0; /* the shell does not either */
    return lido_backup(lido_at_path(from), into, &options, NULL, err);
}

static int backup_checked(const char *from, const char *into, struct lido_error *err)
{
    return lido_backup(lido_at_path(from), into, NULL, NULL, err);
}

static int write_line(void *out, const char *text, size_t length, struct lido_error *err)
{
    if (fwrite(text, 1, length, out) == length)
        return LIDO_OK;
    return lido_fail(err, SQLITE_IOERR_WRITE, "could not write the text");
}

static int dump(const char *from, const char *into, struct lido_error *err)
{
    FILE *out = fopen(into, "we");
    int rc;

    if (out == NULL)
        return lido_fail(err, SQLITE_CANTOPEN, "could not make %s", into);
    rc = lido_dump(lido_at_path(from), NULL, write_line, out, err);
    if (fclose(out) != 0 && rc == LIDO_OK)
        rc = lido_fail(err, SQLITE_IOERR_WRITE, "could not write %s", into);
    return rc;
}

static int read_text(void *in, char *buffer, size_t size, size_t *length,
                     struct lido_error *err)
{
    *length = fread(buffer, 1, size, in);
    if (*length == 0 && ferror((FILE *)in))
        return lido_fail(err, SQLITE_IOERR_READ, "could not read the text");
    return LIDO_OK;
}

static int load(const char *from, const char *into, struct lido_error *err)
{
    FILE *in = fopen(from, "re");
    int rc;

    if (in == NULL)
        return lido_fail(err, SQLITE_CANTOPEN, "could not open %s", from);
    rc = lido_load(lido_at_path(into), NULL, read_text, in, NULL, err);
    fclose(in);
    return rc;
}

static int copy(const char *from, const char *into, struct lido_error *err)
{
    struct lido_table_copy_options options = LIDO_TABLE_COPY_OPTIONS_INIT;

    options.new_name = "copied";
    options.indexes = 0; /* what it is compared with has none either */
    return lido_table_copy(lido_at_path(from), "item", lido_at_path(into), &options, NULL,
                           err);
}

static int check(const char *from, const char *into, struct lido_error *err)
{
    struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;
    struct lido_check found = LIDO_CHECK_INIT;
    int rc;

    (void)into;
    options.depth = LIDO_DEPTH_FULL;
    rc = lido_check(lido_at_path(from), &options, &found, err);
    if (rc == LIDO_OK && found.verdict != LIDO_CHECK_SOUND)
        rc = lido_fail(err, SQLITE_CORRUPT, "%s: %s", from, found.text);
    return rc;
}

/* --- SQLite's --------------------------------------------------------------------------- */

/* INSERT ... SELECT as a person writes it: into a table of the same text, all columns. */
static int bare_copy(const char *from, const char *into, struct lido_error *err)
{
    sqlite3 *db = NULL;
    char *sql;
    int rc = sqlite3_open(into, &db);

    sql = sqlite3_mprintf(
        "ATTACH %Q AS other; BEGIN IMMEDIATE;"
        "CREATE TABLE copied(id INTEGER PRIMARY KEY, name TEXT, amount REAL, count INT, "
        "note TEXT, data BLOB);"
        "INSERT INTO main.copied SELECT * FROM other.item; COMMIT; DETACH other",
        from);
    if (rc == SQLITE_OK)
        rc = sql != NULL ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
    if (rc != SQLITE_OK)
        lido_fail(err, rc, "copying %s: %s", from, sqlite3_errmsg(db));
    sqlite3_free(sql);
    sqlite3_close(db);
    return rc;
}

static int bare_copy_in_file(const char *from, const char *into, struct lido_error *err)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open(from, &db);

    (void)into;
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db,
                          "BEGIN IMMEDIATE;"
                          "CREATE TABLE copied(id INTEGER PRIMARY KEY, name TEXT, amount "
                          "REAL, count INT, "
                          "note TEXT, data BLOB);"
                          "INSERT INTO main.copied SELECT * FROM main.item; COMMIT",
                          NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        lido_fail(err, rc, "copying in %s: %s", from, sqlite3_errmsg(db));
    sqlite3_close(db);
    return rc;
}

/* ---------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*run)(const char *from, const char *into, struct lido_error *err);
} jobs[] = {
    { "backup", backup },       { "backup_checked", backup_checked },
    { "bare_copy", bare_copy }, { "bare_copy_in_file", bare_copy_in_file },
    { "check", check },         { "copy", copy },
    { "dump", dump },           { "load", load },
};

/* What the system kept of it; getrusage() would count what the parent had before exec. */
static long read_peak_kb(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    long peak = 0;

    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak = strtol(line + 6, NULL, 10);
    if (status != NULL)
        fclose(status);
    return peak;
}

int housekeeping_job(const char *name, const char *from, const char *into)
{
    struct lido_error err = LIDO_ERROR_INIT;

    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        const int64_t began_ns = housekeeping_clock();
        int rc;

        if (strcmp(jobs[i].name, name) != 0)
            continue;
        rc = jobs[i].run(from, into, &err);
        if (rc == LIDO_OK) {
            printf("%lld %ld\n", (long long)(housekeeping_clock() - began_ns),
                   read_peak_kb());
            return EXIT_OK;
        }
        fprintf(stderr, "lido-bench housekeeping: %s: %s: %s\n", name, lido_status_name(rc),
                err.text);
        return EXIT_FAILED;
    }
    fprintf(stderr, "lido-bench housekeeping: there is no job '%s'\n", name);
    return EXIT_USAGE;
}
