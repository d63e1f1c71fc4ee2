/* SPDX-License-Identifier: MIT */
/*
 * What a dump has to say, in its order.
 *
 *     head --> tables, each with its rows --> sequence --> statistics
 *          --> indexes, views, triggers --> virtual tables --> COMMIT
 *
 * A stage is a function that appends the next statement, or none yet, or says that it has none
 * left.  What belongs to a virtual table comes last: until then the tables that it keeps its
 * data in are tables like others to who reads the text, and may be filled.  Triggers come after
 * all rows, so that none fires.
 *
 * Threads: the one that has the connection.
 */
#include "housekeeping/dump_stages.h"

#include "housekeeping/load_text.h"

#include <string.h>

/* --- what there is -------------------------------------------------------------------- */

/* Is the table ?1 wanted: by its name, or as a part of a virtual table that is.  To SQLite the
   name of such a part is that of the virtual table, '_', and a word without a '_'. */
#define WANTED                                                                             \
    "(?1 IS NULL OR m.tbl_name LIKE ?1 ESCAPE '\\' OR l.type = 'shadow' AND EXISTS ("      \
    "SELECT 1 FROM l AS v WHERE v.type = 'virtual' AND v.name LIKE ?1 ESCAPE '\\' AND "    \
    "substr(m.tbl_name, 1, length(v.name) + 1) = v.name || '_' COLLATE NOCASE AND "        \
    "instr(substr(m.tbl_name, length(v.name) + 2), '_') = 0))"
#define OBJECTS                                                                            \
    "WITH l AS MATERIALIZED (SELECT name, type, wr FROM pragma_table_list "                \
    "WHERE schema = 'main') "                                                              \
    "SELECT m.type, m.name, m.sql, l.type, l.wr FROM main.sqlite_master AS m "             \
    "LEFT JOIN l ON l.name = m.tbl_name "                                                  \
    "WHERE m.sql IS NOT NULL AND substr(m.name, 1, 7) <> 'sqlite_' AND " WANTED " "

static const char tables_sql[] =
    OBJECTS "AND m.type = 'table' AND l.type IS NOT 'virtual' ORDER BY m.rowid";
static const char others_sql[] =
    OBJECTS "AND m.type IN ('index', 'view', 'trigger') ORDER BY "
            "m.type = 'trigger', m.type = 'view', m.rowid";
static const char virtual_sql[] =
    OBJECTS "AND m.type = 'table' AND l.type = 'virtual' ORDER BY m.rowid";

static int list(struct lido__stages *dump, const char *sql)
{
    int rc = sqlite3_prepare_v2(dump->db, sql, -1, &dump->list, NULL);

    if (rc == SQLITE_OK && dump->options->tables != NULL &&
        sqlite3_bind_parameter_count(dump->list) > 0)
        rc = sqlite3_bind_text(dump->list, 1, dump->options->tables, -1, SQLITE_STATIC);
    return rc;
}

static const char *listed(const struct lido__stages *dump, int column)
{
    const char *text = (const char *)sqlite3_column_text(dump->list, column);

    return text != NULL ? text : "";
}

/* A number that a pragma answers. */
static int ask_number(sqlite3 *db, const char *sql, int64_t *number)
{
    sqlite3_stmt *ask = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &ask, NULL);

    *number = 0;
    if (rc == SQLITE_OK && (rc = sqlite3_step(ask)) == SQLITE_ROW)
        *number = sqlite3_column_int64(ask, 0);
    sqlite3_finalize(ask);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static bool is_whole(const struct lido__stages *dump)
{
    return dump->options->tables == NULL && dump->options->has_schema != 0;
}

/* --- stages: SQLITE_ROW, SQLITE_DONE when there is none left, or an error --------------- */

