/* SPDX-License-Identifier: MIT */
/*
 * Section 3.1: which file, and which kind of pool, a URL gives.  Each test works in a folder
 * of its own.
 */
#include "tests/parity/play.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *folder;

static void begin(void)
{
    play_begin();
    folder = play_enter_folder();
}

TestSuite(parity_urls, .init = begin, .fini = play_leave_folder);

/* Opens `url` and expects that kind, and that file of the folder ("": in memory). */
static void expect_opened(const char *url, const char *kind, const char *file)
{
    char path[300] = "";
    struct lido_conn conn;
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, url, NULL, &play_err), LIDO_OK, "%s: %s", url,
                 play_err.text);
    conn = play_take(pool);
    if (file[0] != '\0')
        snprintf(path, sizeof path, "%s/%s", folder, file);
    cr_expect_str_eq(sqlite3_db_filename(lido_conn_sqlite(&conn), "main"), path);
    cr_expect_str_eq(play_stats(pool).kind, kind, "%s is a %s", url, play_stats(pool).kind);
    play_give(&conn);
    play_end(pool);
}

static void expect_refused(const char *url, const char *text)
{
    lido_pool *pool;

    cr_expect_eq(lido_pool_open(&pool, url, NULL, &play_err), LIDO_BAD_URL, "%s", url);
    cr_expect_null(pool);
    cr_expect_not_null(strstr(play_err.text, text), "%s: %s", url, play_err.text);
}

/* 3.1 sqlite://
   SQLAlchemy: `:memory:`, by a SingletonThreadPool.
   lido: same */
Test(parity_urls, without_a_path_is_in_memory)
{
    expect_opened("sqlite://", "singleton_thread", "");
}

/* 3.1 sqlite:///
   SQLAlchemy: the same.
   lido: same */
Test(parity_urls, with_an_empty_path_is_in_memory)
{
    expect_opened("sqlite:///", "singleton_thread", "");
}

/* 3.1 sqlite:///:memory:
   SQLAlchemy: the same.
   lido: same */
Test(parity_urls, may_say_memory)
{
    expect_opened("sqlite:///:memory:", "singleton_thread", "");
}

/* 3.1 sqlite:///?check_same_thread=true
   SQLAlchemy: the same.
   lido: same */
Test(parity_urls, with_keys_only_is_in_memory)
{
    expect_opened("sqlite:///?check_same_thread=true", "singleton_thread", "");
}

/* 3.1 sqlite+pysqlite://
   SQLAlchemy: the dialect with the name of its driver.
   lido: same: pysqlite is a name of the built-in driver */
Test(parity_urls, may_name_the_driver)
{
    expect_opened("sqlite+pysqlite:///foo.db", "null", "foo.db");
}

/* 3.1 sqlite:///foo.db
   SQLAlchemy: NullPool up to 1.4, QueuePool since 2.0; the path is made absolute when the
   engine is created.
   lido: same: as 0.9.8 and 1.4; `?pool=queue` asks for a queue */
Test(parity_urls, with_a_relative_path_is_a_file_of_that_moments_folder)
{
    lido_pool *pool;
    struct lido_conn conn;
    char path[300];

    expect_opened("sqlite:///foo.db", "null", "foo.db");
    expect_opened("sqlite:///foo.db?pool=queue", "queue", "foo.db");

    cr_assert_eq(lido_pool_open(&pool, "sqlite:///bar.db", NULL, NULL), LIDO_OK);
    cr_assert_eq(chdir("/"), 0);
    conn = play_take(pool);
    snprintf(path, sizeof path, "%s/bar.db", folder);
    cr_expect_str_eq(sqlite3_db_filename(lido_conn_sqlite(&conn), "main"), path);
    play_give(&conn);
    play_end(pool);
    cr_assert_eq(chdir(folder), 0);
}

/* 3.1 sqlite:////abs/foo.db
   SQLAlchemy: the same with that path.
   lido: same */
Test(parity_urls, with_a_fourth_slash_is_an_absolute_path)
{
    char url[300];

    snprintf(url, sizeof url, "sqlite:///%s/foo.db", folder);
    cr_assert_eq(strncmp(url, "sqlite:////", 11), 0);
    expect_opened(url, "null", "foo.db");
}

/* 3.1 sqlite:///C:\p\x.db
   SQLAlchemy: whatever abspath() makes of it: a file of that odd name where there are no
   drives.
   lido: better: parsed, and refused where there are no drives; `./C:...` is such a file */
Test(parity_urls, with_a_drive_is_refused_where_there_are_none)
{
    struct lido_url *url;

    cr_assert_eq(lido_url_parse(&url, "sqlite:///C:\\p\\x.db", NULL), LIDO_OK);
    cr_expect_str_eq(url->database, "C:\\p\\x.db");
    lido_url_free(url);
    expect_refused("sqlite:///C:\\p\\x.db", "./C:");
    expect_opened("sqlite:///./C:x.db", "null", "C:x.db");
}

/* 3.1 sqlite:////:memory:
   SQLAlchemy: a file named `/:memory:` (a trap).
   lido: better: refused, and the text says how many slashes were meant */
Test(parity_urls, with_memory_behind_four_slashes_is_refused)
{
    expect_refused("sqlite:////:memory:", "sqlite:///:memory:");
    cr_expect_neq(access("/:memory:", F_OK), 0);
}

