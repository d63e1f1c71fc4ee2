/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_PLOT_H
#define LIDO_BENCH_PLOT_H

/*
 * What the pictures of all benchmarks have in common: one HTML file that needs no other, no
 * script, light or dark as the reader's system is set.
 *
 * Threads: one at a time.
 */
#include <stdio.h>

#include <lido/status.h>

/* All up to the first heading.  Classes: plain, ours and other, for what is filled; with "line"
   beside it for what is drawn; tick, spread, and head for a text. */
void plot_head(FILE *out, const char *title);

/* Writes what `draw` does with ctx into the file. */
int plot_file(const char *path, void (*draw)(const void *ctx, FILE *out), const void *ctx,
              struct lido_error *err);

#endif
