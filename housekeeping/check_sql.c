/* SPDX-License-Identifier: MIT */
/*
 * What SQLite says of a database: its facts, its schema, quick_check or integrity_check,
 * and foreign_key_check, in one read transaction.
 *
 * The file may be hostile.  What is off in the connection: views and triggers, functions
 * that are not known to be harmless, memory maps, attached databases; and no value may be
 * longer than twice the file, so that an expression cannot eat the memory.  An error of
 * SQLite's is a verdict if it tells of the file, and a failure if it tells of us.
 *
 * Threads: the one that runs the check.
 */
#include "housekeeping/check_sql.h"

#include "housekeeping/stored.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum stage { SCHEMA, PAGES, KEYS };

/* Settings that only fail on an SQLite that lacks them. */
static void harden(sqlite3 *db, const struct lido_check *out)
{
    static const struct {
        int what, value;
    } settings[] = {
        { SQLITE_DBCONFIG_DEFENSIVE, 1 },       { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
        { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },     { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
        { SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0 }, { SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1 },
    };
    const int64_t longest = 2 * (out->bytes + out->wal_bytes) + 1000000;

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        sqlite3_db_config(db, settings[i].what, settings[i].value, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(db, SQLITE_LIMIT_TRIGGER_DEPTH, 1);
    sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
    if (longest < sqlite3_limit(db, SQLITE_LIMIT_LENGTH, -1))
        sqlite3_limit(db, SQLITE_LIMIT_LENGTH, (int)longest);
}

/* A code that tells of the file is a verdict; another is a failure. */
static int judge(struct lido__checking *checking, sqlite3 *db, int rc, enum stage stage,
                 struct lido_error *err)
{
    const char *text = sqlite3_errmsg(db);
    const int whole = sqlite3_extended_errcode(db);
    int verdict = LIDO_CHECK_NONE;

    /* A wait for a lock that the end of the job ended is told as busy. */
    if (lido__work_check(&checking->work, err) != LIDO_OK)
        return checking->work.rc;
    switch (rc & 0xff) {
    case SQLITE_CORRUPT: verdict = LIDO_CHECK_MALFORMED; break;
    case SQLITE_NOTADB: verdict = LIDO_CHECK_ENCRYPTED; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: verdict = LIDO_CHECK_LOCKED; break;
    case SQLITE_READONLY: verdict = LIDO_CHECK_NEEDS_RECOVERY; break;
    case SQLITE_ERROR:
        verdict = stage == SCHEMA  ? LIDO_CHECK_MALFORMED
                  : stage == PAGES ? LIDO_CHECK_INCOMPLETE
                                   : LIDO_CHECK_FOREIGN_KEYS;
        break;
    case SQLITE_TOOBIG: verdict = LIDO_CHECK_INCOMPLETE; break;
    case SQLITE_IOERR:
        if (whole == SQLITE_IOERR_READ || whole == SQLITE_IOERR_SHORT_READ ||
            whole == SQLITE_IOERR_CORRUPTFS || whole == SQLITE_IOERR_DATA)
            verdict = LIDO_CHECK_UNREADABLE;
        break;
    default: break;
    }
    if (verdict == LIDO_CHECK_NONE)
        return lido__work_fail(&checking->work, db, rc, "cannot check the database", err);
    lido__check_say(checking, verdict, "%s", text);
    return LIDO_OK;
}

/* The first column of the first row. */
static int ask(sqlite3 *db, const char *sql, int64_t *out, char *text, size_t size)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
        if (out != NULL)
            *out = sqlite3_column_int64(stmt, 0);
        if (text != NULL && sqlite3_column_text(stmt, 0) != NULL)
            snprintf(text, size, "%s", (const char *)sqlite3_column_text(stmt, 0));
    }
    return rc == SQLITE_OK ? sqlite3_finalize(stmt) : rc;
}

static const char *encoding_of(const char *name)
{
    static const char *const known[] = { "UTF-8", "UTF-16le", "UTF-16be" };

    for (int i = 0; i < 3; i++)
        if (strcmp(name, known[i]) == 0)
            return known[i];
    return "";
}

static int read_facts(sqlite3 *db, struct lido_check *out)
{
    const struct {
        const char *sql;
        int64_t *out;
    } facts[] = {
        { "PRAGMA main.page_size", &out->page_size },
        { "PRAGMA main.page_count", &out->page_count },
        { "PRAGMA main.freelist_count", &out->free_pages },
        { "PRAGMA main.application_id", &out->application_id },
        { "PRAGMA main.user_version", &out->user_version },
        { "PRAGMA main.schema_version", &out->schema_version },
    };
    int64_t vacuum = 0;
    char encoding[20] = "";
    int rc = SQLITE_OK;

    for (size_t i = 0; rc == SQLITE_OK && i < sizeof facts / sizeof facts[0]; i++)
        rc = ask(db, facts[i].sql, facts[i].out, NULL, 0);
    if (rc == SQLITE_OK)
        rc = ask(db, "PRAGMA main.auto_vacuum", &vacuum, NULL, 0);
    if (rc == SQLITE_OK)
        rc = ask(db, "PRAGMA encoding", NULL, encoding, sizeof encoding);
    out->auto_vacuum = (int)vacuum;
    out->encoding = encoding_of(encoding);
    return rc;
}

static int count_schema(sqlite3 *db, struct lido_check *out)
{
    const struct {
        const char *type;
        int64_t *out;
    } kinds[] = {
        { "table", &out->n_tables },
        { "index", &out->n_indexes },
        { "view", &out->n_views },
        { "trigger", &out->n_triggers },
    };
    int64_t counts[4] = { 0, 0, 0, 0 };
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db,
                                "SELECT type FROM main.sqlite_master WHERE "
                                "type <> 'table' OR name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
                                -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(stmt, 0);

        for (int i = 0; i < 4 && type != NULL; i++)
            counts[i] += strcmp(type, kinds[i].type) == 0;
    }
    rc = sqlite3_finalize(stmt);
    for (int i = 0; i < 4 && rc == SQLITE_OK; i++)
        *kinds[i].out = counts[i];
    return rc;
}