/* 3.1 sqlite:///foo%20bar.db
   SQLAlchemy: `foo%20bar.db` in 0.9 and 1.4; since 2.1 decoded, `foo bar.db`.
   lido: same: as 2.1 */
Test(parity_urls, is_decoded)
{
    expect_opened("sqlite:///foo%20bar.db", "null", "foo bar.db");
    expect_opened("sqlite:///f\xc3\xb6%C3%B6.db", "null", "f\xc3\xb6\xc3\xb6.db");
}

/* 3.1 sqlite:///file:foo.db?uri=true&mode=ro
   SQLAlchemy: since 1.4 SQLite's URI, not made absolute; keys that it does not know are
   sorted and appended.
   lido: same: without `uri=true` it is refused, not a file of that name */
Test(parity_urls, may_be_a_uri_of_sqlite)
{
    struct lido_conn conn;
    lido_pool *pool;

    expect_opened("sqlite:///foo.db", "null", "foo.db");
    expect_refused("sqlite:///file:foo.db", "uri=1");
    cr_assert_eq(
        lido_pool_open(&pool, "sqlite:///file:foo.db?uri=true&mode=ro", NULL, &play_err),
        LIDO_OK, "%s", play_err.text);
    conn = play_take(pool);
    cr_expect_eq(sqlite3_db_readonly(lido_conn_sqlite(&conn), "main"), 1);
    play_give(&conn);
    play_end(pool);
}

/* 3.1 sqlite:///file::memory:?cache=shared&uri=true
   SQLAlchemy: NullPool up to 1.4, which loses the database; QueuePool since.
   lido: better: a shared cache is refused with the reason; `vfs=memdb` shares a memory
   database, and the pool keeps it alive */
Test(parity_urls, a_shared_cache_is_refused_and_a_named_memory_database_is_kept)
{
    struct lido_conn conn;
    lido_pool *pool;

    expect_refused("sqlite:///file::memory:?cache=shared&uri=true", "vfs=memdb");
    cr_assert_eq(
        lido_pool_open(&pool, "sqlite:///file:/kept?uri=1&vfs=memdb", NULL, &play_err),
        LIDO_OK, "%s", play_err.text);
    cr_expect_str_eq(play_stats(pool).kind, "null");
    conn = play_take(pool);
    play_execute(&conn, "create table t (x)");
    play_give(&conn);
    conn = play_take(pool);
    cr_expect_eq(play_ask(&conn, "select count(*) from sqlite_master"), 1);
    play_give(&conn);
    play_end(pool);
}

/* 3.1 sqlite:///file:db?mode=memory&uri=true
   SQLAlchemy: NullPool in 0.9, SingletonThreadPool since 1.4.12.
   lido: same: as since 1.4.12 */
Test(parity_urls, a_uri_may_be_in_memory)
{
    expect_opened("sqlite:///file:db?mode=memory&uri=true", "singleton_thread", "");
}

/* 3.1 sqlite:///foo.db?mode=memory
   SQLAlchemy: SingletonThreadPool in 1.4; without uri the key itself is ignored, so it is a
   file.
   lido: better: the kind, and the key: it is in memory */
Test(parity_urls, mode_memory_needs_no_uri)
{
    expect_opened("sqlite:///foo.db?mode=memory", "singleton_thread", "");
    cr_expect_neq(access("foo.db", F_OK), 0);
}

/* 3.1 sqlite:///foo.db?bogus=1
   SQLAlchemy: 0.9 hands it to sqlite3, which raises; 1.4 drops it silently, main with a
   warning.
   lido: better: refused when the pool is opened, by its name */
Test(parity_urls, an_unknown_key_is_refused)
{
    expect_refused("sqlite:///foo.db?bogus=1", "bogus");
    cr_expect_neq(access("foo.db", F_OK), 0);
}

/* 3.1 sqlite://host/foo.db, user, password, port
   SQLAlchemy: ArgumentError with the four valid forms; main masks the password, older versions
   show it.
   lido: same: LIDO_BAD_URL with the four forms; nothing of the URL is repeated */
Test(parity_urls, with_a_server_lists_the_valid_forms)
{
    static const char *const urls[] = {
        "sqlite://host/foo.db",
        "sqlite://user@/foo.db",
        "sqlite://user:secret@host/foo.db",
        "sqlite://host:1234/foo.db",
        "sqlite://user:secret@host:1234/foo.db",
    };

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        expect_refused(urls[i], "sqlite://, sqlite:///relative.db, sqlite:////absolute.db "
                                "and sqlite:///:memory:");
        cr_expect_null(strstr(play_err.text, "secret"));
    }
}

/* 3.1 is_file_db
   SQLAlchemy: main: there is a database, not `:memory:`, and mode is not memory; 0.9: the first
   two.
   lido: same: as main, and SQLite is asked what it makes of a URI; a queue on what is in memory
   is refused with what to use */
Test(parity_urls, a_queue_on_a_memory_database_is_refused)
{
    expect_refused("sqlite://?pool=queue", "pool=static");
    expect_refused("sqlite:///x?mode=memory&pool=queue", "pool=static");
    expect_opened("sqlite://?pool=static", "static", "");
}
