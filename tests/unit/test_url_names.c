/* SPDX-License-Identifier: MIT */
/*
 * What the database of a URL means: which names are refused, and which memory databases are
 * shared, by SQLite's own word.
 */
#include "driver/file_uri.h"
#include "driver/url.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct lido_error err;
static struct lido__url url;

TestSuite(url_names, .timeout = 60);

static void parse(const char *text)
{
    lido__url_fini(&url);
    cr_assert_eq(lido__url_parse(&url, text, &err), LIDO_OK, "%s: %s", text, err.text);
}

static void refuse_saying(const char *text, const char *part)
{
    struct lido__url refused;

    memset(&err, 0, sizeof err);
    cr_assert_eq(lido__url_parse(&refused, text, &err), LIDO_BAD_URL, "%s", text);
    cr_expect_null(refused.parts);
    cr_expect_not_null(strstr(err.text, part), "%s: %s", text, err.text);
}

/* Names that would make a file that nobody meant. */

Test(url_names, memory_behind_four_slashes_is_refused)
{
    refuse_saying("sqlite:////:memory:", "with three");
    refuse_saying("sqlite:////%3amemory:?pool=queue", "with three");
    parse("sqlite:////./:memory:");
    cr_expect_str_eq(url.database, "/./:memory:");
    cr_expect_not(url.is_memory);
    lido__url_fini(&url);
}

Test(url_names, a_drive_is_refused_where_there_are_none)
{
    static const char *const texts[] = {
        "sqlite:///C:\\p\\x.db",   "sqlite:///C:/p/x.db", "sqlite:///c:x.db",
        "sqlite:////C:/p/x.db",    "sqlite:////Z:\\x.db", "sqlite:///C%3A%5Cx.db",
        "sqlite:///\\\\server\\x", "sqlite:///C:",
    };
    static const char *const names[] = {
        "sqlite:////C:x.db",
        "sqlite:////CC:/x.db",
        "sqlite:///./C:/x.db",
        "sqlite:////1:/x.db",
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        refuse_saying(texts[i], "drive");
    refuse_saying("sqlite:///C:\\p\\x.db", "sqlite:///./C:\\p\\x.db");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        parse(names[i]);
    lido__url_fini(&url);
}

Test(url_names, file_is_a_uri_only_if_the_key_says_so)
{
    refuse_saying("sqlite:///file:app.db", "uri=1");
    refuse_saying("sqlite:///file::memory:?uri=false", "uri=1");
    refuse_saying("sqlite:///file:app.db?uri=perhaps", "uri=perhaps");
    parse("sqlite:///file:app.db?uri=true&mode=ro");
    cr_expect_str_eq(url.database, "file:app.db", "not made absolute");
    parse("sqlite:////file:app.db");
    cr_expect_str_eq(url.database, "/file:app.db");
    parse("sqlite:///./file:app.db");
    cr_expect_eq(url.database[0], '/');
    parse("sqlite:///app.db?uri=true");
    cr_expect_eq(url.database[0], '/', "a name that is no URI is a path");
    lido__url_fini(&url);
}

Test(url_names, pysqlite_is_the_driver_that_is_built_in)
{
    parse("sqlite+pysqlite:////srv/app.db");
    cr_expect_str_eq(url.driver, "pysqlite");
    cr_expect_str_eq(url.database, "/srv/app.db");
    lido__url_fini(&url);
}

/* Memory: what is expected, and what SQLite does. */

enum home { FILES, EACH_ITS_OWN, BY_NAME };

static const struct {
    const char *text;
    enum home home;
} homes[] = {
    { "sqlite://", EACH_ITS_OWN },
    { "sqlite:///", EACH_ITS_OWN },
    { "sqlite:///:memory:", EACH_ITS_OWN },
    { "sqlite://?check_same_thread=true", EACH_ITS_OWN },
    { "sqlite:///x.db?mode=memory", EACH_ITS_OWN },
    { "sqlite:////x.db?mode=memory&vfs=memdb", EACH_ITS_OWN },
    { "sqlite:///file::memory:?uri=true", EACH_ITS_OWN },
    { "sqlite:///file:%253amemory:?uri=true", EACH_ITS_OWN },
    { "sqlite:///file:?uri=true", EACH_ITS_OWN },
    { "sqlite:///file:x?uri=true&mode=memory", EACH_ITS_OWN },
    { "sqlite:///file:x%3fmode=memory?uri=true", EACH_ITS_OWN },
    { "sqlite:///file:x%3fa%26m%256fde=memory%23z?uri=true", EACH_ITS_OWN },
    { "sqlite:///file:/x?uri=true&mode=memory&vfs=memdb", EACH_ITS_OWN },
    { "sqlite:///file:x?uri=true&vfs=memdb", EACH_ITS_OWN },
    { "sqlite:///file:/?uri=true&vfs=memdb", EACH_ITS_OWN },
    { "sqlite:////?vfs=memdb", EACH_ITS_OWN },
    { "sqlite:///file:/x1?uri=true&vfs=memdb", BY_NAME },
    { "sqlite:///file:/x2%3fvfs=memdb?uri=true", BY_NAME },
    { "sqlite:///file:///x3%3fvfs=unix%26vfs=memdb?uri=true", BY_NAME },
    { "sqlite:///file://localhost/x4?uri=true&vfs=memdb", BY_NAME },
    { "sqlite:////x5?vfs=memdb", BY_NAME },
    { "sqlite:///x6?vfs=memdb", BY_NAME },
    { "sqlite:////:memory?vfs=memdb", BY_NAME },
    { "sqlite:////srv/x.db", FILES },
    { "sqlite:///memory", FILES },
    { "sqlite:///:memory:x", FILES },
    { "sqlite:///x?mode=ro", FILES },
    { "sqlite:///file:/x%23?uri=true&vfs=unix", FILES },
    { "sqlite:///file:/x%23%3fmode=memory?uri=true", FILES },
    { "sqlite:///file:/mode=memory?uri=true", FILES },
    { "sqlite:///file::memory:x?uri=true", FILES },
};

Test(url_names, tell_where_the_data_live)
{
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) {
        parse(homes[i].text);
        cr_expect_eq(url.is_memory, homes[i].home == EACH_ITS_OWN, "%s", homes[i].text);
        cr_expect_eq(url.is_named_memory, homes[i].home == BY_NAME, "%s", homes[i].text);
    }
    lido__url_fini(&url);
}

