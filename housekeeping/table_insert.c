/* SPDX-License-Identifier: MIT */
/*
 * The rows by one INSERT ... SELECT, where both tables are on one connection; and the ATTACH
 * that brings the source's file to the target's connection, where both are plain files.
 *
 *     begin - ATTACH - INSERT ... SELECT - commit - DETACH
 *
 * BEGIN IMMEDIATE locks what is attached too, and its COMMIT then waits for readers of the
 * source, so the source is attached after it.  It is read until the COMMIT: where neither file
 * has a log, two copies that go opposite ways would wait for each other.  There a transaction
 * of the source's own connection keeps writers from it, and the two begin in the order of their
 * files: whoever reads a file to its COMMIT has the lock of that file, so nobody else is to
 * commit to it.
 *
 * Whoever is told how far it is gets the rows in pieces by their rowids, each as large as takes
 * about a twentieth of a second.
 *
 * It is a faster way and nothing else: whatever is not plain goes by table_rows.c, and where
 * SQLite does not attach the source that way is left to it as well.
 *
 * Threads: the one that runs the job.
 */
#include "housekeeping/table.h"

#include "base/sync.h"

#include <string.h>

#define PIECE_NS (50 * LIDO_NS_PER_MS)

/* --- rows --------------------------------------------------------------------------------- */

static const struct lido__column *find_column(const struct lido__shape *shape,
                                              const char *name)
{
    for (int i = 0; i < shape->column_count; i++)
        if (sqlite3_stricmp(shape->columns[i].name, name) == 0)
            return &shape->columns[i];
    return NULL;
}

/* Is this column of the source to be written?  Generated ones make themselves. */
int lido__rows_takes(const struct lido__carry *carry, const struct lido__column *column,
                     bool *takes, struct lido_error *err)
{
    const struct lido__column *other;

    *takes = !column->is_generated;
    if (carry->into_shape == NULL)
        return LIDO_OK;
    other = find_column(carry->into_shape, column->name);
    *takes = other != NULL && !other->is_generated;
    if (other == NULL)
        return lido_fail(err, SQLITE_ERROR,
                         "\"%.80s\", which gets the rows, has no column \"%.80s\"; add it",
                         carry->into_table, column->name);
    if (other->is_generated && !column->is_generated)
        return lido_fail(err, SQLITE_ERROR,
                         "the column \"%.80s\" of \"%.80s\" is generated, and cannot get "
                         "the values of the source's",
                         column->name, carry->into_table);
    return LIDO_OK;
}

/* A trigger or a cascade may write to the source, and a row that is left out be no error. */
bool lido__rows_may_insert(const struct lido__carry *carry)
{
    const bool is_told = carry->from->work->job->progress != NULL;

    if (carry->from != carry->into || carry->where != NULL ||
        carry->conflict != LIDO_CONFLICT_ABORT)
        return false;
    if (carry->into_shape != NULL)
        return !is_told && (carry->into_shape->parts & LIDO_PART_TRIGGER) == 0;
    return !is_told || carry->from_shape->rowid != NULL;
}

/* All of the columns, and by them the rowids: SQLite then carries rows over as they are.  It
   would those too that break a CHECK, as a file may have them. */
static bool is_whole(const struct lido__carry *carry)
{
    const struct lido__shape *shape = carry->from_shape;

    for (int i = 0; i < shape->column_count; i++)
        if (shape->columns[i].is_generated)
            return false;
    return carry->into_shape == NULL && carry->has_all_columns &&
           (shape->parts & LIDO_PART_CHECK) == 0 &&
           (shape->rowid == NULL || shape->has_alias);
}

/* The columns that are written, in quotes, and first the rowid where it is kept. */
static int write_names(const struct lido__carry *carry, char **names,
                       struct lido_error *err)
{
    const struct lido__shape *shape = carry->from_shape;
    sqlite3_str *text = sqlite3_str_new(NULL);
    const char *comma = "";
    int rc = LIDO_OK;

    if (carry->into_shape == NULL && shape->rowid != NULL &&
        !(carry->has_all_columns && shape->has_alias)) {
        sqlite3_str_appendall(text, shape->rowid);
        comma = ", ";
    }
    for (int i = 0; rc == LIDO_OK && i < shape->column_count; i++) {
        bool takes;

        rc = lido__rows_takes(carry, &shape->columns[i], &takes, err);
        if (rc != LIDO_OK || !takes)
            continue;
        sqlite3_str_appendf(text, "%s\"%w\"", comma, shape->columns[i].name);
        comma = ", ";
    }
    if (rc == LIDO_OK && comma[0] == '\0')
        rc = lido_fail(err, SQLITE_ERROR, "\"%.100s\" has no column to copy",
                       carry->from_table);
    *names = sqlite3_str_finish(text);
    if (rc == LIDO_OK && *names == NULL)
        rc = lido_fail(err, SQLITE_NOMEM, "copying rows: out of memory");
    return rc;
}

