/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_STAGE_H
#define LIDO_TESTS_STAGE_H

/*
 * Stages: a fresh pool of each kind on each driver, for what holds on all of them.
 *
 * The driver stands behind one that writes its calls into the same trace as the hooks, so
 * that a test reads as the table on top of <lido/hooks.h>: "open", "clean", "ping" and "shut"
 * ("terminate" if suspect) are the driver's calls, the other words are hooks.  Every kind
 * keeps one connection, but for null.  A queue is one and one: it opens one more.  Nobody
 * waits, and time stands still until a test moves the fake clock.
 *
 * Threads: one.
 */
#include <lido/lido.h>
#include <stdbool.h>

/* What a thread that has a connection gets by a second checkout. */
enum stage_second {
    STAGE_OPENS,   /* another one */
    STAGE_SHARES,  /* the same */
    STAGE_REFUSES, /* LIDO_CHECKED_OUT */
};

struct stage {
    const char *name; /* "queue on sqlite" */
    const char *kind;
    bool keeps; /* a connection that comes back; otherwise it is closed */
    enum stage_second second;
    bool is_sqlite;
    lido_pool *pool;
    char folder[100];
    char path[120];
};

/* Runs `body` on every kind and driver, and checks that it left nothing open.  `set` changes
   the options before. */
void stage_run_all(void (*body)(struct stage *stage));
void stage_run_with(void (*set)(struct lido_pool_options *options),
                    void (*body)(struct stage *stage));

/* Expects these words since the last time. */
void stage_expect(const struct stage *stage, const char *expected);
void stage_forget(void);
void stage_note(const char *word); /* a word of the test's own */

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

/* Takes a handle away from the pool, to be closed by stage_close_stolen(). */
void *stage_steal(const struct stage *stage, struct lido_conn *conn);
void stage_close_stolen(void *handle);

/* The next ping answers an error. */
void stage_fail_ping(void);

/* On a stage that is_sqlite. */
void stage_execute(const struct stage *stage, const struct lido_conn *conn,
                   const char *sql);
int stage_number(const struct stage *stage, const struct lido_conn *conn, const char *sql);

#endif
