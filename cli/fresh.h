/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_FRESH_H
#define LIDO_CLI_FRESH_H

/*
 * A database that appears at its name when it is whole.
 */
#include "cli/stream.h"

struct fresh {
    const char *path;            /* the name it is to have */
    char temporary[STREAM_PATH]; /* where it is until then; "": there is none */
};

/* Makes an empty file beside `path`, which names nothing.  Nothing of SQLite's may lie beside
   it either: that would be taken for the new database's. */
int fresh_make(struct fresh *fresh, const char *path, struct lido_error *err);
/* Nobody in the process has it open: it gets its name, and nothing is replaced. */
int fresh_keep(struct fresh *fresh, struct lido_error *err);
/* One that was not kept goes. */
void fresh_end(struct fresh *fresh);

#endif