static int write_text(const struct lido__carry *carry, bool in_pieces, char **sql,
                      struct lido_error *err)
{
    const char *rowid = carry->from_shape->rowid;
    char *names = NULL;
    sqlite3_str *text;
    int rc = LIDO_OK;

    *sql = NULL;
    if (!is_whole(carry))
        rc = write_names(carry, &names, err);
    if (rc != LIDO_OK) {
        sqlite3_free(names);
        return rc;
    }
    text = sqlite3_str_new(carry->into->db);
    sqlite3_str_appendf(text, "INSERT OR ABORT INTO \"%w\".\"%w\"", carry->into_schema,
                        carry->into_table);
    if (names != NULL)
        sqlite3_str_appendf(text, " (%s)", names);
    sqlite3_str_appendf(text, " SELECT %s FROM \"%w\".\"%w\"", names != NULL ? names : "*",
                        carry->from_schema, carry->from_table);
    if (in_pieces)
        sqlite3_str_appendf(text, " WHERE %s >= ?1 ORDER BY %s LIMIT ?2", rowid, rowid);
    *sql = sqlite3_str_finish(text);
    sqlite3_free(names);
    return *sql != NULL ? LIDO_OK
                        : lido_fail(err, SQLITE_NOMEM, "copying rows: out of memory");
}

/* The lease has told why not: an interrupt is the job's. */
static int explain(struct lido__seat *seat, int rc, const struct lido_error *story,
                   struct lido_error *err)
{
    lido_fail(err, rc, "copying rows: %.200s", story->text);
    return lido__seat_judge(seat, rc, err);
}

/* *last: the rowid of the last row. */
static int insert_all(const struct lido__carry *carry, struct lido_stmt *stmt,
                      struct lido_table_result *result, int64_t *last,
                      struct lido_error *err)
{
    struct lido_error story = LIDO_ERROR_INIT;
    int rc = lido_stmt_step(stmt, &story);

    if (rc != SQLITE_DONE)
        return explain(carry->into, rc, &story, err);
    rc = lido__seat_check(carry->into, err); /* a hook may have ended the lease */
    if (rc != LIDO_OK)
        return rc;
    result->rows_read += (uint64_t)sqlite3_changes64(carry->into->db);
    *last = sqlite3_last_insert_rowid(carry->into->db);
    return LIDO_OK;
}

static int insert_pieces(const struct lido__carry *carry, struct lido_stmt *stmt,
                         struct lido_table_result *result, struct lido_error *err)
{
    struct lido_value values[] = { lido_integer(INT64_MIN), lido_integer(1000) };
    int rc;

    for (;;) {
        const int64_t began_ns = lido__wait_ns(NULL);
        const uint64_t before = result->rows_read;
        int64_t took_ns, last = 0;

        rc = lido_stmt_bind_all(stmt, values, 2, err);
        if (rc == LIDO_OK)
            rc = insert_all(carry, stmt, result, &last, err);
        if (rc == LIDO_OK)
            rc = lido_stmt_reset(stmt, err);
        if (rc == LIDO_OK)
            rc = lido__work_at(carry->into->work, result->rows_read, err);
        if (rc != LIDO_OK || result->rows_read - before < (uint64_t)values[1].as.integer)
            return rc;
        if (last == INT64_MAX)
            return LIDO_OK;
        values[0] = lido_integer(last + 1);
        took_ns = lido__wait_ns(NULL) - began_ns;
        if (took_ns < PIECE_NS / 2)
            values[1].as.integer *= 2;
        else if (took_ns > 2 * PIECE_NS && values[1].as.integer > 1)
            values[1].as.integer /= 2;
    }
}

int lido__rows_insert(const struct lido__carry *carry, uint64_t count,
                      struct lido_table_result *result, struct lido_error *err)
{
    const bool in_pieces = carry->into->work->job->progress != NULL;
    struct lido_error story = LIDO_ERROR_INIT;
    struct lido_stmt stmt = LIDO_STMT_INIT;
    int64_t ignored;
    char *sql;
    int rc = write_text(carry, in_pieces, &sql, err);

