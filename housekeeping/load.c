/* SPDX-License-Identifier: MIT */
/*
 * Load: SQL text executed in one transaction, all of it or nothing.
 *
 * The transaction is lido's, so what the text says of its own is looked at before SQLite sees
 * it, by its first word.  It begins with the first statement that is not one of the few which
 * have an effect only before: how an empty file is to be made.
 *
 * Rows of sqlite_master that the text wrote are not known to SQLite before it reads the schema
 * again.  That is done before the commit, with writing it forbidden again, when SQLite
 * complains of what it cannot read, and the number of the schema is raised, so that other
 * connections read it too.
 *
 * What the job sets on the connection (foreign keys off, defensive off) its seat puts back.
 *
 * Threads: the one that calls.
 */
#include "housekeeping/load_kind.h"
#include "housekeeping/load_text.h"
#include "housekeeping/seat.h"
#include <lido/dump.h>

#include <string.h>

struct load {
    struct lido__work work;
    const struct lido_load_options *options;
    struct lido__seat seat;
    struct lido__load_text text;
    uint64_t statements;
    int64_t text_bytes;  /* of all of it; 0: not known */
    bool has_begin;      /* the text said BEGIN, and no COMMIT yet */
    bool is_schema_open; /* the text has used PRAGMA writable_schema */
    bool is_recoded;     /* the text is of a database of another encoding */
    bool has_first; /* it has said how an empty file is to be made, which was so before: */
    int64_t page_size, auto_vacuum;
    char encoding[16];
    bool is_guarded;      /* its statements are asked where they go */
    bool makes_temporary; /* and what is temporary may be its own */
    char elsewhere[100];  /* where one would have gone; "": none */
};

/* --- statements ------------------------------------------------------------------------- */

static int refuse(const struct load *load, int rc, const char *word, const char *why,
                  struct lido_error *err)
{
    return lido_fail(err, rc, "line %llu: %s%s%s",
                     (unsigned long long)load->text.first_line, word,
                     word[0] != '\0' ? ": " : "", why);
}

static int fail(struct load *load, int rc, const char *doing, struct lido_error *err)
{
    if ((rc & 0xff) == SQLITE_INTERRUPT)
        lido__work_check(&load->work, NULL);
    return lido__work_fail(&load->work, load->seat.db, rc, doing, err);
}

static int fail_here(struct load *load, int rc, struct lido_error *err)
{
    char line[40];

    sqlite3_snprintf((int)sizeof line, line, "line %llu", load->text.first_line);
    return fail(load, rc, line, err);
}

/* A name that the database does not have may be one of what the host has attached, or of its
   temporary tables.  What a trigger does is the host's, for the text's own do as its others. */
static int look_where(void *load_, int action, const char *first, const char *second,
                      const char *database, const char *trigger)
{
    struct load *load = load_;
    const char *name = action == SQLITE_ALTER_TABLE ? second : first;

    if (action == SQLITE_ALTER_TABLE)
        database = first;
    switch (action) {
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_VIEW: load->makes_temporary = true; return SQLITE_OK;
    case SQLITE_ALTER_TABLE:
    case SQLITE_DROP_TEMP_INDEX:
    case SQLITE_DROP_TEMP_TRIGGER:
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE: break;
    default: return SQLITE_OK;
    }
    if (trigger != NULL || database == NULL || strcmp(database, "main") == 0 ||
        (strcmp(database, "temp") == 0 &&
         (load->makes_temporary || sqlite3_strnicmp(name, "sqlite_temp_", 12) == 0)))
        return SQLITE_OK;
    sqlite3_snprintf((int)sizeof load->elsewhere, load->elsewhere, "\"%.40s\" of %.40s",
                     name, database);
    return SQLITE_DENY;
}

/* On a connection that others share the host's authorizer has that place, and stays.  It is
   for what the text says: the host's hooks, before and after, write where they like. */
