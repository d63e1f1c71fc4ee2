/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_CONTEXT_H
#define LIDO_BENCH_CONTEXT_H

/*
 * On what machine, and with which software, something was measured.
 *
 * Threads: one at a time.
 */
#include "report/json.h"

/* One line or two for people. */
void context_print(FILE *out);

/* The member "context", as Google Benchmark has it, and what matters to SQLite. */
void context_json(struct json *json);

#endif
