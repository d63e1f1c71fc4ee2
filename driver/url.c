/* SPDX-License-Identifier: MIT */
/*
 * What a URL's database means.
 *
 * Three names are refused because SQLite would make a file of them that nobody meant:
 * "/:memory:", which is one slash too many (SQLAlchemy makes the file); a path that begins
 * with a drive, on a system that has none; and "file:...", which is a URI for SQLite but only
 * with uri=1.  Each has a spelling that means the file, and the text tells it.
 *
 * Threads: any; nothing is shared.  getcwd() is asked once per relative path.
 */
#include "driver/url.h"
#include "base/alloc.h"
#include "driver/file_uri.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int fail_memory(struct lido_error *err)
{
    return lido_fail(err, SQLITE_NOMEM, "out of memory for the URL");
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_slash(char byte)
{
    return byte == '/' || byte == '\\';
}

/* C:\p and C:p, \\server\p, and with a slash too many /C:\p. */
static bool has_drive(const char *path)
{
    if (path[0] == '\\' && path[1] == '\\')
        return true;
    if (path[0] == '/')
        return is_letter(path[1]) && path[2] == ':' && is_slash(path[3]);
    return is_letter(path[0]) && path[1] == ':';
}

/* The path as it is meant, or an error.  `is_uri` is what the key uri says. */
static int check_path(const char *path, bool is_uri, struct lido_error *err)
{
    if (!is_uri && lido__is_file_uri(path))
        return lido_fail(err, LIDO_BAD_URL,
                         "file:... is taken for a URI of SQLite only with uri=1; a file of "
                         "this name is sqlite:///./file:...");
    if (strcmp(path, "/:memory:") == 0)
        return lido_fail(err, LIDO_BAD_URL,
                         "four slashes and :memory: name a file in the root folder; a "
                         "memory database is sqlite:///:memory:, with three");
    if (has_drive(path))
        return lido_fail(err, LIDO_BAD_URL,
                         "the path begins with a drive, and this system has none; a file "
                         "of this name is sqlite:///./%.100s",
                         path);
    return LIDO_OK;
}

static int make_absolute(char **out, const char *path, struct lido_error *err)
{
    char *folder = getcwd(NULL, 0);

    if (folder == NULL) {
        int why = errno;

        if (why == ENOMEM)
            return fail_memory(err);
        lido_fail(err, SQLITE_CANTOPEN, "the working directory cannot be told: %s",
                  why == ENOENT ? "it was removed" : "no access");
        if (err != NULL)
            err->sys_errno = why;
        return SQLITE_CANTOPEN;
    }
    *out = sqlite3_mprintf("%s%s%s", folder, strcmp(folder, "/") == 0 ? "" : "/", path);
    free(folder);
    return *out != NULL ? LIDO_OK : fail_memory(err);
}

static int take_database(struct lido__url *url, struct lido_error *err)
{
    const char *path = url->parts->database;
    int is_uri = 0, rc = lido__url_bool(url, "uri", &is_uri, err);

    if (rc == LIDO_OK)
        rc = check_path(path, is_uri != 0, err);
    if (rc != LIDO_OK)
        return rc;
    if (path[0] == '\0')
        path = ":memory:";
    if (path[0] != '/' && strcmp(path, ":memory:") != 0 && !lido__is_file_uri(path))
        return make_absolute(&url->database, path, err);
    url->database = lido__copy(path, strlen(path));
    return url->database != NULL ? LIDO_OK : fail_memory(err);
}

static bool is_key(const struct lido__url *url, const char *key, const char *value)
{
    const char *found = lido__url_get(url, key);

    return found != NULL && strcmp(found, value) == 0;
}

/*
 * https://sqlite.org/inmemorydb.html: the names of the VFS memdb are shared in the process if
 * they begin with a slash and have something behind it.  With mode=memory the VFS is not
 * asked at all, and the database is private.
 */
static void take_memory(struct lido__url *url)
{
    const char *name = url->database;
    char path[16]; /* more than ":memory:" need not be looked at */
    bool is_uri = lido__is_file_uri(name), is_memdb = is_key(url, "vfs", "memdb");

    if (is_uri)
        lido__file_uri_path(name, path, sizeof path);
    else
        sqlite3_snprintf(sizeof path, path, "%s", name);
    if (is_uri && lido__file_uri_has(name, "vfs", NULL))
        is_memdb = lido__file_uri_has(name, "vfs", "memdb");
    url->is_named_memory = is_memdb && path[0] == '/' && path[1] != '\0';
    url->is_memory = path[0] == '\0' || strcmp(path, ":memory:") == 0 ||
                     is_key(url, "mode", "memory") ||
                     (is_uri && lido__file_uri_has(name, "mode", "memory")) ||
                     (is_memdb && !url->is_named_memory);
    if (url->is_memory)
        url->is_named_memory = false;
}

int lido__url_parse(struct lido__url *url, const char *text, struct lido_error *err)
{
    int rc;

    memset(url, 0, sizeof *url);
    rc = lido_url_parse(&url->parts, text, err);
    if (rc != LIDO_OK)
        return rc;
    url->driver = url->parts->driver;
    url->params = url->parts->params;
    url->n_params = url->parts->n_params;
    rc = take_database(url, err);
    if (rc == LIDO_OK) {
        url->base = lido__copy(text, strcspn(text, "?"));
        rc = url->base != NULL ? LIDO_OK : fail_memory(err);
    }
    if (rc == LIDO_OK)
        take_memory(url);
    else
        lido__url_fini(url);
    return rc;
}

void lido__url_fini(struct lido__url *url)
{
    lido_url_free(url->parts);
    lido__free(url->base);
    lido__free(url->database);
    memset(url, 0, sizeof *url);
}
