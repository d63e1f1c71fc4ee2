/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_STAGE_H
#define LIDO_TESTS_STAGE_H

/*
 * Stages: a fresh pool of each kind on each driver, for what holds on all of them.
 *
 * The driver stands behind one that writes its calls into the same trace as the hooks, so
 * that a test reads as the table on top of <lido/hooks.h>: "open" and "shut" ("terminate" if
 * suspect) are the driver's calls, the other words are hooks.  A queue is one and one: it
 * keeps one connection and opens one more.  Nobody waits, and time stands still until a test
 * moves the fake clock.
 *
 * Threads: one.
 */
#include <lido/lido.h>
#include <stdbool.h>

struct stage {
    const char *name; /* "queue on sqlite" */
    const char *kind;
    bool is_queue; /* it keeps a connection; otherwise none */
    bool is_sqlite;
    lido_pool *pool;
    char folder[100];
    char path[120];
};

/* Runs `body` on every kind and driver, and checks that it left nothing open. */
void stage_run_all(void (*body)(struct stage *stage));

/* Expects these words since the last time. */
void stage_expect(const struct stage *stage, const char *expected);
void stage_forget(void);

/* The hooks that trace, and fail as it was planned: the next `times` (-1: all) calls that
   would write `event`, its prefix included, answer `code` and the text "as planned". */
extern const struct lido_events stage_traced;
void stage_plan_failure(const char *event, int times, int code);
void stage_plan_silence(void); /* what was planned comes without a text */

/* Adds hooks; the ctx of the traced ones is what they put in front of each word, or NULL. */
lido_hook stage_add_hooks(lido_hooks *hooks, const struct lido_events *events,
                          const char *prefix);

/* A checkout and a check-in that succeed. */
struct lido_conn stage_take(const struct stage *stage);
void stage_give(const struct stage *stage, struct lido_conn *conn);

/* A checkout that fails with that code and text. */
void stage_refuse(const struct stage *stage, int code, const char *text);

/* The pool's statistics, which add up and agree with the driver. */
struct lido_pool_stats stage_stats(const struct stage *stage);
int stage_open_count(void);

/* On a stage that is_sqlite. */
void stage_execute(const struct stage *stage, const struct lido_conn *conn,
                   const char *sql);
int stage_number(const struct stage *stage, const struct lido_conn *conn, const char *sql);

#endif
