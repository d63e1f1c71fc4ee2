/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_STREAM_H
#define LIDO_CLI_STREAM_H

/*
 * Text that comes from a file or stdin, or goes to a file or stdout, and ends with the job.
 */
#include "cli/command.h"

#include <sys/types.h>

enum { STREAM_ROOM = 65536, STREAM_PATH = 4096 };

struct stream {
    struct call *call; /* whose job it is for */
    int file;          /* -1: none is open */
    bool is_regular;
    int64_t size;   /* of a regular file that is read; else 0 */
    uint64_t bytes; /* that went through */

    /* Of one that is written. */
    bool may_replace;
    const char *path;            /* the name it is to have; NULL: stdout */
    char temporary[STREAM_PATH]; /* where it is as long as it is not whole; "": nowhere */
    char buffer[STREAM_ROOM];
    size_t filled;
};

/* `path` NULL: stdin.  Not the file `database` itself: to close it would drop its locks. */
int stream_read_from(struct stream *stream, struct call *call, const char *path,
                     const char *database);
/* Fills up to `size` bytes; *length 0: the end. */
int stream_read(struct stream *stream, char *buffer, size_t size, size_t *length,
                struct lido_error *err);

/* `path` NULL: stdout.  Else it is written beside, and has its name when it is kept; who may
   read it is who may read `database`. */
int stream_write_to(struct stream *stream, struct call *call, const char *path,
                    bool may_replace, const char *database);
int stream_write(struct stream *stream, const char *text, size_t length,
                 struct lido_error *err);
/* What was written is whole. */
int stream_keep(struct stream *stream);

/* rename(), but nothing is replaced: errno is EEXIST then. */
int stream_rename_to_free(const char *from, const char *to);

/* A file that was not kept goes. */
void stream_end(struct stream *stream);

#endif
