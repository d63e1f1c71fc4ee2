/* SPDX-License-Identifier: MIT */
/*
 * A hash table of the pools that can be found, and a list of all in the order in which they
 * were asked for.
 *
 * The key is the URL in one form: made absolute, its keys sorted, escaped in one way.  So
 * one comparison of texts tells whether two URLs open the same.
 *
 * Threads: as engine/managed.h says.
 */
#include "engine/managed.h"
#include "base/alloc.h"
#include "base/process.h"
#include "engine/options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- the key -------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    const struct lido_param *one = a, *other = b;

    return strcmp(one->key, other->key);
}

static int fail_memory(struct lido_error *err)
{
    return lido_fail(err, SQLITE_NOMEM, "out of memory for a pool of a manager");
}

/* The URL in its one form. */
static int write_url(char **out, const struct lido__url *url, struct lido_error *err)
{
    struct lido_url parts = LIDO_URL_INIT;
    struct lido_param *sorted;
    char text[LIDO_URL_LONGEST + 1];
    int rc;

    sorted = lido__new((url->n_params + 1) * sizeof *sorted);
    if (sorted == NULL)
        return fail_memory(err);
    if (url->n_params > 0)
        memcpy(sorted, url->params, url->n_params * sizeof *sorted);
    qsort(sorted, url->n_params, sizeof *sorted, compare_keys);
    parts.driver = url->driver;
    parts.database = url->database;
    parts.params = sorted;
    parts.n_params = url->n_params;
    rc = lido_url_format(text, sizeof text, &parts, err);
    lido__free(sorted);
    if (rc != LIDO_OK)
        return rc;
    *out = lido__copy(text, strlen(text));
    return *out != NULL ? LIDO_OK : fail_memory(err);
}

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash;
}

int lido__managed_new(struct lido__managed **out, const struct lido__url *url,
                      struct lido_error *err)
{
    const char *key = lido__url_get(url, LIDO__MANAGER_KEY);
    struct lido__managed *managed = lido__new(sizeof *managed);
    int rc;

    *out = NULL;
    if (managed == NULL)
        return fail_memory(err);
    rc = write_url(&managed->url, url, err);
    if (rc == LIDO_OK && key != NULL) {
        managed->key = lido__copy(key, strlen(key));
        if (managed->key == NULL)
            rc = fail_memory(err);
    }
    if (rc != LIDO_OK) {
        lido__managed_free(managed);
        return rc;
    }
    managed->hash = hash_of(key != NULL ? key : managed->url);
    *out = managed;
    return LIDO_OK;
}

void lido__managed_free(struct lido__managed *managed)
{
    if (managed == NULL)
        return;
    lido__free(managed->url);
    lido__free(managed->key);
    lido__free(managed);
}

static bool is_same(const struct lido__managed *a, const struct lido__managed *b)
{
    if (a->hash != b->hash || (a->key == NULL) != (b->key == NULL))
        return false;
    return a->key != NULL ? strcmp(a->key, b->key) == 0 : strcmp(a->url, b->url) == 0;
}

/* --- the table and the list ----------------------------------------------------------- */

static struct lido__managed **row_of_locked(lido_manager *manager,
                                            const struct lido__managed *managed)
    LIDO_TSA(requires_capability(manager->lock))
{
    return &manager->rows[managed->hash % LIDO__MANAGER_ROWS];
}

struct lido__managed *lido__managed_find_locked(const lido_manager *manager,
                                                const struct lido__managed *like)
{
    struct lido__managed *at = manager->rows[like->hash % LIDO__MANAGER_ROWS];

    while (at != NULL && !is_same(at, like))
        at = at->next_in_row;
    return at;
}

static void unlist_locked(lido_manager *manager, struct lido__managed *managed)
    LIDO_TSA(requires_capability(manager->lock))
{
    *(managed->newer != NULL ? &managed->newer->older : &manager->newest) = managed->older;
    *(managed->older != NULL ? &managed->older->newer : &manager->oldest) = managed->newer;
}

static void list_locked(lido_manager *manager, struct lido__managed *managed)
    LIDO_TSA(requires_capability(manager->lock))
{
    managed->asked = ++manager->asked;
    managed->newer = NULL;
    managed->older = manager->newest;
    *(manager->newest != NULL ? &manager->newest->newer : &manager->oldest) = managed;
    manager->newest = managed;
}

void lido__managed_add_locked(lido_manager *manager, struct lido__managed *managed)
{
    struct lido__managed **row = row_of_locked(manager, managed);

    managed->opener = lido__thread();
    managed->users = 1;
    managed->next_in_row = *row;
    *row = managed;
    list_locked(manager, managed);
}

void lido__managed_touch_locked(lido_manager *manager, struct lido__managed *managed)
{
    unlist_locked(manager, managed);
    list_locked(manager, managed);
}

void lido__managed_publish_locked(lido_manager *manager, struct lido__managed *managed,
                                  lido_pool *pool)
{
    managed->opener = 0;
    managed->pool = pool;
    if (pool == NULL)
        lido__managed_forget_locked(manager, managed);
    else if (!managed->is_forgotten)
        manager->n_pools++;
    lido__bell_ring_locked(&manager->rung);
}

void lido__managed_forget_locked(lido_manager *manager, struct lido__managed *managed)
{
    struct lido__managed **link = row_of_locked(manager, managed);

    if (managed->is_forgotten)
        return;
    managed->is_forgotten = true;
    if (managed->pool != NULL)
        manager->n_pools--;
    while (*link != managed)
        link = &(*link)->next_in_row;
    *link = managed->next_in_row;
}

bool lido__managed_leave_locked(lido_manager *manager, struct lido__managed *managed)
{
    assert(managed->users > 0);
    managed->users--;
    if (managed->users > 0 || !managed->is_forgotten)
        return false;
    unlist_locked(manager, managed);
    return true;
}
