/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_PLAIN_FILE_H
#define LIDO_TESTS_PLAIN_FILE_H

/*
 * Files that no SQLite has open: what stands in them is written, or destroyed, as bytes.
 *
 * Threads: any.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static inline void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

/* A page's worth of junk, from the byte `where` on. */
static inline void damage(const char *path, long where)
{
    char junk[4096];
    FILE *file = fopen(path, "r+");

    cr_assert_not_null(file, "%s", path);
    memset(junk, 0x5a, sizeof junk);
    fseek(file, where, SEEK_SET);
    fwrite(junk, 1, sizeof junk, file);
    fclose(file);
}

#endif
