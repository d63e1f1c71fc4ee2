/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_NEIGHBOUR_H
#define LIDO_TESTS_NEIGHBOUR_H

/*
 * Neighbours: other processes in the line of a database file, which do what they are told.
 *
 * Threads: one.
 */
#include <stdbool.h>
#include <sys/types.h>

struct neighbour {
    pid_t pid; /* 0: killed */
    int to, from;
    bool has_child;
};

/* Starts one, by a fork: nothing of lido may be open here.  It comes to the file's gate when it
   is first told something. */
void neighbour_start(struct neighbour *neighbour, const char *database);

/* It tries for the gate, or gives it back; lido's code for how it went, SQLITE_BUSY if it is
   another's. */
int neighbour_try(struct neighbour *neighbour);
int neighbour_leave(struct neighbour *neighbour);

/* It waits for the gate, for ever; how that went. */
void neighbour_ask(struct neighbour *neighbour);
int neighbour_await(struct neighbour *neighbour);

/* It forks a child that lives until neighbour_end(). */
void neighbour_breed(struct neighbour *neighbour);

/* Stopped, it does not move until it may; killed, nothing of it does but a child. */
void neighbour_stop(const struct neighbour *neighbour);
void neighbour_go_on(const struct neighbour *neighbour);
void neighbour_kill(struct neighbour *neighbour);

void neighbour_end(struct neighbour *neighbour);

#endif
