/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_FOLDER_LISTING_H
#define LIDO_TESTS_FOLDER_LISTING_H

/*
 * All that is in the working directory, as one text: two that are equal say that nothing was
 * made, taken away, written or touched.
 *
 * Files are opened to be read, which drops SQLite's locks of this process: nobody here may
 * have a database open.
 *
 * Threads: one.
 */
#include <dirent.h>
#include <lido/lido.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* FNV-1a; 0 where it cannot be read. */
static inline uint64_t folder_sum(const char *name)
{
    uint64_t sum = 0xcbf29ce484222325;
    FILE *file = fopen(name, "rb");
    int byte;

    if (file == NULL)
        return 0;
    while ((byte = getc(file)) != EOF)
        sum = (sum ^ (uint64_t)byte) * 0x100000001b3;
    fclose(file);
    return sum;
}

/* To be given to sqlite3_free(). */
static inline char *folder_listing(void)
{
    sqlite3_str *out = sqlite3_str_new(NULL);
    struct dirent **names;
    const int count = scandir(".", &names, NULL, alphasort);

    if (count < 2) /* "." and ".." are there in any case */
        abort();
    for (int i = 0; i < count; i++) {
        struct stat now;

        if (names[i]->d_name[0] != '.' || names[i]->d_name[1] > '.') {
            if (lstat(names[i]->d_name, &now) != 0)
                abort();
            sqlite3_str_appendf(
                out, "%s %o %lld %lld.%09ld %lld %llx\n", names[i]->d_name, now.st_mode,
                (long long)now.st_ino, (long long)now.st_mtim.tv_sec, now.st_mtim.tv_nsec,
                (long long)now.st_size,
                S_ISREG(now.st_mode) ? (long long)folder_sum(names[i]->d_name) : 0);
        }
        free(names[i]);
    }
    free(names);
    return sqlite3_str_finish(out);
}

#endif
