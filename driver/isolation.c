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
    { "DEFERRED", { LIDO_DEFERRED, -1 } },
    { "IMMEDIATE", { LIDO_IMMEDIATE, -1 } },
    { "EXCLUSIVE", { LIDO_EXCLUSIVE, -1 } },
    { "", { LIDO_DEFERRED, -1 } },
    /* There, these two turn off that BEGIN comes by itself, which it never does here. */
    { "None", { LIDO_BEGIN_DEFAULT, -1 } },
    { "AUTOCOMMIT", { LIDO_BEGIN_DEFAULT, -1 } },
    { "SERIALIZABLE", { LIDO_BEGIN_DEFAULT, 0 } },
    { "READ UNCOMMITTED", { LIDO_BEGIN_DEFAULT, 1 } },
};

int lido__value_isolation(const char *value, struct lido__isolation *out,
                          struct lido_error *err)
{
    char name[24] = "";

    if (strlen(value) < sizeof name)
        memcpy(name, value, strlen(value));
    for (char *at = name; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (strcasecmp(levels[i].name, name) == 0 && strlen(value) == strlen(name)) {
            *out = levels[i].says;
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
    struct lido__isolation says = { LIDO_BEGIN_DEFAULT, -1 };
    int rc = value != NULL ? lido__value_isolation(value, &says, err) : LIDO_OK;

    if (rc == LIDO_OK && says.begin_mode != LIDO_BEGIN_DEFAULT)
        *mode = says.begin_mode;
    return rc;
}
