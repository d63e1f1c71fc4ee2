/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_MEMORY_COST_H
#define LIDO_CLI_MEMORY_COST_H

/*
 * What SQLite's statistics of memory cost on this machine.
 */
#include <stdbool.h>

struct memory_cost {
    bool is_on;    /* the statistics, as this SQLite begins */
    bool is_known; /* and the rest could be measured */
    int threads;   /* of the second and the fourth number */
    double on[2];  /* ns for an allocation and its end: one thread, and `threads` at once */
    double off[2];
};

/* Before anything of SQLite is open: it is shut down and begun again, with the settings that it
   had. */
void memory_cost_measure(struct memory_cost *cost);

#endif
