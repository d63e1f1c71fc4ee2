/* SPDX-License-Identifier: MIT */
/*
 * Listing by libsmartcols, which knows the terminal: columns get narrower until a row fits, and
 * what has no room there goes on in the next line of its cell.  Nothing is cut off.
 *
 * It also counts the cells that a character takes.  What the locale does not know it shows as
 * \xNN; told not to (scols_table_enable_noencoding) 2.38 never ends where it has to wrap that.
 *
 * Threads: one.
 */
#include "cli/listing.h"

#include <libsmartcols.h>
#include <string.h>

enum { SHORT = 12 };

/* Words such as "table" are not broken. */
static bool has_long_cell(const struct listing *listing, size_t column)
{
    const size_t columns = strlen(listing->sides);

    for (size_t i = column; i < listing->n; i += columns)
        if (strlen(listing->cells[i]) > SHORT)
            return true;
    return false;
}

static bool add_columns(struct libscols_table *table, const struct listing *listing,
                        bool has_color)
{
    for (size_t i = 0; listing->sides[i] != '\0'; i++) {
        const int flags = listing->sides[i] == 'r'    ? SCOLS_FL_RIGHT
                          : has_long_cell(listing, i) ? SCOLS_FL_WRAP
                                                      : 0;
        struct libscols_column *column =
            scols_table_new_column(table, listing->heads[i], 0, flags);

        if (column == NULL)
            return false;
        if (has_color &&
            scols_cell_set_color(scols_column_get_header(column), "\033[1m") != 0)
            return false;
    }
    return true;
}

static bool set_cell(struct libscols_line *line, size_t column, const char *text)
{
    char *shown = strdup(text);

    if (shown == NULL)
        return false;
    for (char *at = shown; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    return scols_line_refer_data(line, column, shown) == 0; /* which is its own now */
}

static bool add_rows(struct libscols_table *table, const struct listing *listing)
{
    const size_t columns = strlen(listing->sides);

    for (size_t i = 0; i + columns <= listing->n; i += columns) {
        struct libscols_line *line = scols_table_new_line(table, NULL);

        if (line == NULL)
            return false;
        for (size_t k = 0; k < columns; k++)
            if (!set_cell(line, k, listing->cells[i + k]))
                return false;
    }
    return true;
}

bool listing_print_terminal(FILE *out, const struct listing *listing, bool has_color)
{
    struct libscols_table *table = scols_new_table();
    bool is_done;

    if (table == NULL)
        return false;
    is_done = scols_table_set_stream(table, out) == 0 &&
              scols_table_set_column_separator(table, "  ") == 0 &&
              scols_table_enable_colors(table, (int)has_color) == 0 &&
              add_columns(table, listing, has_color) && add_rows(table, listing) &&
              scols_print_table(table) == 0;
    scols_unref_table(table);
    return is_done;
}
