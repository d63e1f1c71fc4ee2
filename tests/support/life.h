/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_LIFE_H
#define LIDO_TESTS_LIFE_H

/*
 * A life: everything that a program can do with the leases of a pool, one after the other,
 * going on whatever fails; and what has to hold afterwards.  For sweeps that let the n-th of
 * something fail.
 *
 * Threads: one.
 */
#include <lido/lido.h>

/* The life.  What the first call answered that failed; LIDO_OK if none did, or if it had to
   by the rules of the kind.  `close` closes a handle that the host has. */
int life_play(lido_pool *pool, void (*close)(void *handle));

/* That nothing is out, every destroy was called once, and counts agree; `what` and `nth` for
   the text.  How many connections are open. */
int life_expect_sound(lido_pool *pool, const char *what, int nth);

#endif
