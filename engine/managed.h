/* SPDX-License-Identifier: MIT */
#ifndef LIDO_ENGINE_MANAGED_H
#define LIDO_ENGINE_MANAGED_H

/*
 * The pools of a manager: found by key, ordered by when they were asked for.
 *
 *     opening --publish--> open --forget--> forgotten --last user--> gone
 *        +------------------------------------^
 *
 * Who works with a pool counts itself as a user first, under the lock, and so may work
 * without it: an entry is never freed while it has users.
 *
 * Threads: the functions called _locked want the manager's lock.
 */
#include "base/sync.h"
#include "driver/url.h"
#include "pool/waiters.h"
#include <lido/manager.h>
#include <stdbool.h>
#include <stdint.h>

#define LIDO__MANAGER_ROWS 256 /* of the hash table, which does not grow */

struct lido__managed {
    /* Constant. */
    char *url; /* in its one canonical form; sa_pool_key is in it */
    char *key; /* the name of sa_pool_key, or NULL: the url */
    uint64_t hash;

    /* Constant once `opener` is 0. */
    lido_pool *pool;

    uint64_t opener; /* the thread that opens it; 0: it is open */
    uint64_t asked;  /* when it was asked for last; no two are the same */
    int users;       /* calls that work with it, and `lent` */
    int lent;        /* by lido_manager_pool() */
    bool is_forgotten;
    struct lido__managed *next_in_row; /* until it is forgotten */
    struct lido__managed *newer;       /* by `asked`, the forgotten too */
    struct lido__managed *older;
    struct lido__managed *next_cleared; /* of lido_manager_clear(), which is its user */
};

struct lido_manager {
    /* Constant. */
    struct lido_pool_options options;
    char *kind, *order; /* the strings of the options */
    int max_pools;
    int (*opened)(void *ctx, lido_pool *pool, struct lido_error *err);
    void *ctx;

    struct lido__mutex lock; /* guards all below and the entries; rank LIDO_RANK_MANAGER */
    struct lido__managed *rows[LIDO__MANAGER_ROWS];
    struct lido__managed *newest, *oldest;
    int n_pools;            /* open and not forgotten */
    uint64_t asked;         /* counts what asks for a pool */
    struct lido__bell rung; /* when one has been opened, or could not be */
};

/* A new entry for a URL, which is that of the caller still.  SQLITE_NOMEM, LIDO_BAD_URL. */
int lido__managed_new(struct lido__managed **out, const struct lido__url *url,
                      struct lido_error *err);
void lido__managed_free(struct lido__managed *managed);

/* The one with the same key as `like`, or NULL. */
struct lido__managed *lido__managed_find_locked(const lido_manager *manager,
                                                const struct lido__managed *like)
    LIDO_TSA(requires_capability(manager->lock));
/* Adds one that is about to be opened by this thread, its only user. */
void lido__managed_add_locked(lido_manager *manager, struct lido__managed *managed)
    LIDO_TSA(requires_capability(manager->lock));
/* It is asked for now. */
void lido__managed_touch_locked(lido_manager *manager, struct lido__managed *managed)
    LIDO_TSA(requires_capability(manager->lock));
/* It is open now; the pool is NULL if that failed. */
void lido__managed_publish_locked(lido_manager *manager, struct lido__managed *managed,
                                  lido_pool *pool)
    LIDO_TSA(requires_capability(manager->lock));
/* It is not found any more. */
void lido__managed_forget_locked(lido_manager *manager, struct lido__managed *managed)
    LIDO_TSA(requires_capability(manager->lock));
/* One user less.  True if the caller has to free the pool and the entry. */
bool lido__managed_leave_locked(lido_manager *manager, struct lido__managed *managed)
    LIDO_TSA(requires_capability(manager->lock));

/* engine/manager_use.c: one user less, who frees what is left if it was the last. */
void lido__managed_leave(lido_manager *manager, struct lido__managed *managed)
    LIDO_TSA(locks_excluded(manager->lock));

/* engine/manager.c: may this manager be used, with this URL?  SQLITE_MISUSE, LIDO_FORKED. */
int lido__manager_check(const lido_manager *manager, struct lido_error *err);
int lido__manager_check_url(const lido_manager *manager, const char *url,
                            struct lido_error *err);

#endif
