/* SPDX-License-Identifier: MIT */
/*
 * The jobs on a database that somebody else has made: proj.db of the PROJ library, 8 MB with
 * views and triggers, where it is installed.
 */
#include "dumped.h"
#include "failing_vfs.h"
#include "own_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROJ "/usr/share/proj/proj.db"

static char folder[] = "/tmp/lido-proj-XXXXXX";
static struct lido_error err;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    failing_vfs_install(); /* nothing fails, but a sync takes no time */
    failing_vfs_hurry();
    cr_assert_eq(sqlite3_vfs_register(sqlite3_vfs_find("failing"), 1), SQLITE_OK);
}

static void tear_down(void)
{
    static const char *const names[] = { "dump.sql", "copy.db" };

    for (int i = 0; i < 2; i++)
        unlink(names[i]);
    cr_assert_eq(chdir("/"), 0);
    own_folder_end(folder);
}

TestSuite(housekeeping_proj, .init = set_up, .fini = tear_down, .timeout = 110);

/* False: the test is skipped. */
static bool is_there(void)
{
    if (access(PROJ, R_OK) == 0)
        return true;
    cr_skip_test(PROJ " is not here: it is in Debian's package proj-data");
    return false;
}

static void expect_sound(const char *path)
{
    struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;
    struct lido_check check = LIDO_CHECK_INIT;

    options.depth = LIDO_DEPTH_FULL;
    cr_assert_eq(lido_check(lido_at_path(path), &options, &check, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(check.verdict, LIDO_CHECK_SOUND, "%s: %s", path, check.text);
}

static void expect_same(const char *path)
{
    char *theirs = dumped(lido_at_path(PROJ), NULL, NULL);
    char *ours = dumped(lido_at_path(path), NULL, NULL);

    cr_expect(strcmp(theirs, ours) == 0, "another dump");
    free(theirs);
    free(ours);
    expect_same_rows(PROJ, path);
    expect_sound(path);
}

Test(housekeeping_proj, its_dump_is_read_by_the_shell)
{
    FILE *file;
    char *text;

    if (!is_there())
        return;
    if (system("command -v sqlite3 > /dev/null 2>&1") != 0)
        cr_skip_test("no sqlite3 shell here");
    text = dumped(lido_at_path(PROJ), NULL, NULL);
    file = fopen("dump.sql", "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    free(text);
    cr_assert_eq(system("HOME=. sqlite3 -bail copy.db < dump.sql"), 0);
    expect_same("copy.db");
}

Test(housekeeping_proj, its_dump_is_loaded)
{
    char *text;

    if (!is_there())
        return;
    text = dumped(lido_at_path(PROJ), NULL, NULL);
    cr_expect_eq(
        lido_load_text(lido_at_path("copy.db"), NULL, text, strlen(text), NULL, &err),
        LIDO_OK, "%s", err.text);
    free(text);
    expect_same("copy.db");
}

Test(housekeeping_proj, is_backed_up)
{
    if (!is_there())
        return;
    for (int method = LIDO_BACKUP_ONLINE; method <= LIDO_BACKUP_VACUUM; method++) {
        struct lido_backup_options options = LIDO_BACKUP_OPTIONS_INIT;

        options.method = method;
        cr_expect_eq(lido_backup(lido_at_path(PROJ), "copy.db", &options, NULL, &err),
                     LIDO_OK, "%s", err.text);
        expect_same("copy.db");
        unlink("copy.db");
    }
}

Test(housekeeping_proj, is_restored_over_another)
{
    if (!is_there())
        return;
    run("copy.db", "CREATE TABLE old (x); INSERT INTO old VALUES (zeroblob(100000))");
    cr_expect_eq(lido_restore(lido_at_path("copy.db"), PROJ, NULL, &err), LIDO_OK, "%s",
                 err.text);
    expect_same("copy.db");
}

static int copy_one(void *ctx, const struct lido_table_info *table,
                    struct lido_error *story)
{
    struct lido_table_copy_options options = LIDO_TABLE_COPY_OPTIONS_INIT;

    options.check_foreign_keys = 0; /* the parents may come later */
    ++*(int *)ctx;
    return lido_table_copy(lido_at_path(PROJ), table->name, lido_at_path("copy.db"),
                           &options, NULL, story);
}

Test(housekeeping_proj, each_of_its_tables_is_copied)
{
    int count = 0;

    if (!is_there())
        return;
    run("copy.db", "PRAGMA user_version = 1");
    cr_assert_eq(lido_table_list(lido_at_path(PROJ), "main", LIDO_TABLE_PLAIN, copy_one,
                                 &count, &err),
                 LIDO_OK, "%s", err.text);
    cr_expect_gt(count, 30);
    expect_same_rows("copy.db", PROJ);
    expect_sound("copy.db");
}