    if (rc == LIDO_OK)
        rc = lido__work_phase(carry->into->work, "copying", "rows", count, err);
    if (rc == LIDO_OK) {
        rc = lido_stmt_prepare(&carry->into->conn, &stmt, sql, &story);
        if (rc != LIDO_OK)
            rc = explain(carry->into, rc, &story, err);
    }
    if (rc == LIDO_OK)
        rc = in_pieces ? insert_pieces(carry, &stmt, result, err)
                       : insert_all(carry, &stmt, result, &ignored, err);
    lido_stmt_finalize(&stmt, NULL);
    sqlite3_free(sql);
    result->rows_written = result->rows_read;
    return rc == LIDO_OK ? lido__work_done(carry->into->work, err) : rc;
}

/* --- the source's file -------------------------------------------------------------------- */

/* What a pragma answers of a schema, as a text of at most 15 bytes. */
static int ask(struct lido__seat *seat, const char *schema, const char *pragma,
               char answer[16], struct lido_error *err)
{
    sqlite3_stmt *stmt;
    int rc = lido__seat_prepare(
        seat, &stmt, sqlite3_mprintf("PRAGMA \"%w\".%s", schema, pragma), NULL, NULL, err);

    answer[0] = '\0';
    if (rc != LIDO_OK)
        return rc;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        sqlite3_snprintf(16, answer, "%s", sqlite3_column_text(stmt, 0));
    rc = sqlite3_finalize(stmt);
    return rc == SQLITE_OK ? LIDO_OK : lido__seat_fail(seat, rc, "reading the file", err);
}

static bool is_static(const struct lido__seat *seat)
{
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;

    return lido_pool_stats(seat->pool, &stats, NULL) != LIDO_OK ||
           strcmp(stats.kind, "static") == 0;
}

/* A file that a connection of the other's can open by its name alone. */
static bool is_plain(struct lido__seat *seat, const char *schema, sqlite3_vfs **vfs)
{
    const char *file = sqlite3_db_filename(seat->db, schema);

    *vfs = NULL;
    return file != NULL && file[0] == '/' && sqlite3_uri_key(file, 0) == NULL &&
           sqlite3_db_readonly(seat->db, schema) == 0 &&
           sqlite3_file_control(seat->db, schema, SQLITE_FCNTL_VFS_POINTER, (void *)vfs) ==
               SQLITE_OK;
}

int lido__attach_may(struct lido__seat *from, const char *from_schema,
                     struct lido__seat *into, const char *into_schema, bool *may,
                     bool *must_lock, struct lido_error *err)
{
    sqlite3_vfs *one, *other;
    char locking[16], journal[16], into_journal[16], reads_only[16];
    int rc;

    *must_lock = false;
    *may = is_plain(from, from_schema, &one) && is_plain(into, into_schema, &other) &&
           one == other && !is_static(into);
    if (!*may)
        return LIDO_OK;
    rc = ask(from, from_schema, "locking_mode", locking, err);
    if (rc == LIDO_OK)
        rc = ask(from, from_schema, "journal_mode", journal, err);
    if (rc == LIDO_OK)
        rc = ask(into, into_schema, "journal_mode", into_journal, err);
    if (rc == LIDO_OK)
        rc = ask(from, from_schema, "query_only", reads_only, err);
    if (rc != LIDO_OK)
        return rc;
    *must_lock = strcmp(journal, "wal") != 0 && strcmp(into_journal, "wal") != 0;
    *may =
        strcmp(locking, "exclusive") != 0 && (!*must_lock || strcmp(reads_only, "0") == 0);
    return LIDO_OK;
}

int lido__attach(struct lido__seat *into, const char *file, char name[LIDO__ATTACH_SIZE],
                 bool *is_attached, struct lido_error *err)
{
    unsigned long long chance;
    sqlite3_stmt *stmt;
    int rc;

    sqlite3_randomness(sizeof chance, &chance);
    sqlite3_snprintf(LIDO__ATTACH_SIZE, name, "lido_%llx", chance);
    *is_attached = false;
    rc = lido__seat_prepare(into, &stmt, sqlite3_mprintf("ATTACH ?1 AS ?2"), file, name,
                            err);
    if (rc != LIDO_OK)
        return rc;
    rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    *is_attached = rc == SQLITE_DONE;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_INTERRUPT:
    case SQLITE_IOERR:
    case SQLITE_NOMEM: return lido__seat_fail(into, rc, "attaching the source", err);
    default: return LIDO_OK;
    }
}

void lido__attach_end(struct lido__seat *into, const char *name)
{
    sqlite3 *db = lido_conn_sqlite(&into->conn);
    char *sql;

    if (db == NULL || db != into->db)
        return;
    sql = sqlite3_mprintf("DETACH \"%w\"", name);
    /* Without it the check-in detaches what is left, or closes the connection. */
    if (sql == NULL || sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        lido_conn_mark_dirty(&into->conn, "an attached database", NULL);
    sqlite3_free(sql);
}
