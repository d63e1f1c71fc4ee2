/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_DEMO_WRITERS_H
#define LIDO_CLI_DEMO_WRITERS_H

/*
 * What a thread that writes has for itself, and the two ways in which it may write.
 */
#include "cli/demo_work.h"

enum { WRITER_TIMEOUT_S = 60 }; /* in both ways */

struct writer {
    struct demo_worker worker;
    struct demo_writer told;
    struct histogram waits;
    char label[24];
    struct demo_transfer transfer;
    int64_t wanted_ns;     /* since when it has wanted to write */
    int64_t until_ns;      /* when the time is over */
    struct bare_conn *own; /* of one that does without lido */
};

/* It may write now: notes how long it has waited. */
void writer_begun(struct writer *writer);

/* A transaction by SQLite alone.  *is_done: it was committed, not declined. */
int bare_transfer(struct writer *writer, bool *is_done, struct lido_error *err);
int bare_open(struct writer *writer, struct demo_error *error);
void bare_close(struct writer *writer);

#endif
