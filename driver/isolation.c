/* SPDX-License-Identifier: MIT */
/*
 * `isolation_level`, which two libraries of Python understand in two ways.  The sets do not
 * overlap, so one key serves both: sqlite3 names the BEGIN, SQLAlchemy what others'
 * uncommitted changes are to a reader.  Both take any case, SQLAlchemy '_' for a blank too.
 *
 * Threads: any; nothing is shared.
 */
#include "driver/url.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    struct lido__isolation says;
} levels[] = {
    { "DEFERRED", { LIDO_DEFERRED, -1, false, NULL } },
    { "IMMEDIATE", { LIDO_IMMEDIATE, -1, false, NULL } },
    { "EXCLUSIVE", { LIDO_EXCLUSIVE, -1, false, NULL } },
    { "", { LIDO_DEFERRED, -1, false, NULL } },
    /* There, these two turn off that BEGIN comes by itself. */
    { "None", { LIDO_BEGIN_DEFAULT, -1, true, NULL } },
    { "AUTOCOMMIT", { LIDO_BEGIN_DEFAULT, -1, true, "AUTOCOMMIT" } },
    { "SERIALIZABLE", { LIDO_BEGIN_DEFAULT, 0, false, "SERIALIZABLE" } },
    { "READ UNCOMMITTED", { LIDO_BEGIN_DEFAULT, 1, false, "READ UNCOMMITTED" } },
};

/* NULL if it is none. */
static const struct lido__isolation *find(const char *value)
{
    char name[24] = "";

    if (strlen(value) < sizeof name)
        memcpy(name, value, strlen(value));
    for (char *at = name; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (strcasecmp(levels[i].name, name) == 0 && strlen(value) == strlen(name))
            return &levels[i].says;
    return NULL;
}

int lido__value_isolation(const char *value, struct lido__isolation *out,
                          struct lido_error *err)
{
    const struct lido__isolation *found = find(value);

    if (found != NULL) {
        *out = *found;
        return LIDO_OK;
    }
    return lido_fail(err, LIDO_BAD_URL,
                     "isolation_level=%.40s is none of DEFERRED, IMMEDIATE, EXCLUSIVE, "
                     "None, and none of SERIALIZABLE, READ UNCOMMITTED, AUTOCOMMIT",
                     value);
}

int lido__url_isolation_level(const struct lido__url *url, int *mode,
                              struct lido_error *err)
{
    const char *value = lido__url_get(url, "isolation_level");
    struct lido__isolation says = { LIDO_BEGIN_DEFAULT, -1, false, NULL };
    int rc = value != NULL ? lido__value_isolation(value, &says, err) : LIDO_OK;

    if (rc == LIDO_OK && says.begin_mode != LIDO_BEGIN_DEFAULT)
        *mode = says.begin_mode;
    return rc;
}

bool lido__url_is_autocommit(const struct lido__url *url)
{
    const char *value = lido__url_get(url, "isolation_level");
    const struct lido__isolation *says = value != NULL ? find(value) : NULL;

    return says != NULL && says->is_autocommit;
}

int lido__level_isolation(const char *level, struct lido__isolation *out,
                          struct lido_error *err)
{
    const struct lido__isolation *found = find(level);

    if (found == NULL || found->level == NULL)
        return lido_fail(err, SQLITE_MISUSE,
                         "%.40s is no isolation level; there are: SERIALIZABLE, "
                         "READ UNCOMMITTED, AUTOCOMMIT",
                         level[0] != '\0' ? level : "nothing");
    *out = *found;
    return LIDO_OK;
}
