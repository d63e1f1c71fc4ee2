/* SPDX-License-Identifier: MIT */
/*
 * Pragmas by name, one for each connection.
 *
 * Neither a name nor a value can be bound in a PRAGMA, so both come from the table: a value
 * is read in the type that it has and written anew.  SQLite takes what it does not
 * understand without a word, so each one is asked for afterwards.
 *
 * Those that need the schema (auto_vacuum, cache_size, journal_mode, max_page_count,
 * synchronous) are not put together in a transaction: SQLite reads the schema with the first of
 * them and keeps it, so a list locks the file once already.  A transaction would be a second
 * lock, and journal_mode and synchronous are refused in one.
 *
 * What is not in the table: settings of the process (soft_heap_limit), of one transaction
 * (defer_foreign_keys), contents of the file (user_version), and what lido does by itself
 * (busy_timeout).
 *
 * Threads: any; nothing is shared.
 */
#include "driver/sqlite.h"
#include "driver/url.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum kind {
    TRUTH,
    NUMBER,
    WORD,    /* SQLite answers with the word */
    ORDINAL, /* with its place among the words */
};

struct pragma {
    const char *name;
    enum kind kind;
    int64_t least, most;
    const char *words[7];
    const char *ask; /* NULL: PRAGMA name */
};

static const struct pragma pragmas[] = {
    { "analysis_limit", NUMBER, 0, INT_MAX, { 0 }, NULL },
    { "auto_vacuum", ORDINAL, 0, 0, { "none", "full", "incremental" }, NULL },
    { "automatic_index", TRUTH, 0, 0, { 0 }, NULL },
    { "cache_size", NUMBER, -INT_MAX, INT_MAX, { 0 }, NULL },
    { "case_sensitive_like", TRUTH, 0, 0, { 0 }, "SELECT 'a' NOT LIKE 'A'" },
    { "cell_size_check", TRUTH, 0, 0, { 0 }, NULL },
    { "checkpoint_fullfsync", TRUTH, 0, 0, { 0 }, NULL },
    { "foreign_keys", TRUTH, 0, 0, { 0 }, NULL },
    { "fullfsync", TRUTH, 0, 0, { 0 }, NULL },
    { "ignore_check_constraints", TRUTH, 0, 0, { 0 }, NULL },
    { "journal_mode",
      WORD,
      0,
      0,
      { "delete", "truncate", "persist", "memory", "wal", "off" },
      NULL },
    { "journal_size_limit", NUMBER, -1, INT64_MAX, { 0 }, NULL },
    { "locking_mode", WORD, 0, 0, { "normal", "exclusive" }, NULL },
    { "max_page_count", NUMBER, 1, UINT32_MAX, { 0 }, NULL },
    { "mmap_size", NUMBER, 0, INT64_MAX, { 0 }, NULL },
    { "page_size", NUMBER, 512, 65536, { 0 }, NULL },
    { "query_only", TRUTH, 0, 0, { 0 }, NULL },
    { "read_uncommitted", TRUTH, 0, 0, { 0 }, NULL },
    { "recursive_triggers", TRUTH, 0, 0, { 0 }, NULL },
    { "reverse_unordered_selects", TRUTH, 0, 0, { 0 }, NULL },
    { "secure_delete", ORDINAL, 0, 0, { "off", "on", "fast" }, NULL },
    { "synchronous", ORDINAL, 0, 0, { "off", "normal", "full", "extra" }, NULL },
    { "temp_store", ORDINAL, 0, 0, { "default", "file", "memory" }, NULL },
    { "threads", NUMBER, 0, INT_MAX, { 0 }, NULL },
    { "wal_autocheckpoint", NUMBER, 0, INT_MAX, { 0 }, NULL },
};

static const struct pragma *find(const char *key)
{
    for (size_t i = 0; i < sizeof pragmas / sizeof pragmas[0]; i++)
        if (strcmp(pragmas[i].name, key) == 0)
            return &pragmas[i];
    return NULL;
}

bool lido__pragma_is(const char *key)
{
    return find(key) != NULL;
}

/* A value as it is written into the PRAGMA, and as SQLite will answer it. */
struct written {
    char value[24], answer[24];
};

/* One of the words, or its number where SQLite has numbers for them. */
static int write_word(const struct pragma *pragma, const char *value, struct written *out,
                      struct lido_error *err)
{
    char words[80] = "";
    size_t used = 0;