static int head(struct lido__stages *dump)
{
    /* What has to stand before anything is created, then the rest. */
    static const char *const pragmas[] = { "page_size", "auto_vacuum", "user_version",
                                           "application_id" };
    const unsigned step = dump->step++;
    int64_t number;
    char sql[50];
    int rc;

    if (step == 0 && dump->literal.encoding != SQLITE_UTF8)
        sqlite3_str_appendf(dump->text, "PRAGMA encoding='UTF-16%s';\n",
                            dump->literal.encoding == SQLITE_UTF16LE ? "le" : "be");
    else if (step == 0 && dump->options->has_transaction)
        sqlite3_str_appendall(dump->text, "PRAGMA encoding='UTF-8';\n");
    else if (step == 3 && dump->options->has_transaction)
        sqlite3_str_appendall(dump->text, "PRAGMA foreign_keys=OFF;\n");
    else if (step == 4 && dump->options->has_transaction)
        sqlite3_str_appendall(dump->text, "BEGIN TRANSACTION;\n");
    else if ((step == 1 || step == 2 || step == 5 || step == 6) && is_whole(dump)) {
        const char *name = pragmas[step <= 2 ? step - 1 : step - 3];

        sqlite3_snprintf((int)sizeof sql, sql, "PRAGMA main.%s", name);
        rc = ask_number(dump->db, sql, &number);
        if (rc != SQLITE_OK)
            return rc;
        if (number != 0)
            sqlite3_str_appendf(dump->text, "PRAGMA %s=%lld;\n", name, number);
    }
    return step <= 6 ? SQLITE_ROW : SQLITE_DONE;
}

struct rest {
    const char *text;
    size_t length;
};

static int read_rest(void *ctx, char *buffer, size_t size, size_t *length,
                     struct lido_error *err)
{
    struct rest *rest = ctx;

    (void)err;
    *length = rest->length < size ? rest->length : size;
    memcpy(buffer, rest->text, *length);
    rest->text += *length;
    rest->length -= *length;
    return LIDO_OK;
}

/* SQLite reads the first statement of a row of the schema and passes over what follows it.
   Who reads the dump would execute that: SQL, or a command of the shell.
   SQLITE_OK, SQLITE_CORRUPT if it is more than one, or SQLITE_NOMEM. */
static int expect_one_statement(const char *whole)
{
    const size_t length = strlen(whole);
    struct rest rest = { whole, length };
    struct lido__load_text text;
    const char *statement;
    int rc;

    lido__load_text_begin(&text, read_rest, &rest, length);
    rc = lido__load_text_next(&text, &statement, NULL);
    if (rc == LIDO_OK && (statement == NULL || strlen(statement) != length))
        rc = SQLITE_CORRUPT;
    lido__load_text_end(&text);
    return rc == LIDO_OK || rc == SQLITE_NOMEM ? rc : SQLITE_CORRUPT;
}

/* A statement of the schema may end inside a comment. */
static int append_schema(struct lido__stages *dump, const char *sql)
{
    static const char *const ends[] = { ";", "\n;", "*/;" };

    for (int i = 0; i < 3; i++) {
        char *whole = sqlite3_mprintf("%s%s", sql, ends[i]);
        const bool is_complete = whole != NULL && sqlite3_complete(whole);
        const int rc = is_complete ? expect_one_statement(whole) : SQLITE_OK;

        if (is_complete && rc == SQLITE_OK)
            sqlite3_str_appendf(dump->text, "%s\n", whole);
        sqlite3_free(whole);
        if (whole == NULL)
            return SQLITE_NOMEM;
        if (is_complete)
            return rc == SQLITE_OK ? SQLITE_ROW : rc;
    }
    return SQLITE_CORRUPT;
}

static int next_row(struct lido__stages *dump)
{
    int rc = lido__rows_next(&dump->rows, &dump->literal, &dump->line);

    if (rc == SQLITE_ROW)
        dump->rows_done++;
    else
        lido__rows_end(&dump->rows);
    return rc == SQLITE_DONE ? SQLITE_ROW : rc;
}

/* A column of the row that the list is at. */
static int append_literal(struct lido__stages *dump, int column)
{
    int rc = lido__literal_append(&dump->literal, &dump->line, dump->list, column);

    if (rc == SQLITE_OK)
        sqlite3_str_append(dump->text, dump->line.at, (int)dump->line.used);
    dump->line.used = 0;
    return rc;
}

/* Its rows made sqlite_sequence know the table that the list is at; what is to stand there
   comes later.  Of tables that are there already, it keeps what it has. */
