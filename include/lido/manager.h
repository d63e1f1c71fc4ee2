/* SPDX-License-Identifier: MIT */
#ifndef LIDO_MANAGER_H
#define LIDO_MANAGER_H

#include <lido/conn.h>
#include <lido/pool.h>
#include <lido/status.h>

/*
 * A manager: one pool for each database that a program asks for, opened at the first time.
 * It is SQLAlchemy's pool.manage().
 *
 * Pools are told apart by the arguments they are opened with: driver, database (a relative
 * path as it is made absolute at the call) and the keys of the URL, in any order.  With
 * `sa_pool_key=NAME` among the keys the name alone counts, and the other arguments are those
 * of the first call; the driver does not see it.
 *
 * A pool is opened by one thread, with no lock held; others that want the same one wait for
 * it.  So a hook or a callback that runs while a pool opens must not ask the manager for a
 * pool whose opening asks for this one.
 */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lido_manager lido_manager;

/* Start from LIDO_MANAGER_OPTIONS_INIT. */
struct lido_manager_options {
    size_t size; /* sizeof this struct */

    /* The options of every pool.  A field that is not at its default beats the URL, as in
       lido_pool_open(); no kind is that of the database, not SQLAlchemy's queue (NULL:
       LIDO_POOL_OPTIONS_INIT). */
    const struct lido_pool_options *pool;

    /* For a program with very many databases: when there are more pools than this, those are
       closed that were asked for the longest ago, have no lease out and are lent to nobody.
       Never one on a memory database, which would delete the data.  If too few can be closed
       there are more for a while, until another pool is opened (0: no bound). */
    int max_pools;

    /* Called with each new pool before anybody else has it, to add hooks.  What it returns
       other than LIDO_OK is the answer, and the pool is closed.  Connections that open_now
       and min_idle ask for are open already (NULL). */
    int (*opened)(void *ctx, lido_pool *pool, struct lido_error *err);
    void *ctx; /* its first argument (NULL) */
};
#define LIDO_MANAGER_OPTIONS_INIT                                                          \
    {                                                                                      \
        sizeof(struct lido_manager_options), NULL, 0, NULL, NULL                           \
    }

/*
 * A manager without pools.
 *
 * Ownership: on success *out owns a manager; give it to lido_manager_free().  On failure
 *            *out is NULL.  Copies the options and their strings; what their pointers lead to
 *            (clock, key_ctx, log_ctx, ctx) is borrowed until the last pool is freed.
 * Threads:   any.
 * Fails:     SQLITE_MISUSE, LIDO_BAD_OPTION (max_pools), LIDO_SQLITE_UNFIT, LIDO_FORKED,
 *            SQLITE_NOMEM.  What is wrong with the options of the pools is told when one is
 *            opened.
 */
LIDO_API int lido_manager_new(lido_manager **out,
                              const struct lido_manager_options *options,
                              struct lido_error *err) LIDO_CHECKED;

/*
 * Frees the manager and its pools, those that are lent too.  Leases that are out stay good,
 * and their pool goes with the last of them.  free(NULL) does nothing.
 *
 * Ownership: steals manager.
 * Threads:   one; no call on it or on a pool that it lent may run or come after it.
 */
LIDO_API void lido_manager_free(lido_manager *manager);

/*
 * Checks a connection out of the pool for `url`.  The macro adds the place of the call.
 *
 *     int lido_manager_checkout(lido_manager *manager, const char *url,
 *                               struct lido_conn *out,
 *                               const struct lido_checkout_options *options,
 *                               struct lido_error *err);
 *
 * Ownership: as lido_pool_checkout(); borrows url until it returns.
 * Threads:   any.
 * Fails:     what lido_pool_open() and lido_pool_checkout() may answer; what `opened`
 *            returned; LIDO_RECURSION (this thread is opening that pool).
 */
#define lido_manager_checkout(manager, url, out, options, err)                             \
    lido_manager_checkout_at((manager), (url), (out), (options), __FILE__, __LINE__, (err))
LIDO_API int lido_manager_checkout_at(lido_manager *manager, const char *url,
                                      struct lido_conn *out,
                                      const struct lido_checkout_options *options,
                                      const char *file, int line,
                                      struct lido_error *err) LIDO_CHECKED;

/*
 * Lends the pool for `url`, for its hooks and statistics, or to check out of it without the
 * URL being read each time.  While it is lent, max_pools does not close it.
 *
 * Ownership: lends *out until lido_manager_release(), which each successful call wants; NULL
 *            on failure.  Do not close or free it.
 * Threads:   any.
 * Fails:     as lido_manager_checkout(), but for the checkout.
 */
LIDO_API int lido_manager_pool(lido_manager *manager, const char *url, lido_pool **out,
                               struct lido_error *err) LIDO_CHECKED;

/*
 * Gives a lent pool back.
 *
 * Threads:   any, not only the one that it was lent to.
 * Fails:     LIDO_NOT_FOUND (this manager has not lent it), LIDO_FORKED, SQLITE_MISUSE.
 */
LIDO_API int lido_manager_release(lido_manager *manager, lido_pool *pool,
                                  struct lido_error *err);

/*
 * Forgets the pool for `url`: who asks for it next gets a new one.  Its idle connections are
 * closed.  Leases go on, and so does the pool while it is lent; then it is freed.  On a
 * memory database that deletes the data.  Nothing happens if there is no such pool.
 *
 * lido_manager_clear() does it with all.
 *
 * Threads:   any.
 * Fails:     LIDO_BAD_URL, LIDO_FORKED, SQLITE_NOMEM; what the first failing close hook
 *            returned (all are forgotten, and closed).
 */
LIDO_API int lido_manager_dispose(lido_manager *manager, const char *url,
                                  struct lido_error *err);
LIDO_API int lido_manager_clear(lido_manager *manager, struct lido_error *err);

/*
 * How many pools there are: not those that are forgotten, nor those being opened.
 *
 * Threads:   any.
 */
LIDO_API int lido_manager_count(lido_manager *manager);

/* One pool of a manager. */
struct lido_managed {
    size_t size;
    const char *url; /* what it was opened with, as lido_url_format() writes it, the keys
                        sorted: a URL that names this pool */
    lido_pool *pool;
    int lent; /* how often it is lent */
};

/*
 * Shows every pool that lido_manager_count() counts to `visit`, the one asked for last first,
 * until it returns non-zero.
 *
 * Ownership: lends what it shows until visit returns.
 * Threads:   any; visit runs on the calling thread with no lock held, and may use the
 *            manager.
 * Fails:     SQLITE_NOMEM, LIDO_FORKED, SQLITE_MISUSE; what visit returned.
 */
LIDO_API int lido_manager_pools(lido_manager *manager,
                                int (*visit)(void *ctx, const struct lido_managed *managed),
                                void *ctx, struct lido_error *err);

#ifdef __cplusplus
}
#endif
#endif
