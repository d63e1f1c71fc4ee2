/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_LIVES_H
#define LIDO_BASE_LIVES_H

/*
 * Which threads have ended, of those that had a name (base/process.h).
 *
 * A thread counts as ended when nothing can act under its name any more: its functions are
 * over, and those that free its thread-specific values have had their rounds, all but the last.
 * One that uses lido even later gets another name, whose end nobody will know.
 *
 * Threads: any.
 */
#include <stdbool.h>
#include <stdint.h>

/* A name for the calling thread, in whose low bits is `id`; `before` (or 0) is given up. */
uint64_t lido__life_begin(uint64_t id, uint64_t before);
/* True if that thread is known to have ended; what it did was before. */
bool lido__life_is_over(uint64_t thread);

#endif
