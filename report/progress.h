/* SPDX-License-Identifier: MIT */
#ifndef LIDO_REPORT_PROGRESS_H
#define LIDO_REPORT_PROGRESS_H

/*
 * One line that says how far the work is, redrawn in place.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A rate that forgets: the mean of the last second or so. */
struct progress_rate {
    int64_t at_ns; /* of the last sample; 0: none yet */
    double at_done;
    double per_s; /* negative: not known yet */
};
#define PROGRESS_RATE_INIT                                                                 \
    {                                                                                      \
        0, 0, -1                                                                           \
    }
void progress_sample(struct progress_rate *rate, double done, int64_t now_ns);

/* What a line shows. */
struct progress_state {
    const char *title;
    double fraction;  /* of the work that is done, 0 to 1; negative: not known */
    int64_t done;     /* how many are done; negative: not shown */
    const char *noun; /* of what */
    bool is_bytes;    /* both numbers are bytes, and shown as such, without a noun */
    double per_s;     /* negative: not known */
    int64_t waiting;  /* threads that wait for a connection; negative: not shown */
    double left_s;    /* seconds left; negative: not known */
};

/* Writes the line into `out` and returns how many cells it takes: never more than
   width - 1, because some terminals wrap when the last one is filled.  What has no room is
   left out, from the end. */
size_t progress_render(char *out, size_t size, const struct progress_state *state,
                       int width, bool is_utf8);

enum progress_when { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };

/* Where the lines go. */
struct progress {
    FILE *out;
    bool is_on, is_terminal, is_utf8;
    bool is_drawn; /* a line stands on the terminal */
    int64_t next_ns;
};
void progress_init(struct progress *progress, FILE *out, enum progress_when when);

/* True if a line is due: at most ten a second on a terminal, elsewhere one in two seconds.
 */
bool progress_is_due(const struct progress *progress, int64_t now_ns);
void progress_draw(struct progress *progress, const struct progress_state *state,
                   int64_t now_ns);

/* Takes the line away again, before anything else is printed. */
void progress_clear(struct progress *progress);

#endif
