/* SPDX-License-Identifier: MIT */
#ifndef LIDO_STATUS_H
#define LIDO_STATUS_H

#include <lido/version.h>
#include <sqlite3.h>

/*
 * What a call answers: a code, and if asked for, a line of text.
 *
 * Every fallible call returns an SQLite result code or one of lido's own.  Lido's live in
 * the second byte from 128 up, where SQLite has none, so `rc & 0xff` is always a plain
 * SQLITE_xxx and code that knows only SQLite still takes the right branch.
 */

#ifdef __cplusplus
extern "C" {
#endif

#define LIDO_OK SQLITE_OK

#define LIDO_POOL_TIMEOUT     (SQLITE_BUSY | (128 << 8)) /* no connection came free in time */
#define LIDO_BUSY_LEASES      (SQLITE_BUSY | (129 << 8))   /* close: leases are out */
#define LIDO_CLOSED           (SQLITE_MISUSE | (130 << 8)) /* the pool is closed */
#define LIDO_STALE            (SQLITE_MISUSE | (131 << 8)) /* the lease has ended */
#define LIDO_WRONG_THREAD     (SQLITE_MISUSE | (132 << 8)) /* the lease is another thread's */
#define LIDO_FORKED           (SQLITE_MISUSE | (133 << 8))   /* used in a child of fork() */
#define LIDO_RECURSION        (SQLITE_MISUSE | (134 << 8))   /* begin in a begin hook */
#define LIDO_BAD_URL          (SQLITE_MISUSE | (135 << 8))   /* the URL is impossible */
#define LIDO_BAD_OPTION       (SQLITE_MISUSE | (136 << 8))   /* an option is out of range */
#define LIDO_VERSION_MISMATCH (SQLITE_MISUSE | (137 << 8))   /* header, library differ */
#define LIDO_SQLITE_UNFIT     (SQLITE_ERROR | (138 << 8))    /* too old, or no threads */
#define LIDO_IN_TXN           (SQLITE_ERROR | (139 << 8))    /* a transaction is open */
#define LIDO_NO_TXN           (SQLITE_ERROR | (140 << 8))    /* no transaction is open */
#define LIDO_TXN_OVER         (SQLITE_ABORT | (141 << 8))    /* it ended before */
#define LIDO_NOT_FOUND        (SQLITE_NOTFOUND | (142 << 8)) /* no such hook, file, table */
#define LIDO_DISCONNECT       (SQLITE_ABORT | (143 << 8))    /* a hook: it is dead */
#define LIDO_INVALIDATE_POOL  (SQLITE_ABORT | (144 << 8)) /* a hook: and so are the others */
#define LIDO_CHECKED_OUT      (SQLITE_BUSY | (145 << 8))  /* assertion: it is out already */
#define LIDO_SHARED           (SQLITE_BUSY | (146 << 8))  /* other leases share it */
#define LIDO_NO_CONNECTION    (SQLITE_ABORT | (147 << 8))  /* it was invalidated */
#define LIDO_SETTING          (SQLITE_ERROR | (148 << 8))  /* a pragma did not take */
#define LIDO_UNCLEAN          (SQLITE_ERROR | (149 << 8))  /* what a lease changed stays */
#define LIDO_BAD_TEXT         (SQLITE_MISUSE | (150 << 8)) /* a bound text is not UTF-8 */
#define LIDO_CANCELLED        (SQLITE_INTERRUPT | (151 << 8)) /* the token was fired */
#define LIDO_ROLLBACK         (SQLITE_ABORT | (152 << 8)) /* of a run: roll back, no error */
#define LIDO_TXN_TIMEOUT      (SQLITE_INTERRUPT | (153 << 8)) /* it took too long */
#define LIDO_DEADLOCK         (SQLITE_LOCKED | (154 << 8))    /* threads wait in a ring */

/*
 * A flag on a code that a hook or a driver returns: surface it where an ordinary error is
 * swallowed, in a reset and in the closing of a connection.  `rc & ~LIDO_FATAL` is the code.
 */
#define LIDO_FATAL (1 << 24)

/*
 * Where a failed call leaves its story.  The caller owns it, one per thread; every function
 * takes NULL for it too.  Nothing is allocated, so it works when memory is out.  It is
 * untouched on success.
 */
struct lido_error {
    int code;       /* what the call returned */
    int sys_errno;  /* errno where it began, or 0 */
    char text[248]; /* one line of UTF-8, never cut inside a character */
};
#define LIDO_ERROR_INIT                                                                    \
    {                                                                                      \
        0, 0,                                                                              \
        {                                                                                  \
            0                                                                              \
        }                                                                                  \
    }

/*
 * The name of a code, as "LIDO_POOL_TIMEOUT" or "SQLITE_BUSY".  An unknown code answers the
 * name of its first byte, or "unknown".  Static storage, never NULL.
 *
 * Threads:   any.
 */
LIDO_API const char *lido_status_name(int code);

/*
 * Writes `code` and the formatted line into `err` (NULL allowed) and returns `code`: the
 * way for a hook or a driver to say what went wrong, `return lido_fail(err, code, "...")`.
 * A line too long is cut at a whole character.
 *
 * Threads:   any.
 */
LIDO_API int lido_fail(struct lido_error *err, int code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

#ifdef __cplusplus
}
#endif
#endif
