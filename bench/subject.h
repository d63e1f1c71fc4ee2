/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_SUBJECT_H
#define LIDO_BENCH_SUBJECT_H

/*
 * What is measured: one operation, done by several threads at a time, and what it needs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lido/status.h>

#define MAX_THREADS 8

struct subject {
    const char *name;
    void *ctx;

    /* Does the operation `iterations` times as thread number `thread`, from 0. */
    int (*work)(void *ctx, unsigned thread, uint64_t iterations, struct lido_error *err);

    /* Gives ctx back; no thread works any more.  NULL: nothing to give back. */
    void (*close)(void *ctx);
};

/* One compare-and-swap and one release store on a cache line that no other thread uses: the
   least that a checkout and a check-in that other threads may see can cost. */
void subject_open_floor(struct subject *out);

/* One mutex of all threads, locked and unlocked twice: the least that a pool with one lock
   pays for a checkout and a check-in, before it does anything under it. */
void subject_open_mutex(struct subject *out);

/* lido's queue pool of MAX_THREADS connections to the file that `file_url` names as
   /percent-encoded/path, with more `options` of a URL, as "&key=value".  Each connection holds
   `statements` prepared statements.  Borrows name until closed. */
int subject_open_queue(struct subject *out, const char *name, const char *file_url,
                       const char *options, unsigned statements, struct lido_error *err);

/* libzdb's pool, as large.  LIDO_NOT_FOUND if the program was built without libzdb. */
int subject_open_zdb(struct subject *out, const char *file_url, struct lido_error *err);

/* libzdb's name and version, or NULL if the program was built without it.  Static storage.
   Threads: one at a time. */
const char *subject_zdb_version(void);

/* The compiler must take `value` for used, and all memory for read and changed. */
static inline void keep(const void *value)
{
    __asm__ volatile("" : : "g"(value) : "memory");
}

#endif