static int forget_sequence(struct lido__stages *dump)
{
    int rc;

    sqlite3_str_appendall(dump->text, "DELETE FROM sqlite_sequence WHERE name=");
    rc = append_literal(dump, 1);
    sqlite3_str_appendall(dump->text, ";\n");
    return rc == SQLITE_OK ? SQLITE_ROW : rc;
}

static int tables(struct lido__stages *dump)
{
    int rc = SQLITE_OK;

    if (dump->rows.select != NULL) {
        rc = next_row(dump);
        return rc == SQLITE_ROW && dump->rows.select == NULL && dump->rows.has_sequence
                   ? forget_sequence(dump)
                   : rc;
    }
    if (dump->list == NULL)
        rc = list(dump, tables_sql);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(dump->list);
    /* Without the schema nobody makes the virtual table that this is a part of; without its
       rows its module has to make it, as what it keeps there is not there at all. */
    if (rc == SQLITE_ROW && !(dump->options->has_schema && dump->options->has_data) &&
        strcmp(listed(dump, 3), "shadow") == 0)
        return SQLITE_ROW;
    if (rc == SQLITE_ROW && dump->options->has_data) {
        rc = lido__rows_begin(&dump->rows, dump->db, listed(dump, 1),
                              sqlite3_column_int(dump->list, 4) != 0,
                              dump->options->keep_rowids != 0);
        dump->has_sequence |= dump->rows.has_sequence;
        rc = rc == SQLITE_OK ? SQLITE_ROW : rc;
    }
    if (rc == SQLITE_ROW && dump->options->has_schema)
        rc = append_schema(dump, listed(dump, 2));
    return rc;
}

static int sequence(struct lido__stages *dump)
{
    sqlite3_stmt *select;
    int rc;

    if (!dump->options->has_data || !dump->has_sequence)
        return SQLITE_DONE;
    if (dump->rows.select != NULL)
        return next_row(dump);
    if (dump->step++ > 0)
        return SQLITE_DONE;
    rc = list(dump, "SELECT name, seq FROM main.sqlite_sequence WHERE ?1 IS NULL OR "
                    "name LIKE ?1 ESCAPE '\\'");
    select = dump->list;
    dump->list = NULL;
    if (rc == SQLITE_OK)
        rc = lido__rows_begin_select(&dump->rows, "sqlite_sequence", select);
    else
        sqlite3_finalize(select);
    return rc == SQLITE_OK ? SQLITE_ROW : rc;
}

static int statistics(struct lido__stages *dump)
{
    int rc = SQLITE_OK;

    if (!is_whole(dump) || !dump->options->has_data)
        return SQLITE_DONE;
    if (dump->rows.select != NULL)
        return next_row(dump);
    if (dump->list == NULL)
        /* Who reads it is taken to have what we have: ANALYZE makes these tables there. */
        rc = list(dump, sqlite3_compileoption_used("ENABLE_STAT4")
                            ? "SELECT name FROM main.sqlite_master WHERE type = 'table' "
                              "AND name IN ('sqlite_stat1', 'sqlite_stat4')"
                            : "SELECT name FROM main.sqlite_master WHERE type = 'table' "
                              "AND name = 'sqlite_stat1'");
    if (rc == SQLITE_OK)
        rc = sqlite3_step(dump->list);
    if (rc != SQLITE_ROW)
        return rc;
    if (dump->step++ == 0)
        sqlite3_str_appendall(dump->text, "ANALYZE sqlite_master;\n");
    rc = lido__rows_begin(&dump->rows, dump->db, listed(dump, 0), false, false);
    return rc == SQLITE_OK ? SQLITE_ROW : rc;
}

/* The next of a list, by its CREATE statement. */
static int next_of(struct lido__stages *dump, const char *sql)
{
    int rc = SQLITE_OK;

    if (dump->list == NULL)
        rc = list(dump, sql);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(dump->list);
    return rc == SQLITE_ROW ? append_schema(dump, listed(dump, 2)) : rc;
}

static int others(struct lido__stages *dump)
{
    return dump->options->has_schema ? next_of(dump, others_sql) : SQLITE_DONE;
}

