/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_INTERRUPT_H
#define LIDO_CLI_INTERRUPT_H

/*
 * Ctrl-C and its like, as a question instead of a handler; or as a call from a thread.
 */

/* Holds SIGINT, SIGTERM and SIGHUP back from now on, in this thread and all that it starts,
   but for those that the process was started to ignore.  A broken pipe, and a file that
   becomes larger than a limit, are errors of a write and no longer deadly. */
void interrupt_hold(void);

/* The number of a signal that was held back, or 0. */
int interrupt_signal(void);

/* Between the two a thread waits for a signal that is held back, and calls `fire` for the first
   one; a second one then ends the process.  interrupt_unwatch() answers the first one's number,
   or 0.  Without a thread to be had nothing is watched. */
void interrupt_watch(void (*fire)(void *ctx), void *ctx);
int interrupt_unwatch(void);

/* The work is done, and nothing is held back any more: what came meanwhile is forgotten. */
void interrupt_release(void);

#endif
