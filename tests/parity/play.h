/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_PLAY_H
#define LIDO_TESTS_PLAY_H

/*
 * A play: pools on a driver that opens nothing, and one line of all that happened, hooks and
 * driver calls together, in SQLAlchemy's words:
 *
 *     "open 1, first_connect 1, connect 1, checkout 1"
 *
 * The number is the connection's, from 1 in the order of opening.  `open`, `ping`,
 * `rollback`, `commit` (`end_own` while others go on), `shut` and `terminate` (shut because it
 * is suspect) are the driver's, the others are hooks.  "checkin NULL" has no handle, "reset 1-"
 * no record, and a '!' stands behind what failed as planned.  Time stands still until a test
 * moves the fake clock.
 *
 * Threads: any, but for the functions that open and end.
 */
#include "tests/support/fake_clock.h"
#include <lido/lido.h>
#include <lido/record.h>
#include <lido/sys/driver.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdbool.h>

extern struct lido_error
    play_err; /* where every call of these functions says what failed */

/* The start of every test: TestSuite(..., .init = play_begin). */
void play_begin(void);

/* Fake clock, nobody waits, any thread may use a lease.  A NULL kind is the default. */
struct lido_pool_options play_options(const char *kind);

/* A pool whose hooks are all in the line; and one of a queue, in the order of return. */
lido_pool *play_open(const struct lido_pool_options *options);
lido_pool *play_open_kind(const char *kind);
lido_pool *play_open_queue(int pool_size, int max_overflow);

/* A pool on a file of its own, which is deleted by play_end_file(); `keys` is what stands
   behind the '?'. */
lido_pool *play_open_file(const struct lido_pool_options *options);
lido_pool *play_open_keys(const char *keys);
void play_end_file(lido_pool *pool);

/* Works in a temporary folder from now on; its absolute path.  And out again, with all files
   in it. */
const char *play_enter_folder(void);
void play_leave_folder(void);

/* Closes and frees; none of its connections may be open then. */
void play_end(lido_pool *pool);

/* Puts all hooks of the pool into the line. */
void play_trace(lido_pool *pool);
extern const struct lido_events play_traced;

/* Expects this line since the last time. */
void play_expect(const char *line);
void play_forget(void);

/* The next `times` (-1: all) of `word` answer `code`; up to four such plans. */
void play_fail(const char *word, int times, int code);
void play_relent(void); /* no more failures */

/* What happens inside the next call of `word`. */
void play_do_inside(const char *word, void (*act)(const struct lido_event *event));

/* The driver's open takes so long on the fake clock. */
void play_open_takes_ms(int64_t ms);

int play_open_count(void);

/* One checkout, one check-in that succeed; and a checkout that fails with `code`. */
struct lido_conn play_take(lido_pool *pool);
struct lido_conn play_take_unique(lido_pool *pool);
void play_give(struct lido_conn *conn);
void play_refuse(lido_pool *pool, int code);

/* The number of a lease's connection; 0 if it has none. */
int play_number(const struct lido_conn *conn);

/* SQLAlchemy's size(), checkedin(), overflow() and checkedout(). */
void play_expect_counts(lido_pool *pool, int size, int in, int overflow, int out);
struct lido_pool_stats play_stats(lido_pool *pool);
void play_expect_status(lido_pool *pool, const char *status);

/* SQL on a lease of a play_open_file(). */
void play_execute(const struct lido_conn *conn, const char *sql);
int play_ask(const struct lido_conn *conn, const char *sql);

/* Runs `act` on a thread of its own, to its end. */
void play_on_thread(void (*act)(void *), void *ctx);

/* A thread that checks out and gives back what it got. */
struct play_waiter {
    pthread_t thread;
    lido_pool *pool;
    int64_t timeout_ms;
    int rc;
    int number;
    int order; /* the how many-eth of all that were served */
    struct lido_error err;
};
/* Returns when it is the nth that waits. */
void play_wait_in_line(struct play_waiter *waiter, lido_pool *pool, int64_t timeout_ms,
                       int nth);
void play_join(struct play_waiter *waiter);

#endif
