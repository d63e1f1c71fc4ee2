/* SPDX-License-Identifier: MIT */
/*
 * Which pragmas leave something in a connection, and putting them back.
 *
 * The value before is known only where it was asked for after the connect hooks, and that is
 * done for the only home of a memory database: it cannot be replaced, and asking it meets no
 * lock and reads no file.  Any other connection is closed, which is right for whatever was
 * changed.  defer_foreign_keys alone is put back everywhere: it ends with every transaction
 * anyway, so it is known to have been off.
 *
 * Threads: one at a time for one handle; the tables do not change.
 */
#include "base/alloc.h"
#include "driver/session.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* With a value these change the connection.  A place in this table is a bit of a mark. */
static const char *const staying[] = {
    "analysis_limit",
    "auto_vacuum", /* for a file that has nothing yet, or for the next VACUUM; page_size too */
    "automatic_index",
    "cache_size",
    "cache_spill",
    "case_sensitive_like",
    "cell_size_check",
    "checkpoint_fullfsync",
    "count_changes",
    "default_cache_size",
    "defer_foreign_keys",
    "empty_result_callbacks",
    "encoding",
    "foreign_keys",
    "full_column_names",
    "fullfsync",
    "ignore_check_constraints",
    "journal_mode", /* only "wal" is the file's; the others are the connection's */
    "journal_size_limit",
    "legacy_alter_table",
    "legacy_file_format",
    "locking_mode",
    "max_page_count",
    "mmap_size",
    "page_size",
    "parser_trace",
    "query_only",
    "read_uncommitted",
    "recursive_triggers",
    "reverse_unordered_selects",
    "secure_delete",
    "short_column_names",
    "sql_trace",
    "synchronous",
    "temp_store",
    "threads",
    "trusted_schema",
    "vdbe_addoptrace",
    "vdbe_debug",
    "vdbe_eqp",
    "vdbe_listing",
    "vdbe_trace",
    "writable_schema",
};
enum { N_STAYING = sizeof staying / sizeof staying[0] };
static_assert(N_STAYING <= 64, "a bit for each");

static const char *const passing[] = {
    /* They ask; a value says about what. */
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "foreign_key_check",
    "foreign_key_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "module_list",
    "page_count",
    "pragma_list",
    "quick_check",
    "stats",
    "table_info",
    "table_list",
    "table_xinfo",
    /* They do something, once. */
    "incremental_vacuum",
    "optimize",
    "shrink_memory",
    "wal_checkpoint",
    /* The file has them. */
    "application_id",
    "schema_version",
    "user_version",
    /* They are set anew at each return. */
    "busy_timeout",
    "wal_autocheckpoint",
    /* The process has them: no connection that is closed would take them along. */
    "data_store_directory",
    "hard_heap_limit",
    "soft_heap_limit",
    "temp_store_directory",
};

static bool find(const char *const *names, unsigned count, const char *name,
                 unsigned *place)
{
    for (*place = 0; *place < count; ++*place)
        if (sqlite3_stricmp(names[*place], name) == 0)
            return true;
    return false;
}

enum lido__pragma_effect lido__pragma_effect(const char *name, unsigned *place)
{
    unsigned unused;

    if (find(staying, N_STAYING, name, place))
        return LIDO__PRAGMA_STAYS;
    return find(passing, sizeof passing / sizeof passing[0], name, &unused)
               ? LIDO__PRAGMA_PASSES
               : LIDO__PRAGMA_UNKNOWN;
}

const char *lido__pragma_at(unsigned place)
{
    return staying[place];
}

struct lido__session_values {
    char text[N_STAYING][24]; /* "": it answers nothing */
};

static void ask(sqlite3 *db, unsigned place, char *out, size_t size)
{
    const char *text = NULL;
    sqlite3_stmt *stmt;
    char sql[60];

    out[0] = '\0';
    snprintf(sql, sizeof sql, "PRAGMA %s", staying[place]);
    if (strcmp(staying[place], "case_sensitive_like") == 0) /* it cannot be asked for */
        snprintf(sql, sizeof sql, "SELECT 'a' NOT LIKE 'A'");
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        text = (const char *)sqlite3_column_text(stmt, 0);
    snprintf(out, size, "%s", text != NULL ? text : "");
    sqlite3_finalize(stmt);
}

struct lido__session_values *lido__session_values_take(sqlite3 *db)
{
    struct lido__session_values *values = lido__new(sizeof *values);

    for (unsigned i = 0; values != NULL && i < N_STAYING; i++)
        ask(db, i, values->text[i], sizeof values->text[i]);
    return values;
}

void lido__session_values_free(struct lido__session_values *values)
{
    lido__free(values);
}

/* Set, and asked again: SQLite takes what it does not like without a word. */
static bool set(sqlite3 *db, unsigned place, const char *value)
{
    bool is_fast = strcmp(staying[place], "secure_delete") == 0 && value[0] == '2';
    char sql[100], now[24];

    ask(db, place, now, sizeof now);
    if (strcmp(now, value) == 0)
        return true;
    sqlite3_snprintf(sizeof sql, sql, "PRAGMA %s = %Q", staying[place],
                     is_fast ? "fast" : value);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return false;
    ask(db, place, now, sizeof now);
    return strcmp(now, value) == 0;
}

/* A database that has no file and some data has them too: they are its own by then. */
static bool belongs_to_data(unsigned place)
{
    static const char *const names[] = { "auto_vacuum", "encoding", "page_size" };
    unsigned unused;

    return find(names, sizeof names / sizeof names[0], staying[place], &unused);
}

static const char *value_before(const struct lido_session *session, unsigned place)
{
    if (session->before != NULL)
        return session->before->text[place];
    return strcmp(staying[place], "defer_foreign_keys") == 0 ? "0" : NULL;
}

void lido__session_put_back(sqlite3 *db, struct lido_session *session)
{
    bool was_muted = session->is_muted;

    session->is_muted = true;
    for (unsigned i = 0; i < N_STAYING; i++) {
        const uint64_t bit = UINT64_C(1) << i;
        const char *value = value_before(session, i);

        if ((session->pragmas & bit) != 0 && value != NULL &&
            (set(db, i, value) || belongs_to_data(i)))
            session->pragmas &= ~bit;
    }
    session->is_muted = was_muted;
}
