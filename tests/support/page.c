/* SPDX-License-Identifier: MIT */
/*
 * Reading a page: the text, and tables in it.
 *
 * Threads: any; nothing is shared.
 */
#include "tests/support/page.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *page_text(const char *root, const char *name)
{
    char *path = sqlite3_mprintf("%s/%s", root, name);
    char *text = calloc(1, 100000);
    FILE *file = fopen(path, "rb");

    cr_assert_not_null(file, "%s", path);
    cr_assert_gt(fread(text, 1, 99999, file), 0);
    fclose(file);
    sqlite3_free(path);
    return text;
}

static void read_cell(char *cell, const char *start, size_t length)
{
    size_t used = 0;

    while (length > 0 && start[length - 1] == ' ')
        length--;
    for (size_t i = 0; i < length && used < 199; i++)
        if (start[i] != '`' && (start[i] != ' ' || used > 0))
            cell[used++] = start[i];
    cell[used] = '\0';
}

static void read_row(struct page_row *row, const char *line)
{
    for (int i = 0; i < PAGE_COLUMNS && *line == '|'; i++) {
        size_t length = strcspn(++line, "|\n");

        read_cell(row->cells[i], line, length);
        line += length;
    }
}

struct page_table *page_table(const char *root, const char *name, const char *heading)
{
    struct page_table *table = calloc(1, sizeof *table);
    char *text = page_text(root, name), *at = strstr(text, heading), *rule;

    cr_assert_not_null(at, "%s", heading);
    rule = strstr(at, "\n|---");
    cr_assert_not_null(rule);
    for (at = rule; at[-1] != '\n'; at--)
        continue;
    read_row(&table->head, at);
    for (at = strchr(rule + 1, '\n') + 1; *at == '|'; at = strchr(at, '\n') + 1) {
        cr_assert_lt(table->n_rows, 60);
        read_row(&table->rows[table->n_rows++], at);
    }
    free(text);
    return table;
}

const struct page_row *page_row(const struct page_table *table, int column,
                                const char *name)
{
    const struct page_row *found = NULL;

    for (int i = 0; i < table->n_rows; i++)
        if (strcmp(table->rows[i].cells[column], name) == 0) {
            cr_assert_null(found, "%s stands there twice", name);
            found = &table->rows[i];
        }
    return found;
}
