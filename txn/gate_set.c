/* SPDX-License-Identifier: MIT */
/*
 * The gates of several files.
 *
 * BEGIN IMMEDIATE takes the lock of each file that is attached, so who begins so enters the
 * gate of each.  All do it in one order, by device and inode: then nobody waits for a gate
 * while it has one that comes later, and no ring is closed.
 *
 * Threads: a set is one thread's at a time.
 */
#include "txn/gate_set.h"
#include "base/alloc.h"
#include "pool/pool.h"

#include <stdlib.h>
#include <sys/stat.h>

#define FIRST_ATTACHED 2 /* after main and temp */

struct lido__gate_set {
    size_t count;
    struct lido__gate *gates[];
};

/* NULL: there are no more, or SQLite cannot tell. */
static const char *schema_name(const struct lido_record *record, int at)
{
#if SQLITE_VERSION_NUMBER >= 3039000
    return sqlite3_db_name(record->handle, at);
#else
    (void)record;
    return at == 0 ? "main" : NULL;
#endif
}

int lido__gate_of_database(const struct lido_record *record, const char *schema,
                           struct lido__gate **out, struct lido_error *err)
{
    const struct lido__pool_config *config = &record->pool->config;
    struct stat file;
    const char *name;
    int rc = LIDO_OK;

    *out = NULL;
    if (sqlite3_db_readonly(record->handle, schema) != 0)
        return LIDO_OK;
    name = sqlite3_db_filename(record->handle, schema);
    if (name == NULL || name[0] == '\0' || stat(name, &file) != 0)
        return LIDO_OK;
    *out = lido__gate_find((uint64_t)file.st_dev, (uint64_t)file.st_ino);
    if (*out == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for the write gate of a file");
    if (config->gate == LIDO_GATE_PROCESS)
        rc = lido__gate_join(*out, name, config->gate_aging_us * 1000, err);
    if (rc != LIDO_OK) {
        lido__gate_drop(*out);
        *out = NULL;
    }
    return rc;
}

bool lido__gate_set_is_needed(const struct lido_record *record)
{
    return schema_name(record, FIRST_ATTACHED) != NULL;
}

static int by_key(const void *left, const void *right)
{
    return lido__gate_compare(*(struct lido__gate *const *)left,
                              *(struct lido__gate *const *)right);
}

/* One file may be there twice. */
static void drop_doubles(struct lido__gate_set *set)
{
    size_t kept = 0;

    for (size_t i = 0; i < set->count; i++) {
        if (kept > 0 && set->gates[i] == set->gates[kept - 1])
            lido__gate_drop(set->gates[i]);
        else
            set->gates[kept++] = set->gates[i];
    }
    set->count = kept;
}

int lido__gate_set_make(const struct lido_record *record, struct lido__gate_set **out,
                        struct lido_error *err)
{
    struct lido__gate_set *set;
    int schemas = FIRST_ATTACHED, rc = LIDO_OK;

    while (schema_name(record, schemas) != NULL)
        schemas++;
    *out = set = lido__new(sizeof *set + (size_t)schemas * sizeof(struct lido__gate *));
    if (set == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory for the write gates of files");
    set->count = 0;
    for (int i = 0; i < schemas && rc == LIDO_OK; i++) {
        struct lido__gate *gate = NULL;

        if (i != 1)
            rc = lido__gate_of_database(record, schema_name(record, i), &gate, err);
        if (gate != NULL)
            set->gates[set->count++] = gate;
    }
    if (rc != LIDO_OK) {
        lido__gate_set_free(set);
        *out = NULL;
        return rc;
    }
    qsort(set->gates, set->count, sizeof set->gates[0], by_key);
    drop_doubles(set);
    return LIDO_OK;
}

void lido__gate_set_free(struct lido__gate_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        lido__gate_drop(set->gates[i]);
    lido__free(set);
}

static void leave_first(const struct lido__gate_set *set, size_t count)
{
    while (count > 0)
        lido__gate_leave(set->gates[--count]);
}

bool lido__gate_set_try(const struct lido__gate_set *set,
                        const struct lido__gate_wait *like)
{
    for (size_t i = 0; i < set->count; i++) {
        if (lido__gate_try(set->gates[i], like->who, like->priority))
            continue;
        leave_first(set, i);
        return false;
    }
    return true;
}

int lido__gate_set_enter(const struct lido__gate_set *set,
                         const struct lido__gate_wait *like, struct lido__gate **at)
{
    for (size_t i = 0; i < set->count; i++) {
        struct lido__gate_wait self = *like;
        int rc = lido__gate_enter(set->gates[i], &self);

        if (rc == LIDO_OK)
            continue;
        *at = set->gates[i];
        leave_first(set, i);
        return rc;
    }
    return LIDO_OK;
}

void lido__gate_set_leave(const struct lido__gate_set *set)
{
    leave_first(set, set->count);
}
