/* SPDX-License-Identifier: MIT */
/*
 * docs/defaults.md says what the code does: every option of the table, every member of struct
 * lido_pool_options and every key of the driver stands there with its default, and nothing
 * else.
 */
#include "driver/sqlite.h"
#include "engine/options.h"
#include "tests/support/fake_driver.h"
#include "tests/support/page.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE "–"

static const struct lido_pool_options defaults = LIDO_POOL_OPTIONS_INIT;
static struct lido_error err;

TestSuite(open_defaults, .init = fake_driver_install, .timeout = 20);

/* --- what the code says --------------------------------------------------------------- */

static void write_by_kind(const struct lido__option *option, char *text, size_t size)
{
    struct lido__option only = *option;
    char kinds[100];

    only.kinds = option->by_kind;
    lido__option_write_kinds(&only, kinds, sizeof kinds);
    snprintf(text, size, "1 with %s, else 0", kinds);
}

static void write_default(const struct lido__option *option, char *text, size_t size)
{
    const char *field = (const char *)&defaults + option->from;
    int number = option->type == LIDO__OPTION_ALONE ? 0 : *(const int *)field;
    int64_t time = option->type == LIDO__OPTION_TIME ? *(const int64_t *)field : 0;

    switch (option->type) {
    case LIDO__OPTION_TEXT:
        cr_assert_null(*(const char *const *)field);
        snprintf(text, size, "%s",
                 option->words != NULL ? option->words[0].name : "by database");
        break;
    case LIDO__OPTION_INT: snprintf(text, size, "%d", number); break;
    case LIDO__OPTION_TRUTH:
        if (number == LIDO_BY_KIND)
            write_by_kind(option, text, size);
        else
            snprintf(text, size, "%d", number);
        break;
    case LIDO__OPTION_TIME:
        snprintf(text, size, "%g", time == -1 ? -1 : (double)time / 1000);
        break;
    case LIDO__OPTION_WORD:
        for (const struct lido__named *word = option->words; word->name != NULL; word++)
            if (word->value == number) {
                snprintf(text, size, "%s", word->name);
                break;
            }
        break;
    case LIDO__OPTION_ALONE: snprintf(text, size, NONE);
    }
}

static void write_kinds(const struct lido__option *option, char *text, size_t size)
{
    char names[100];

    lido__option_write_kinds(option, text, size);
    lido__option_write_kinds(lido__option_find("pool"), names, sizeof names);
    if (strcmp(text, names) == 0)
        snprintf(text, size, "all");
}

static void expect_cell(const struct lido__option *option, const struct page_row *row,
                        int column, const char *wanted)
{
    cr_assert_str_eq(row->cells[column], wanted, "%s: the page says %s, the code %s",
                     option->key, row->cells[column], wanted);
}

Test(open_defaults, every_option_stands_on_the_page_as_it_is_in_the_code)
{
    struct page_table *table =
        page_table(LIDO_SOURCE_ROOT, "docs/defaults.md", "## Options");
    int with_key = 0;

    for (size_t i = 0; i < lido__n_options; i++) {
        const struct lido__option *option = &lido__options[i];
        const struct page_row *row = page_row(table, 0, option->key);
        char text[200] = "";

        cr_assert_not_null(row, "the page lacks %s", option->key);
        expect_cell(option, row, 1, option->field != NULL ? option->field : NONE);
        write_default(option, text, sizeof text);
        expect_cell(option, row, 2, text);
        snprintf(text, sizeof text, "%d", (int)option->least);
        expect_cell(option, row, 3,
                    option->type == LIDO__OPTION_INT || option->type == LIDO__OPTION_TIME
                        ? text
                        : NONE);
        write_kinds(option, text, sizeof text);
        expect_cell(option, row, 4, text);
    }
    for (int i = 0; i < table->n_rows; i++) {
        for (int k = 0; k < PAGE_COLUMNS; k++)
            cr_assert_neq(table->rows[i].cells[k][0], '\0', "%s: an empty cell",
                          table->rows[i].cells[0]);
        with_key += strcmp(table->rows[i].cells[0], NONE) != 0;
    }
    cr_assert_eq(with_key, (int)lido__n_options, "a key that is none");
    free(table);
}

Test(open_defaults, the_fields_without_a_key_are_at_what_the_page_says)
{
    struct page_table *table =
        page_table(LIDO_SOURCE_ROOT, "docs/defaults.md", "## Options");
    const struct {
        const char *field, *value;
    } fields[] = {
        { "key", defaults.key == NULL ? "NULL" : "" },
        { "key_ctx", defaults.key_ctx == NULL ? "NULL" : "" },
        { "log", defaults.log == NULL ? "NULL" : "" },
        { "log_ctx", defaults.log_ctx == NULL ? "NULL" : "" },
        { "log_level", defaults.log_level == LIDO_LOG_WARN ? "warn" : "" },
        { "clock", defaults.clock == NULL ? "NULL" : "" },
    };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct page_row *row = page_row(table, 1, fields[i].field);

        cr_assert_not_null(row, "the page lacks %s", fields[i].field);
        cr_assert_str_eq(row->cells[0], NONE);
        cr_assert_str_eq(row->cells[2], fields[i].value, "%s", fields[i].field);
    }
    free(table);
}

