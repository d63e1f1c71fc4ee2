/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_PAGE_H
#define LIDO_TESTS_PAGE_H

/*
 * Pages of the documentation, read by the tests that hold them to the code.
 *
 * Threads: any; nothing is shared.
 */
#define PAGE_COLUMNS 10

struct page_row {
    char cells[PAGE_COLUMNS]
              [200]; /* without backquotes and outer blanks; "" where none is */
};
struct page_table {
    int n_rows;
    struct page_row head;
    struct page_row rows[60];
};

/* The text of a file of the project, to be freed.  `root` is LIDO_SOURCE_ROOT. */
char *page_text(const char *root, const char *name);

/* The first table under a heading, to be freed. */
struct page_table *page_table(const char *root, const char *name, const char *heading);

/* The row that has `name` in the column; NULL if there is none, and a failure if two. */
const struct page_row *page_row(const struct page_table *table, int column,
                                const char *name);

#endif
