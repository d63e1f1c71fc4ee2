/* SPDX-License-Identifier: MIT */
/*
 * Table: cells are gathered first, because a column's width is known by its last row only.
 *
 * Width is counted in code points, which for the names and numbers printed here is what a
 * terminal shows.
 *
 * Threads: one at a time.
 */
#include "report/table.h"

#include <stdarg.h>

static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++) {
        if (((unsigned char)*text & 0xC0) != 0x80)
            width++;
    }
    return width;
}

void table_add(struct table *table, const char *format, ...)
{
    va_list args;

    if (table->cells == TABLE_CELLS)
        return;
    va_start(args, format);
    vsnprintf(table->text[table->cells++], TABLE_CELL_BYTES, format, args);
    va_end(args);
}

void table_print(FILE *out, const struct table *table, const char *indent)
{
    size_t widths[TABLE_COLUMNS] = { 0 };

    for (size_t i = 0; i < table->cells; i++) {
        size_t width = width_of(table->text[i]);

        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->cells; i++) {
        size_t column = i % table->columns;
        int blanks = (int)(widths[column] - width_of(table->text[i]));
        int is_last = column == table->columns - 1 || i == table->cells - 1;

        if (column == 0)
            fprintf(out, "%s%s%*s", indent, table->text[i], is_last ? 0 : blanks, "");
        else
            fprintf(out, "   %*s%s", blanks, "", table->text[i]);
        if (is_last)
            fputc('\n', out);
    }
}