    for (int i = 0; pragma->words[i] != NULL; i++) {
        const char *word = pragma->words[i];
        bool is_number = pragma->kind == ORDINAL && value[0] == '0' + i && value[1] == '\0';

        if (is_number || strcasecmp(word, value) == 0) {
            snprintf(out->value, sizeof out->value, "%s", word);
            if (pragma->kind == ORDINAL)
                snprintf(out->answer, sizeof out->answer, "%d", i);
            else
                snprintf(out->answer, sizeof out->answer, "%s", word);
            return LIDO_OK;
        }
        used += (size_t)snprintf(words + used, sizeof words - used, "%s%s",
                                 i > 0 ? ", " : "", word);
    }
    return lido_fail(err, LIDO_BAD_URL, "%s=%.40s is none of %s", pragma->name, value,
                     words);
}

static int write_value(const struct pragma *pragma, const char *value, struct written *out,
                       struct lido_error *err)
{
    int64_t number = 0;
    int truth = 0, rc;

    if (pragma->kind == WORD || pragma->kind == ORDINAL)
        return write_word(pragma, value, out, err);
    if (pragma->kind == TRUTH) {
        rc = lido__value_bool(pragma->name, value, &truth, err);
        number = truth;
    } else {
        rc =
            lido__value_int(pragma->name, value, pragma->least, pragma->most, &number, err);
    }
    snprintf(out->value, sizeof out->value, "%lld", (long long)number);
    snprintf(out->answer, sizeof out->answer, "%lld", (long long)number);
    if (rc == LIDO_OK && strcmp(pragma->name, "page_size") == 0 &&
        (number & (number - 1)) != 0)
        rc = lido_fail(err, LIDO_BAD_URL, "page_size=%.40s is no power of two", value);
    return rc;
}

int lido__pragma_check(const struct lido_param *param, struct lido_error *err)
{
    struct written written;

    return write_value(find(param->key), param->value, &written, err);
}

/* The first column of the first row; "" if there is no row. */
static int ask(sqlite3 *db, const struct pragma *pragma, char *out, size_t size)
{
    char sql[60];
    sqlite3_stmt *stmt;
    const char *text = NULL;
    int rc;

    snprintf(sql, sizeof sql, "PRAGMA %s", pragma->name);
    rc = sqlite3_prepare_v2(db, pragma->ask != NULL ? pragma->ask : sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return rc;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        text = (const char *)sqlite3_column_text(stmt, 0);
    snprintf(out, size, "%s", text != NULL ? text : "");
    return sqlite3_finalize(stmt);
}

/* Which of the three prerequisites of foreign keys fails:
   https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#foreign-key-support.  The third, no
   open transaction, is asked before. */
static const char *why_no_foreign_keys(void)
{
    if (sqlite3_libversion_number() < 3006019)
        return "SQLite has them since 3.6.19, and this one is older";
    if (sqlite3_compileoption_used("OMIT_FOREIGN_KEY"))
        return "this SQLite was compiled without them (SQLITE_OMIT_FOREIGN_KEY)";
    if (sqlite3_compileoption_used("OMIT_TRIGGER"))
        return "this SQLite was compiled without triggers (SQLITE_OMIT_TRIGGER)";
    return NULL;
}

static int fail_untaken(const struct pragma *pragma, const char *doing, const char *answer,
                        struct lido_error *err)
{
    const char *why = NULL;

    if (strcmp(pragma->name, "foreign_keys") == 0)
        why = why_no_foreign_keys();
    if (why != NULL)
        return lido_fail(err, LIDO_SETTING, "%s did not take: %s", doing, why);
    return lido_fail(err, LIDO_SETTING, "%s did not take: SQLite %s%.40s", doing,
                     answer[0] != '\0' ? "says " : "has none here", answer);
}

int lido__pragma_apply(sqlite3 *db, const struct lido_param *param, struct lido_error *err)
{
    const struct pragma *pragma = find(param->key);
    char doing[60], sql[80], answer[48];
    struct written written;
    int rc = write_value(pragma, param->value, &written, err);

    if (rc != LIDO_OK)
        return rc;
    snprintf(doing, sizeof doing, "%s=%s", pragma->name, written.value);
    /* In one some pragmas do nothing, and others fail. */
    if (!sqlite3_get_autocommit(db))
        return lido_fail(err, LIDO_SETTING, "%s cannot be set: a transaction is open",
                         doing);
    snprintf(sql, sizeof sql, "PRAGMA %s = %s", pragma->name, written.value);
    rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = ask(db, pragma, answer, sizeof answer);
    if (rc != SQLITE_OK)
        return lido__sqlite_fail(db, rc, doing, err);
    return strcmp(answer, written.answer) == 0 ? LIDO_OK
                                               : fail_untaken(pragma, doing, answer, err);
}