/* The row of sqlite_master that the list is at. */
static int append_virtual(struct lido__stages *dump)
{
    sqlite3_str *out = dump->text;
    int rc;

    sqlite3_str_appendall(out, "INSERT INTO sqlite_master(type,name,tbl_name,rootpage,sql) "
                               "VALUES('table',");
    rc = append_literal(dump, 1);
    sqlite3_str_appendall(out, ",");
    if (rc == SQLITE_OK)
        rc = append_literal(dump, 1);
    sqlite3_str_appendall(out, ",0,");
    if (rc == SQLITE_OK)
        rc = append_literal(dump, 2);
    sqlite3_str_appendall(out, ");\n");
    return rc;
}

static int virtual_tables(struct lido__stages *dump)
{
    enum { BEGIN, ROWS, RESET, OVER };
    int rc = SQLITE_OK;

    if (!dump->options->has_schema || dump->step == OVER)
        return SQLITE_DONE;
    if (!dump->options->has_data)
        return next_of(dump, virtual_sql);
    if (dump->step == RESET) {
        dump->step = OVER;
        /* Who knows no RESET takes it for OFF. */
        sqlite3_str_appendall(dump->text, "PRAGMA writable_schema=RESET;\n");
        return SQLITE_ROW;
    }
    if (dump->step == BEGIN)
        rc = list(dump, virtual_sql);
    else
        rc = append_virtual(dump);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(dump->list);
    if (rc == SQLITE_ROW && dump->step == BEGIN) {
        sqlite3_str_appendall(dump->text, "PRAGMA writable_schema=ON;\n");
        dump->step = ROWS;
    } else if (rc == SQLITE_DONE && dump->step == ROWS) {
        dump->step = RESET;
        rc = SQLITE_ROW;
    }
    return rc;
}

static int commit(struct lido__stages *dump)
{
    if (dump->step++ > 0 || !dump->options->has_transaction)
        return SQLITE_DONE;
    sqlite3_str_appendall(dump->text, "COMMIT;\n");
    return SQLITE_ROW;
}

static int (*const stages[])(struct lido__stages *) = {
    head, tables, sequence, statistics, others, virtual_tables, commit,
};
enum { N_STAGES = sizeof stages / sizeof stages[0] };

/* --- one after the other ---------------------------------------------------------------- */

static void clear(struct lido__stages *dump)
{
    sqlite3_finalize(dump->list);
    dump->list = NULL;
    lido__rows_end(&dump->rows);
}

int lido__stages_begin(struct lido__stages *dump, sqlite3 *db,
                       const struct lido_dump_options *options)
{
    *dump = (struct lido__stages){ .db = db, .options = options };
    dump->text = sqlite3_str_new(db);
    lido__line_begin(&dump->line, db);
    return lido__literal_begin(&dump->literal, db);
}

/* What the stages wrote last: a row, another statement, or nothing. */
static bool take(struct lido__stages *dump, const char **text, size_t *length)
{
    const bool is_row = dump->line.used > 0;

    if (is_row)
        dump->line.at[dump->line.used] = '\0';
    *text = is_row ? dump->line.at : sqlite3_str_value(dump->text);
    *length = is_row ? dump->line.used : (size_t)sqlite3_str_length(dump->text);
    return *length > 0;
}

int lido__stages_next(struct lido__stages *dump, const char **text, size_t *length)
{
    dump->line.used = 0;
    sqlite3_str_reset(dump->text);
    while (dump->stage < N_STAGES) {
        int rc = stages[dump->stage](dump);

        if (rc == SQLITE_ROW && sqlite3_str_errcode(dump->text) != SQLITE_OK)
            rc = sqlite3_str_errcode(dump->text);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            return rc;
        if (rc == SQLITE_DONE) {
            clear(dump);
            dump->stage++;
            dump->step = 0;
        }
        if (take(dump, text, length))
            return SQLITE_ROW;
    }
    return SQLITE_DONE;
}

void lido__stages_end(struct lido__stages *dump)
{
    clear(dump);
    lido__literal_end(&dump->literal);
    lido__line_end(&dump->line);
    sqlite3_free(sqlite3_str_finish(dump->text));
    dump->text = NULL;
}
