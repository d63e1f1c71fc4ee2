/* SPDX-License-Identifier: MIT */
#ifndef LIDO_REPORT_TABLE_H
#define LIDO_REPORT_TABLE_H

/*
 * A table of text with aligned columns: the first to the left, the others to the right.
 */
#include <stddef.h>
#include <stdio.h>

/* Enough for any report of this tool; what goes beyond is left out. */
enum { TABLE_COLUMNS = 8, TABLE_CELLS = 256, TABLE_CELL_BYTES = 64 };

/* All zero but for `columns` is an empty one. */
struct table {
    size_t columns; /* 1 to TABLE_COLUMNS */
    size_t cells;
    char text[TABLE_CELLS][TABLE_CELL_BYTES];
};

/* Fills the next cell, row by row. */
void table_add(struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints all rows, each behind `indent`, with no blanks at the end of a line. */
void table_print(FILE *out, const struct table *table, const char *indent);

#endif
