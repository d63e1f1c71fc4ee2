/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_FUZZ_DRIVE_H
#define LIDO_TESTS_FUZZ_DRIVE_H

/*
 * A fuzzer's function without the fuzzer: each file of a folder as it is, and then changed by a
 * fixed dice, so that each run does the same.
 *
 * Threads: one.
 */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRIVE_FILES 20
#define DRIVE_MOST  16384

struct drive_file {
    uint8_t bytes[DRIVE_MOST];
    size_t size;
};

static inline uint32_t drive_roll(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static inline size_t drive_read(const char *folder, struct drive_file *files)
{
    DIR *names = opendir(folder);
    struct dirent *entry;
    char path[4096];
    size_t count = 0;

    while (names != NULL && (entry = readdir(names)) != NULL && count < DRIVE_FILES) {
        FILE *file;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        file = fopen(path, "rb");
        if (file == NULL)
            abort();
        files[count].size = fread(files[count].bytes, 1, DRIVE_MOST, file);
        fclose(file);
        count++;
    }
    if (names != NULL)
        closedir(names);
    return count;
}

/* One to four changes: a byte, a piece that goes, a piece that comes twice or from another. */
static inline size_t drive_change(uint8_t *bytes, size_t size,
                                  const struct drive_file *other, uint32_t *state)
{
    for (uint32_t n = 1 + drive_roll(state) % 4; n > 0 && size > 0; n--) {
        const size_t at = drive_roll(state) % size, length = drive_roll(state) % 40;
        const size_t from = other->size > 0 ? drive_roll(state) % other->size : 0;

        switch (drive_roll(state) % 5) {
        case 0: bytes[at] ^= (uint8_t)(1U << drive_roll(state) % 8); break;
        case 1: bytes[at] = (uint8_t)drive_roll(state); break;
        case 2:
            if (at + length > size)
                break;
            memmove(bytes + at, bytes + at + length, size - at - length);
            size -= length;
            break;
        case 3:
            if (size + length > DRIVE_MOST || from + length > other->size)
                break;
            memmove(bytes + at + length, bytes + at, size - at);
            memcpy(bytes + at, other->bytes + from, length);
            size += length;
            break;
        default:
            if (at + length <= size && from + length <= other->size)
                memcpy(bytes + at, other->bytes + from, length);
        }
    }
    return size;
}

/* How many files there were.  What is wrong aborts. */
static inline size_t drive(const char *folder, int count, uint32_t state,
                           int (*function)(const uint8_t *bytes, size_t size))
{
    struct drive_file *files = calloc(DRIVE_FILES, sizeof *files);
    uint8_t *bytes;
    size_t n_files;

    if (files == NULL)
        abort();
    n_files = drive_read(folder, files);
    for (size_t i = 0; i < n_files; i++)
        function(files[i].bytes, files[i].size);
    for (int i = 0; i < count && n_files > 0; i++) {
        const struct drive_file *file = &files[drive_roll(&state) % n_files];
        size_t size;

        /* Of its own size, so that a sanitizer sees what is read behind it. */
        bytes = malloc(DRIVE_MOST);
        if (bytes == NULL)
            abort();
        memcpy(bytes, file->bytes, file->size);
        size =
            drive_change(bytes, file->size, &files[drive_roll(&state) % n_files], &state);
        bytes = realloc(bytes, size > 0 ? size : 1);
        if (bytes == NULL)
            abort();
        function(bytes, size);
        free(bytes);
    }
    free(files);
    return n_files;
}

#endif
