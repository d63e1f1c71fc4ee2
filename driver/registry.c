/* SPDX-License-Identifier: MIT */
/*
 * Which drivers there are: the host's own, and after them the built-in.
 *
 * A registered table is copied into a full one, so that an older host's shorter table reads
 * as NULL where it ends; a newer host's longer one is taken if its rest is zero.  The copy
 * is never freed, because pools that were opened with it may outlive its registration: a few
 * hundred bytes for each lido_driver_register().
 *
 * Threads: any; `lock` guards the list.
 */
#include "base/alloc.h"
#include "base/sync.h"
#include "driver/driver.h"

#include <stddef.h>
#include <stdio.h>

/* What is longer is not a table but a mistake, and its bytes are not looked at. */
#define LONGEST_TABLE 4096

struct entry {
    struct lido_driver table;
    void *ctx;
    char *name;
    struct entry *next;
};

static struct lido__mutex lock = LIDO_MUTEX_INIT(LIDO_RANK_DRIVER);
static struct entry *registered; /* the newest first */
static struct entry *retired;    /* no longer found; kept for the pools that use them */

static bool is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_.-";

    return name != NULL && name[0] != '\0' && name[strspn(name, letters)] == '\0';
}

/* From `begin` on every member is a pointer, and a table may end behind each of them. */
static bool is_size(const struct lido_driver *driver)
{
    const size_t least = offsetof(struct lido_driver, begin), known = sizeof *driver;
    const unsigned char *bytes = (const unsigned char *)driver;

    if (driver->size < least || driver->size > LONGEST_TABLE ||
        (driver->size - least) % sizeof driver->begin != 0)
        return false;
    for (size_t i = known; i < driver->size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static int check(const char *name, const struct lido_driver *driver, struct lido_error *err)
{
    if (!is_name(name))
        return lido_fail(err, SQLITE_MISUSE,
                         "a driver's name is made of letters, digits, "
                         "'_', '.' and '-'");
    if (driver == NULL || !is_size(driver))
        return lido_fail(err, SQLITE_MISUSE,
                         "the driver %s has no table, or one whose size "
                         "is none",
                         name);
    if (driver->connect == NULL || driver->close == NULL || driver->txn_state == NULL)
        return lido_fail(err, SQLITE_MISUSE,
                         "the driver %s lacks connect, close or txn_state", name);
    return LIDO_OK;
}

/* Takes the entry of that name off the list, or answers NULL. */
static struct entry *unlink_named(const char *name)
{
    for (struct entry **link = &registered; *link != NULL; link = &(*link)->next) {
        struct entry *entry = *link;

        if (strcmp(entry->name, name) == 0) {
            *link = entry->next;
            entry->next = retired;
            retired = entry;
            return entry;
        }
    }
    return NULL;
}

int lido_driver_register(const char *name, const struct lido_driver *driver, void *ctx,
                         struct lido_error *err)
{
    struct entry *entry;
    int rc = check(name, driver, err);

    if (rc != LIDO_OK)
        return rc;
    entry = lido__new(sizeof *entry);
    if (entry != NULL)
        entry->name = lido__copy(name, strlen(name));
    if (entry == NULL || entry->name == NULL) {
        lido__free(entry);
        return lido_fail(err, SQLITE_NOMEM, "out of memory for the driver %s", name);
    }
    memcpy(&entry->table, driver,
           driver->size < sizeof entry->table ? driver->size : sizeof entry->table);
    entry->table.size = sizeof entry->table;
    if (entry->table.name == NULL)
        entry->table.name = entry->name;
    entry->ctx = ctx;
    lido__mutex_lock(&lock);
    unlink_named(name);
    entry->next = registered;
    registered = entry;
    lido__mutex_unlock(&lock);
    return LIDO_OK;
}

int lido_driver_unregister(const char *name, struct lido_error *err)
{
    struct entry *entry = NULL;

    if (name != NULL) {
        lido__mutex_lock(&lock);
        entry = unlink_named(name);
        lido__mutex_unlock(&lock);
    }
    if (entry == NULL)
        return lido_fail(err, LIDO_NOT_FOUND, "no driver %.60s is registered",
                         name != NULL ? name : "without a name");
    return LIDO_OK;
}

/* "sqlite" and the host's names, for the text of an error. */
static void list_names(char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "sqlite");

    lido__mutex_lock(&lock);
    for (struct entry *at = registered; at != NULL && used < size; at = at->next)
        if (strcmp(at->name, "sqlite") != 0)
            used += (size_t)snprintf(text + used, size - used, ", %s", at->name);
    lido__mutex_unlock(&lock);
}

int lido__driver_find(struct lido__driver *out, const char *name, struct lido_error *err)
{
    char names[120];

    *out = (struct lido__driver){ NULL, NULL };
    lido__mutex_lock(&lock);
    for (struct entry *at = registered; at != NULL && out->table == NULL; at = at->next)
        if (strcmp(at->name, name) == 0)
            *out = (struct lido__driver){ &at->table, at->ctx };
    lido__mutex_unlock(&lock);
    /* sqlite+pysqlite is how SQLAlchemy names its own driver of SQLite. */
    if (out->table == NULL &&
        (strcmp(name, "sqlite") == 0 || strcmp(name, "pysqlite") == 0))
        out->table = lido_driver_sqlite();
    if (out->table != NULL)
        return LIDO_OK;
    list_names(names, sizeof names);
    return lido_fail(err, LIDO_NOT_FOUND, "no driver is called %.40s; there are: %s", name,
                     names);
}