/* As the driver does it. */
static sqlite3 *open_url(void)
{
    struct lido_connect how = { .size = sizeof how,
                                .url = url.base,
                                .database = url.database,
                                .params = url.params,
                                .n_params = url.n_params };
    void *handle;

    cr_assert_eq(lido_driver_sqlite()->connect(NULL, &how, NULL, &handle, &err), LIDO_OK,
                 "%s: %s", url.base, err.text);
    return handle;
}

Test(url_names, tell_where_the_data_live_by_the_word_of_sqlite)
{
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) {
        sqlite3 *one, *two;
        bool is_seen;

        parse(homes[i].text);
        if (homes[i].home == FILES || lido__url_get(&url, "check_same_thread") != NULL)
            continue;
        one = open_url();
        two = open_url();
        cr_assert_eq(sqlite3_exec(one, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK,
                     "%s", homes[i].text);
        is_seen = sqlite3_exec(two, "SELECT * FROM t", NULL, NULL, NULL) == SQLITE_OK;
        cr_expect_eq(is_seen, homes[i].home == BY_NAME, "%s", homes[i].text);

        /* Two holds the data of one, and without both they are gone. */
        sqlite3_close(one);
        one = open_url();
        cr_expect_eq(sqlite3_exec(one, "SELECT * FROM t", NULL, NULL, NULL) == SQLITE_OK,
                     homes[i].home == BY_NAME, "%s", homes[i].text);
        sqlite3_close(one);
        sqlite3_close(two);
        one = open_url();
        cr_expect_neq(sqlite3_exec(one, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(one);
    }
    lido__url_fini(&url);
}

/* URIs. */

static bool is_timeout(const char *key)
{
    return strcmp(key, "timeout") == 0;
}

static void expect_uri(const char *name, bool is_immutable, const char *wanted)
{
    static const struct lido_param params[] = {
        { "z", "1" },
        { "timeout", "3" },
        { "b b", "\xc3\xa9&#" },
        { "nolock", "0" },
    };
    char *uri = lido__file_uri_make(name, params, 4, is_timeout, is_immutable);

    cr_expect_str_eq(uri, wanted);
    sqlite3_free(uri);
}

Test(url_names, a_uri_gets_the_keys_that_nobody_took_sorted)
{
    expect_uri("file:x", false, "file:x?b%20b=%C3%A9%26%23&nolock=0&z=1");
    expect_uri("file:x?a=b", true,
               "file:x?a=b&b%20b=%C3%A9%26%23&nolock=0&z=1&immutable=1");
    expect_uri("file:x#?", false, "file:x?b%20b=%C3%A9%26%23&nolock=0&z=1");
    expect_uri("/a ?#%.db", true, "file:/a%20%3F%23%25.db?immutable=1");
}