/* The letters alone will do: a name or a comment with them costs a copy. */
static int may_have_checks(sqlite3 *db, bool *may_have)
{
    int64_t n = 0;
    const int rc = ask(db,
                       "SELECT count(*) FROM main.sqlite_master "
                       "WHERE type = 'table' AND sql LIKE '%check%'",
                       &n, NULL, 0);

    *may_have = n > 0;
    return rc;
}

/* The code that SQLite tells with a page that it could not get, and 0 of any other problem. */
static int page_code(const char *text)
{
    static const char words[] = "unable to get the page. error code=";
    const char *found = strstr(text, words);

    return found != NULL ? (int)strtol(found + sizeof words - 1, NULL, 10) : 0;
}

/* Such a page is told as a problem of the file, also if memory was out or the disk failed. */
static bool is_doubtful(const char *text)
{
    const int code = page_code(text) & 0xff;

    return code == SQLITE_NOMEM || code == SQLITE_IOERR ||
           strstr(text, "failed to get page") != NULL ||
           strstr(text, "Failed to read ptrmap") != NULL;
}

/* Older SQLite has several problems in one row, under a line that names the database. */
static void add_lines(struct lido__checking *checking, const char *text)
{
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");

        if (length > 0 && strncmp(text, "*** in database", 15) != 0)
            lido__check_add(checking, "%.*s", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

static int run_check(struct lido__checking *checking, sqlite3 *db, bool *has_doubt,
                     int *code)
{
    const struct lido_check_options *options = checking->options;
    sqlite3_stmt *stmt = NULL;
    char sql[80];
    int rc;

    /* One more than is told: so it is known that there are more. */
    snprintf(sql, sizeof sql, "PRAGMA main.%s(%lld)",
             options->depth == LIDO_DEPTH_FULL ? "integrity_check" : "quick_check",
             (long long)options->max_problems + (options->max_problems < 0x7fffffff));
    rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return rc;
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);

        if (text != NULL && strcmp(text, "ok") != 0) {
            add_lines(checking, text);
            *has_doubt |= is_doubtful(text);
            if (is_doubtful(text) && *code == 0)
                *code = page_code(text);
        }
    }
    return sqlite3_finalize(stmt);
}