static int guard(struct load *load, struct lido_error *err)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    int rc = LIDO_OK;

    if (!load->seat.is_own)
        rc = lido_pool_stats(load->seat.pool, &stats, err);
    if (rc != LIDO_OK || load->seat.is_own || strcmp(stats.kind, "static") == 0 ||
        strcmp(stats.kind, "singleton_thread") == 0)
        return rc;
    load->is_guarded = true;
    return lido_conn_set_authorizer(&load->seat.conn, look_where, load, err);
}

static void unguard(struct load *load)
{
    if (load->is_guarded)
        lido_conn_set_authorizer(&load->seat.conn, NULL, NULL, NULL);
    load->is_guarded = false;
}

static int execute(struct load *load, const char *statement, struct lido_error *err)
{
    sqlite3_stmt *stmt = NULL;
    const char *tail = NULL;
    int rc = sqlite3_prepare_v2(load->seat.db, statement, -1, &stmt, &tail);

    if (rc == SQLITE_OK && stmt != NULL && lido__load_skip(tail)[0] != '\0') {
        sqlite3_finalize(stmt);
        return refuse(load, SQLITE_ERROR, "", "more than one statement, where one ends",
                      err);
    }
    while (rc == SQLITE_OK && stmt != NULL && sqlite3_step(stmt) == SQLITE_ROW)
        ;
    if (rc == SQLITE_OK)
        rc = sqlite3_finalize(stmt);
    if (rc != SQLITE_OK && load->elsewhere[0] != '\0')
        return refuse(load, SQLITE_ERROR, load->elsewhere,
                      "the text is loaded into main, which has none of this name", err);
    if (rc != SQLITE_OK)
        return fail_here(load, rc, err);
    if (load->seat.is_begun && sqlite3_get_autocommit(load->seat.db))
        return refuse(load, SQLITE_ERROR, "", "the statement ended the transaction", err);
    load->statements++;
    return LIDO_OK;
}

static int ask_number(struct load *load, const char *sql, int64_t *number)
{
    sqlite3_stmt *ask = NULL;
    int rc = sqlite3_prepare_v2(load->seat.db, sql, -1, &ask, NULL);

    *number = 0;
    if (rc == SQLITE_OK && sqlite3_step(ask) == SQLITE_ROW)
        *number = sqlite3_column_int64(ask, 0);
    return rc == SQLITE_OK ? sqlite3_finalize(ask) : rc;
}

static int begin(struct load *load, struct lido_error *err)
{
    int rc;

    if (load->seat.is_begun)
        return LIDO_OK;
    rc = lido__seat_begin(&load->seat, LIDO_IMMEDIATE, err);
    if (rc != LIDO_OK)
        return rc;
    lido__seat_set(&load->seat, LIDO__FOREIGN_KEYS, false);
    lido__seat_set(&load->seat, LIDO__QUOTED_TEXT, true); /* as a file may have them */
    return guard(load, err);
}

/* How an empty file is to be made; for another it is too late.  SQLite knows it once it is
   prepared.  If it ran, auto_vacuum would make the file, in a transaction of its own. */
static int prepare_at_first(struct load *load, const char *statement, bool is_encoding,
                            struct lido_error *err)
{
    sqlite3_stmt *stmt = NULL;
    int64_t pages = 1;
    int rc = SQLITE_OK;

