/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_PROCESS_H
#define LIDO_BASE_PROCESS_H

/*
 * Who runs: this process or a forked child of it, and which thread.
 *
 * A page that the kernel wipes in every child (MADV_WIPEONFORK) holds a mark while pools are
 * open; who finds the mark gone is in a child, where SQLite must not be touched.  Reading it
 * costs 3 ns, and unlike getpid() it also sees a child with the same pid in another pid
 * namespace, and unlike pthread_atfork() a raw clone().  Elsewhere than on Linux the child
 * handler of pthread_atfork() clears the mark.
 *
 * Threads: any.
 */
#include "base/atomic.h"
#include <lido/status.h>

extern lido__word *_Atomic lido__fork_mark; /* never NULL */

/* True in a child of a fork() that happened while a pool was open. */
static inline bool lido__is_forked(void)
{
    return lido__read(atomic_load_explicit(&lido__fork_mark, memory_order_acquire)) == 0;
}

/* Says so in err and returns LIDO_FORKED. */
int lido__fail_forked(struct lido_error *err);

/* To be called before anything else by who opens a pool: checks the SQLite that is linked
   and sets the mark.  LIDO_SQLITE_UNFIT, LIDO_FORKED, SQLITE_NOMEM.  After success
   lido__process_leave() once the last connection of that pool is closed. */
int lido__process_enter(struct lido_error *err);
void lido__process_leave(void);

/*
 * A thread as one word: a number never used twice in this process, and in the low 22 bits
 * the kernel's id of the thread, for people (Linux has at most 2^22 of them).
 */
#define LIDO__THREAD_ID_BITS 22

extern _Thread_local uint64_t lido__thread_self /* 0 before it is first asked for */
#if defined(__ELF__)
    __attribute__((tls_model("initial-exec"))) /* one load instead of a call */
#endif
    ;
void lido__thread_name_self(void);

/* This thread. */
static inline uint64_t lido__thread(void)
{
    if (lido__thread_self == 0)
        lido__thread_name_self();
    return lido__thread_self;
}

static inline uint64_t lido__thread_id(uint64_t thread)
{
    return thread & ((UINT64_C(1) << LIDO__THREAD_ID_BITS) - 1);
}

#endif