/* What is in doubt is checked once more, and believed if it is the same again. */
static int check_pages(struct lido__checking *checking, sqlite3 *db)
{
    bool has_doubt = false;
    int code = 0, rc = run_check(checking, db, &has_doubt, &code);

    if (rc == SQLITE_OK && has_doubt) {
        lido__check_forget_problems(checking);
        code = 0;
        rc = run_check(checking, db, &has_doubt, &code);
        if (rc == SQLITE_OK && (code & 0xff) == SQLITE_NOMEM)
            return SQLITE_NOMEM;
    }
    /* What else is wrong then may come of the page that was not read. */
    if ((code & 0xff) == SQLITE_IOERR)
        lido__check_give(checking, LIDO_CHECK_UNREADABLE);
    if (checking->out.n_problems > 0)
        lido__check_give(checking, LIDO_CHECK_MALFORMED);
    return rc;
}

static int check_keys(struct lido__checking *checking, sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA main.foreign_key_check", -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    while (!checking->out.has_more && sqlite3_step(stmt) == SQLITE_ROW) {
        const char *child = (const char *)sqlite3_column_text(stmt, 0);
        const char *parent = (const char *)sqlite3_column_text(stmt, 2);
        char row[40] = "a row";

        if (sqlite3_column_type(stmt, 1) != SQLITE_NULL)
            snprintf(row, sizeof row, "row %lld", (long long)sqlite3_column_int64(stmt, 1));
        lido__check_add(checking, "foreign key %d of table %.80s: %s has no row in %.80s",
                        sqlite3_column_int(stmt, 3), child != NULL ? child : "?", row,
                        parent != NULL ? parent : "?");
        lido__check_give(checking, LIDO_CHECK_FOREIGN_KEYS);
    }
    return sqlite3_finalize(stmt);
}

static int look_through(struct lido__checking *checking, sqlite3 *db, enum stage *stage)
{
    const struct lido_check_options *options = checking->options;
    int rc;

    *stage = SCHEMA;
    rc = read_facts(db, &checking->out);
    if (rc == SQLITE_OK)
        rc = count_schema(db, &checking->out);
    if (rc == SQLITE_OK && options->depth >= LIDO_DEPTH_QUICK &&
        sqlite3_db_readonly(db, "main") == 1) {
        rc = may_have_checks(db, &checking->wants_copy);
        if (rc == SQLITE_OK && checking->wants_copy)
            return SQLITE_OK;
    }
    if (rc == SQLITE_OK && options->depth >= LIDO_DEPTH_QUICK) {
        *stage = PAGES;
        /* By the indexes of an integrity_check pages are fetched any number of times. */
        if (options->depth == LIDO_DEPTH_QUICK)
            lido__work_reads(&checking->work, db, (uint64_t)checking->out.page_count,
                             LIDO__CHECK_READS);
        rc = check_pages(checking, db);
    }
    if (rc == SQLITE_OK && options->foreign_keys) {
        *stage = KEYS;
        rc = check_keys(checking, db);
    }
    return rc;
}

int lido__check_sql(struct lido__checking *checking, sqlite3 *db, bool is_lent,
                    struct lido_error *err)
{
    enum stage stage = SCHEMA;
    int rc = lido__work_phase(&checking->work, "checking", "pages", 0, err);

    if (rc != LIDO_OK)
        return rc;
    if (!is_lent) {
        harden(db, &checking->out);
        lido__work_watch(&checking->work, db);
    }
    rc = is_lent ? SQLITE_OK
                 : sqlite3_exec(db,
                                "PRAGMA mmap_size=0; PRAGMA cell_size_check=ON; "
                                "PRAGMA temp_store=MEMORY; PRAGMA query_only=ON; BEGIN",
                                NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = look_through(checking, db, &stage);
    if (!is_lent)
        lido__work_watch(NULL, db);
    if (rc != SQLITE_OK)
        return judge(checking, db, rc, stage, err);
    if (checking->out.page_count == 0)
        lido__check_say(checking, LIDO_CHECK_EMPTY, "the database is empty");
    return lido__work_done(&checking->work, err);
}
