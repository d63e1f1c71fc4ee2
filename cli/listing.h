/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_LISTING_H
#define LIDO_CLI_LISTING_H

/*
 * A table of as many rows as there are, with a head, whose cells may come from a database.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { LISTING_COLUMNS = 8 };

/* All zero but for the first two is an empty one. */
struct listing {
    const char *const *heads; /* one a column */
    const char *sides;        /* a letter a column: 'l' to the left, 'r' to the right */
    char **cells;
    size_t n, room;
    bool is_short; /* memory was out: a cell is missing */
};

/* Fills the next cell, row by row. */
void listing_add(struct listing *listing, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void listing_print(FILE *out, const struct listing *listing, bool has_color);
/* The same, fitted to a terminal; false: nothing was printed. */
bool listing_print_terminal(FILE *out, const struct listing *listing, bool has_color);
void listing_fini(struct listing *listing);

#endif
