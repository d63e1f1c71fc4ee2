/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_INTERRUPT_H
#define LIDO_CLI_INTERRUPT_H

/*
 * Ctrl-C and its like, as a question instead of a handler.
 */

/* Holds SIGINT, SIGTERM and SIGHUP back from now on, in this thread and all that it starts,
   but for those that the process was started to ignore.  A broken pipe is no longer deadly.
 */
void interrupt_hold(void);

/* The number of a signal that was held back, or 0. */
int interrupt_signal(void);

#endif
