/* SPDX-License-Identifier: MIT */
/*
 * Names that a tool trips over, through every job on tables.
 */
#include "tests/support/table_stage.h"

TestSuite(table_names, .init = stage_set_up, .fini = stage_tear_down, .timeout = 60);

static void exec_named(const char *path, const char *format, const char *name)
{
    char *sql = sqlite3_mprintf(format, name, name, name, name);

    stage_exec(path, sql);
    sqlite3_free(sql);
}

static int look_for(void *name, const struct lido_table_info *table,
                    struct lido_error *story)
{
    (void)story;
    return strcmp(table->name, name) == 0 ? SQLITE_BUSY : LIDO_OK;
}

static void expect_there(const char *path, const char *name, bool is_there)
{
    int kind, rc;

    cr_assert_eq(lido_table_exists(lido_at_path(path), "main", name, 0, &kind, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_eq(kind, is_there ? LIDO_TABLE_PLAIN : 0, "%.40s", name);
    rc = lido_table_list(lido_at_path(path), NULL, 0, look_for, (void *)(uintptr_t)name,
                         &err);
    cr_expect_eq(rc, is_there ? SQLITE_BUSY : LIDO_OK, "%.40s", name);
}

static int add(void *text, const char *piece, size_t length, struct lido_error *story)
{
    (void)length;
    (void)story;
    sqlite3_str_appendall(text, piece);
    return LIDO_OK;
}

/* By a pattern that is the name and nothing else, and into the second file. */
static void dump_and_load(const char *name)
{
    struct lido_dump_options only = LIDO_DUMP_OPTIONS_INIT;
    sqlite3_str *pattern = sqlite3_str_new(NULL), *text = sqlite3_str_new(NULL);
    char *wanted;

    for (const char *next = name; *next != '\0'; next++) {
        if (strchr("%_\\", *next) != NULL)
            sqlite3_str_appendchar(pattern, 1, '\\');
        sqlite3_str_append(pattern, next, 1);
    }
    wanted = sqlite3_str_finish(pattern);
    only.tables = wanted != NULL ? wanted : "";
    cr_assert_eq(lido_dump(lido_at_path(stage_a), &only, add, text, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(lido_load_text(lido_at_path(stage_b), NULL, sqlite3_str_value(text),
                                (size_t)sqlite3_str_length(text), NULL, &err),
                 LIDO_OK, "%.40s: %s", name, err.text);
    cr_expect_null(strstr(sqlite3_str_value(text), "neighbour"));
    sqlite3_free(sqlite3_str_finish(text));
    sqlite3_free(wanted);
}

static void expect_rows(const char *path, const char *name)
{
    char *sql = sqlite3_mprintf("SELECT group_concat(\"%w\") FROM \"%w\"", name, name);

    stage_expect(path, sql, "1,2");
    sqlite3_free(sql);
}

Test(table_names, every_job_takes_every_name)
{
    for (size_t i = 0; stage_name(i) != NULL; i++) {
        const char *name = stage_name(i);
        struct lido_table_copy_options replace = LIDO_TABLE_COPY_OPTIONS_INIT;

        exec_named(stage_a,
                   "CREATE TABLE \"%w\"(\"%w\" UNIQUE); INSERT INTO \"%w\" VALUES (1), (2);"
                   "CREATE TABLE neighbour(x REFERENCES \"%w\")",
                   name);
        expect_there(stage_a, name, true);
        expect_there(stage_b, name, false);
        dump_and_load(name);
        expect_rows(stage_b, name);
        replace.mode = LIDO_COPY_REPLACE;
        cr_expect_eq(lido_table_copy(lido_at_path(stage_a), name, lido_at_path(stage_b),
                                     &replace, NULL, &err),
                     LIDO_OK, "%.40s: %s", name, err.text);
        expect_rows(stage_b, name);
        cr_expect_eq(lido_table_rename(lido_at_path(stage_a), name, "other", NULL, &err),
                     LIDO_OK, "%.40s: %s", name, err.text);
        expect_there(stage_a, name, false);
        cr_expect_eq(
            lido_table_backup(lido_at_path(stage_a), "other", name, NULL, NULL, &err),
            LIDO_OK, "%.40s: %s", name, err.text);
        expect_rows(stage_a, name);
        stage_expect(stage_a, "PRAGMA integrity_check", "ok");
        exec_named(stage_a, "DROP TABLE neighbour; DROP TABLE other; DROP TABLE \"%w\"",
                   name);
        exec_named(stage_b, "DROP TABLE \"%w\"", name);
    }
}
