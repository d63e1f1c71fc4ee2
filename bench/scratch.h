/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_SCRATCH_H
#define LIDO_BENCH_SCRATCH_H

/*
 * A folder of one run's own, under $TMPDIR or another.
 *
 * Threads: one at a time.
 */
#include <lido/status.h>

#define SCRATCH_PATH 512

struct scratch {
    char path[SCRATCH_PATH];
};

int scratch_open(struct scratch *out, struct lido_error *err);

/* Under another folder; NULL: $TMPDIR. */
int scratch_open_in(struct scratch *out, const char *parent, struct lido_error *err);

/* The path of `name` in it, as it stands in a URL. */
int scratch_url(const struct scratch *scratch, const char *name, char out[3 * SCRATCH_PATH],
                struct lido_error *err);

/* Removes it with all the files in it: no database there may still be open. */
void scratch_close(struct scratch *scratch);

#endif