Test(open_defaults, the_kind_by_database_is_what_the_page_says)
{
    struct page_table *table =
        page_table(LIDO_SOURCE_ROOT, "docs/defaults.md", "## Options");
    const char *says = page_row(table, 0, "pool")->cells[5];
    struct lido_pool_stats stats = LIDO_POOL_STATS_INIT;
    char text[100] = "", *urls[] = { "sqlite:///x.db", "sqlite://" };
    const char *kinds[2];

    for (int i = 0; i < 2; i++) {
        lido_pool *pool;

        cr_assert_eq(lido_pool_open(&pool, urls[i], NULL, &err), LIDO_OK);
        cr_assert_eq(lido_pool_stats(pool, &stats, &err), LIDO_OK);
        kinds[i] = stats.kind;
        lido_pool_free(pool);
    }
    snprintf(text, sizeof text, "a file: %s; a memory database: %s", kinds[0], kinds[1]);
    cr_assert_str_eq(says, text);
    free(table);
}

/* --- the struct ----------------------------------------------------------------------- */

/* Blanks instead of comments. */
static void strip_comments(char *text)
{
    char *start, *end;

    while ((start = strstr(text, "/*")) != NULL && (end = strstr(start, "*/")) != NULL)
        memset(start, ' ', (size_t)(end + 2 - start));
}

/* The name that a declaration declares: behind a "(*", or else the last one. */
static void read_name(const char *declaration, size_t length, char *name, size_t size)
{
    const char *start = strstr(declaration, "(*"), *end;

    if (start != NULL && start < declaration + length) {
        start += 2;
        end = start + strcspn(start, ")");
    } else {
        for (end = declaration + length; isspace((unsigned char)end[-1]); end--)
            continue;
        for (start = end; isalnum((unsigned char)start[-1]) || start[-1] == '_'; start--)
            continue;
    }
    snprintf(name, size, "%.*s", (int)(end - start), start);
}

Test(open_defaults, every_member_of_the_struct_stands_on_the_page)
{
    struct page_table *table =
        page_table(LIDO_SOURCE_ROOT, "docs/defaults.md", "## Options");
    char *text = page_text(LIDO_SOURCE_ROOT, "include/lido/pool.h");
    char *at = strstr(text, "struct lido_pool_options {"), *end;
    int members = 0, rows = 0;
    char name[60];

    cr_assert_not_null(at);
    at = strchr(at, '{') + 1;
    end = strstr(at, "\n};");
    cr_assert_not_null(end);
    *end = '\0';
    strip_comments(at);
    for (size_t length; (length = strcspn(at, ";")) < strlen(at); at += length + 1) {
        read_name(at, length, name, sizeof name);
        if (strcmp(name, "size") == 0)
            continue;
        cr_assert_not_null(page_row(table, 1, name), "the page lacks %s", name);
        members++;
    }
    for (int i = 0; i < table->n_rows; i++)
        rows += strcmp(table->rows[i].cells[1], NONE) != 0;
    cr_assert_gt(members, 20);
    cr_assert_eq(rows, members, "a field that is none");
    free(text);
    free(table);
}

/* --- the driver ----------------------------------------------------------------------- */

Test(open_defaults, a_default_of_the_driver_is_taken_as_a_value)
{
    struct page_table *table =
        page_table(LIDO_SOURCE_ROOT, "docs/defaults.md", "## Keys of the driver");
    char url[100];

    for (int i = 0; i < table->n_rows; i++) {
        const char *key = table->rows[i].cells[0], *value = table->rows[i].cells[1];
        lido_pool *pool;

        cr_assert(lido__sqlite_takes(key), "%s is no key of the driver", key);
        if (strcmp(value, NONE) == 0 || strchr(value, ' ') != NULL)
            continue;
        snprintf(url, sizeof url, "sqlite:///x.db?%s=%s", key, value);
        cr_assert_eq(lido_pool_open(&pool, url, NULL, &err), LIDO_OK, "%s", err.text);
        lido_pool_free(pool);
    }
    free(table);
}

/* The driver names its keys when it is asked for one that it does not know. */
Test(open_defaults, every_key_of_the_driver_stands_on_the_page)
{
    struct page_table *table =
        page_table(LIDO_SOURCE_ROOT, "docs/defaults.md", "## Keys of the driver");
    const char *at;
    lido_pool *pool;
    int keys = 0;

    cr_assert_eq(lido_pool_open(&pool, "sqlite:///x.db?nosuch=1", NULL, &err),
                 LIDO_BAD_URL);
    at = strstr(err.text, "takes: ");
    cr_assert_not_null(at, "%s", err.text);
    for (at += strlen("takes: "); strncmp(at, "and pragmas", 11) != 0; keys++) {
        char key[40];

        cr_assert_eq(sscanf(at, "%39[a-z_], ", key), 1, "%s", err.text);
        cr_assert_not_null(page_row(table, 0, key), "the page lacks %s", key);
        at += strlen(key) + 2;
    }
    cr_assert_eq(table->n_rows, keys);
    free(table);
}
