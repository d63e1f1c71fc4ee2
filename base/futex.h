/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BASE_FUTEX_H
#define LIDO_BASE_FUTEX_H

/*
 * Sleeping on a word, until somebody has changed it and wakes who sleeps there.
 *
 * Who changes the word first and wakes then loses nobody: either the sleeper sees the change,
 * or it is found asleep.
 */
#include "base/atomic.h"
#include "base/clock.h"

/* Sleeps if the word's lower half is that of `seen`: until it is woken, until CLOCK_MONOTONIC
   is past `until_ns` (LIDO_NO_DEADLINE: never), or for no reason at all. */
void lido__futex_wait(const lido__word *word, uint64_t seen, int64_t until_ns);

/* Wakes the one who sleeps there.  What is at the address is not touched: its owner may have
   seen the change, and be gone. */
void lido__futex_wake(const lido__word *word);

#endif