    if (load->seat.is_begun)
        return LIDO_OK;
    rc = ask_number(load, "PRAGMA main.page_count", &pages);
    if (rc == SQLITE_OK && (pages == 0 || is_encoding)) {
        load->has_first = load->has_first || pages <= 1;
        rc = sqlite3_prepare_v2(load->seat.db, statement, -1, &stmt, NULL);
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_OK ? LIDO_OK : fail_here(load, rc, err);
}

/* Asked of the text's; of a database that has its own already it is without effect. */
static int note_encoding(struct load *load, const char *statement, struct lido_error *err)
{
    sqlite3_stmt *ask = NULL;
    int rc = sqlite3_prepare_v2(load->seat.db, "PRAGMA main.encoding", -1, &ask, NULL);

    if (rc == SQLITE_OK && sqlite3_step(ask) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(ask, 0);
        const bool is_utf8 = name == NULL || strcmp(name, "UTF-8") == 0;

        load->is_recoded = sqlite3_strlike("%utf%16%", statement, 0) == 0
                               ? is_utf8 || (sqlite3_strlike("%16le%", statement, 0) ==
                                             0) != (strcmp(name, "UTF-16le") == 0)
                               : !is_utf8;
    }
    rc = sqlite3_finalize(ask);
    return rc == SQLITE_OK ? LIDO_OK : fail_here(load, rc, err);
}

/* Does it say a text by its bytes, as a dump does where it is no text? */
static bool has_bytes(const char *statement)
{
    while ((statement = strstr(statement, "CAST(X'")) != NULL) {
        statement += 7;
        if (*statement != '\'') /* that was a part of a text */
            return true;
    }
    return false;
}

static int execute_any(struct load *load, const char *statement, struct lido_error *err)
{
    char word[40];
    const enum lido__load_kind kind = lido__load_kind(statement, word, sizeof word);
    int rc;

    switch (kind) {
    case LIDO__LOAD_BEGIN:
        if (load->has_begin)
            return refuse(load, SQLITE_ERROR, word, "there was one before", err);
        load->has_begin = true;
        return LIDO_OK;
    case LIDO__LOAD_COMMIT:
        if (!load->has_begin)
            return refuse(load, SQLITE_ERROR, word, "there was no BEGIN", err);
        load->has_begin = false;
        return LIDO_OK;
    case LIDO__LOAD_REFUSED:
        return refuse(load, SQLITE_ERROR, word,
                      "not in a text that is loaded in one transaction", err);
    case LIDO__LOAD_PROCESS:
        return refuse(load, SQLITE_ERROR, word,
                      "a pragma for the whole process is not the text's to set", err);
    case LIDO__LOAD_IGNORED: return LIDO_OK;
    case LIDO__LOAD_AT_FIRST: return prepare_at_first(load, statement, false, err);
    /* A file in WAL mode has its first page before it has an encoding. */
    case LIDO__LOAD_ENCODING:
        rc = prepare_at_first(load, statement, true, err);
        return rc == LIDO_OK ? note_encoding(load, statement, err) : rc;
    default: break;
    }
    if (load->is_recoded && has_bytes(statement))
        return refuse(load, SQLITE_MISMATCH, "",
                      "a text by its bytes, which are another in this database's encoding; "
                      "load it into a new one",
                      err);
    rc = begin(load, err);
    if (rc != LIDO_OK)
        return rc;
    if (kind == LIDO__LOAD_SCHEMA) {
        load->is_schema_open = true;
        lido__seat_set(&load->seat, LIDO__DEFENSIVE, false);
    }
    return execute(load, statement, err);
}

/* --- the end ------------------------------------------------------------------------------ */

static int read_schema_again(struct load *load, struct lido_error *err)
{
    char sql[60];
    int64_t version;
    int rc = ask_number(load, "PRAGMA main.schema_version", &version);

    if (rc == SQLITE_OK) {
        sqlite3_snprintf((int)sizeof sql, sql, "PRAGMA main.schema_version=%lld",
                         (version + 1) & 0x7fffffff);
        rc = sqlite3_exec(load->seat.db, sql, NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(load->seat.db,
                          "PRAGMA writable_schema=RESET; SELECT 1 FROM main.sqlite_master "
                          "LIMIT 0",
                          NULL, NULL, NULL);
    return rc == SQLITE_OK ? LIDO_OK : fail(load, rc, "reading the new schema", err);
}

static int check_foreign_keys(struct load *load, struct lido_error *err)
{
    sqlite3_stmt *ask = NULL;
    int rc =
        sqlite3_prepare_v2(load->seat.db, "PRAGMA main.foreign_key_check", -1, &ask, NULL);

    if (rc == SQLITE_OK && sqlite3_step(ask) == SQLITE_ROW) {
        const char *table = (const char *)sqlite3_column_text(ask, 0);
        const char *parent = (const char *)sqlite3_column_text(ask, 2);

        rc = lido_fail(err, SQLITE_CONSTRAINT_FOREIGNKEY,
                       "row %lld of table %.80s names one that table %.80s does not have",
                       sqlite3_column_int64(ask, 1), table != NULL ? table : "?",
                       parent != NULL ? parent : "?");
        sqlite3_finalize(ask);
        return rc;
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_finalize(ask);
    return rc == SQLITE_OK ? LIDO_OK : fail(load, rc, "checking foreign keys", err);
}

/* A name without its schema is that of a temporary table, if there is one: the rows of the
   text went there, and end with the connection. */
static int check_temporary(struct load *load, struct lido_error *err)
{
    sqlite3_stmt *ask = NULL;
    int rc = sqlite3_prepare_v2(load->seat.db,
                                "SELECT m.name FROM temp.sqlite_master AS t, "
                                "main.sqlite_master AS m ON m.name = t.name COLLATE NOCASE "
                                "WHERE t.type IN ('table', 'view') AND m.type = 'table' "
                                "AND substr(m.name, 1, 7) <> 'sqlite_'",
                                -1, &ask, NULL);

    if (rc == SQLITE_OK && sqlite3_step(ask) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(ask, 0);

        rc = lido_fail(err, SQLITE_ERROR,
                       "the connection has a temporary table %.80s too, where rows of the "
                       "text may have gone: drop it",
                       name != NULL ? name : "?");
        sqlite3_finalize(ask);
        return rc;
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_finalize(ask);
    return rc == SQLITE_OK ? LIDO_OK : fail(load, rc, "looking at temporary tables", err);
}

static int commit(struct load *load, struct lido_error *err)
{
    int rc = lido__work_done(&load->work, err);

    if (rc == LIDO_OK && load->has_begin)
        rc = lido_fail(err, SQLITE_ERROR,
                       "the text has a BEGIN without its COMMIT: its end may be missing");
    if (rc == LIDO_OK && load->has_first)
        rc = begin(load, err); /* an empty database is made as it says too */
    if (rc != LIDO_OK || !load->seat.is_begun)
        return rc;
    if (load->is_schema_open)
        rc = read_schema_again(load, err);
    if (rc == LIDO_OK)
        rc = check_temporary(load, err);
    if (rc == LIDO_OK && load->options->check_foreign_keys)
        rc = check_foreign_keys(load, err);
    if (rc != LIDO_OK)
        return rc;
    unguard(load);
    return lido__seat_end(&load->seat, LIDO_OK, err);
}

/* It failed: everything as it was. */
static void restore(struct load *load)
{
    sqlite3 *db = load->seat.db;

    unguard(load);
    lido__seat_leave(&load->seat);
    if (lido_conn_sqlite(&load->seat.conn) != db)
        return;          /* a hook of the host's has closed it */
    if (load->has_first) /* of a memory database there is no other, and it is kept */
        lido_conn_mark_dirty(&load->seat.conn, "how an empty database is made", NULL);
    if (load->is_schema_open &&
        sqlite3_exec(db, "PRAGMA writable_schema=RESET", NULL, NULL, NULL) != SQLITE_OK)
        lido_conn_mark_dirty(&load->seat.conn, "writable_schema", NULL);
}

/* --- the job ------------------------------------------------------------------------------ */

static double share_of(uint64_t read, int64_t all)
{
    return read < (uint64_t)all ? (double)read / (double)all : 1;
}

static int all(struct load *load, struct lido_error *err)
{
    const char *statement;
    int rc = lido__work_phase(&load->work, "loading", "statements", 0, err);

    while (rc == LIDO_OK) {
        rc = lido__load_text_next(&load->text, &statement, err);
        if (rc != LIDO_OK)
            return rc;
        if (statement == NULL)
            return commit(load, err);
        rc = execute_any(load, statement, err);
        if (load->text_bytes > 0)
            load->work.now.share = share_of(load->text.bytes, load->text_bytes);
        if (rc == LIDO_OK)
            rc = lido__work_at(&load->work, load->statements, err);
    }
    return rc;
}

static int run(struct load *load, struct lido_database at, lido_load_fn read, void *ctx,
               struct lido_error *err)
{
    struct lido__seat_options seat = LIDO__SEAT_OPTIONS_INIT("lido load");
    int rc = lido__work_begin(&load->work, load->options->job, err);

    seat.is_unique = true;
    seat.may_create = load->options->may_create != 0;
    if (rc == LIDO_OK)
        rc = lido__seat_open(&load->seat, &load->work, at, &seat, err);
    if (rc != LIDO_OK)
        return rc;
    lido__load_text_begin(
        &load->text, read, ctx,
        (size_t)sqlite3_limit(load->seat.db, SQLITE_LIMIT_SQL_LENGTH, -1));
    rc = all(load, err);
    if (rc != LIDO_OK)
        restore(load);
    lido__load_text_end(&load->text);
    return lido__seat_close(&load->seat, rc, err);
}

/* `text_bytes` -1: what the options say. */
static int load_all(struct lido_database at, const struct lido_load_options *options,
                    int64_t text_bytes, lido_load_fn read, void *ctx,
                    struct lido_load_result *result, struct lido_error *err)
{
    static const struct lido_load_options defaults = LIDO_LOAD_OPTIONS_INIT;
    struct load load = { .options = options != NULL ? options : &defaults };
    int rc;

    if (load.options->size != sizeof *options)
        return lido__bad_size("lido_load_options", err);
    if (load.options->text_bytes < 0)
        return lido_fail(err, LIDO_BAD_OPTION, "text_bytes is %lld; it is 0 or more",
                         (long long)load.options->text_bytes);
    load.text_bytes = text_bytes >= 0 ? text_bytes : load.options->text_bytes;
    if (result != NULL && result->size != sizeof *result)
        return lido__bad_size("lido_load_result", err);
    rc = run(&load, at, read, ctx, err);
    if (result != NULL) {
        result->statements = load.statements;
        result->bytes = load.text.bytes;
        result->line = load.text.first_line;
    }
    return rc;
}

int lido_load(struct lido_database at, const struct lido_load_options *options,
              lido_load_fn read, void *ctx, struct lido_load_result *result,
              struct lido_error *err)
{
    if (read == NULL)
        return lido_fail(err, SQLITE_MISUSE, "there is no function for the text");
    return load_all(at, options, -1, read, ctx, result, err);
}

struct piece {
    const char *text;
    size_t length;
};

static int read_piece(void *ctx, char *buffer, size_t size, size_t *length,
                      struct lido_error *err)
{
    struct piece *left = ctx;

    (void)err;
    *length = left->length < size ? left->length : size;
    if (*length > 0)
        memcpy(buffer, left->text, *length);
    left->text += *length;
    left->length -= *length;
    return LIDO_OK;
}

int lido_load_text(struct lido_database at, const struct lido_load_options *options,
                   const char *text, size_t length, struct lido_load_result *result,
                   struct lido_error *err)
{
    struct piece piece = { text != NULL ? text : "", length };

    if (text == NULL && length > 0)
        return lido_fail(err, SQLITE_MISUSE, "there is no text, but it has a length");
    return load_all(at, options, (int64_t)length, read_piece, &piece, result, err);
}
