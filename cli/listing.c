/* SPDX-License-Identifier: MIT */
/*
 * Listing: cells are kept until the last is known, for the width of their column.
 *
 * A name in a database may be anything, also what moves a terminal's cursor: a control
 * character is shown as '?'.  The width is counted in code points.  On a terminal libsmartcols
 * does it where lido was built with it; what other programs read is the same with and without.
 *
 * Threads: one.
 */
#include "cli/listing.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void listing_add(struct listing *listing, const char *format, ...)
{
    char *cell = NULL;
    va_list args;

    if (listing->n == listing->room) {
        const size_t room = listing->room == 0 ? 64 : listing->room * 2;
        char **cells = realloc(listing->cells, room * sizeof *cells);

        if (cells == NULL) {
            listing->is_short = true;
            return;
        }
        listing->cells = cells;
        listing->room = room;
    }
    va_start(args, format);
    if (vasprintf(&cell, format, args) < 0)
        cell = NULL;
    va_end(args);
    if (cell == NULL) {
        listing->is_short = true;
        return;
    }
    listing->cells[listing->n++] = cell;
}

static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void print_cell(FILE *out, const char *text, char side, size_t width, bool is_last)
{
    const int blanks = (int)(width - width_of(text));

    if (side == 'r')
        fprintf(out, "%*s", blanks, "");
    for (; *text != '\0'; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
    if (!is_last)
        fprintf(out, "%*s", side == 'l' ? blanks + 2 : 2, "");
}

/* A line ends with the last cell that has something in it. */
static void print_row(FILE *out, const char *const *cells, const char *sides,
                      const size_t *widths)
{
    size_t n = strlen(sides);

    while (n > 1 && cells[n - 1][0] == '\0')
        n--;
    for (size_t i = 0; i < n; i++)
        print_cell(out, cells[i], sides[i], widths[i], i == n - 1);
}

void listing_print(FILE *out, const struct listing *listing, bool has_color)
{
    const size_t columns = strlen(listing->sides);
    size_t widths[LISTING_COLUMNS] = { 0 };

    assert(columns >= 1 && columns <= LISTING_COLUMNS);
    if (isatty(fileno(out)) && listing_print_terminal(out, listing, has_color))
        return;
    for (size_t i = 0; i < columns; i++)
        widths[i] = width_of(listing->heads[i]);
    for (size_t i = 0; i < listing->n; i++) {
        const size_t width = width_of(listing->cells[i]);

        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    fputs(has_color ? "\033[1m" : "", out);
    print_row(out, listing->heads, listing->sides, widths);
    fputs(has_color ? "\033[0m\n" : "\n", out);
    for (size_t i = 0; i + columns <= listing->n; i += columns) {
        print_row(out, (const char *const *)&listing->cells[i], listing->sides, widths);
        fputc('\n', out);
    }
}

void listing_fini(struct listing *listing)
{
    for (size_t i = 0; i < listing->n; i++)
        free(listing->cells[i]);
    free(listing->cells);
}
