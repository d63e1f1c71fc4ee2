/* SPDX-License-Identifier: MIT */
/*
 * The file that a backup makes: where it may go, who may read it, and how many are kept.
 */
#include "tests/support/backup_stage.h"
#include <lido/lido.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void set_up_one(void)
{
    set_up_names();
    pool = open_url("sqlite:///a.db?pool=queue");
    cr_assert_eq(lido_pool_exec(pool, "CREATE TABLE t (x); INSERT INTO t VALUES (7)", &err),
                 LIDO_OK);
}

/* How many files there are, hidden ones too. */
static int count_files(void)
{
    DIR *files = opendir(".");
    struct dirent *entry;
    int count = 0;

    while ((entry = readdir(files)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(files);
    return count;
}

TestSuite(backup_target, .init = set_up_one, .fini = tear_down, .timeout = 60);

static void expect_text(const char *path, const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "r");

    cr_assert_not_null(file, "%s", path);
    if (fgets(found, sizeof found, file) == NULL)
        found[0] = '\0';
    fclose(file);
    cr_expect_str_eq(found, text);
}

/* --- where it may go ------------------------------------------------------------------ */

Test(backup_target, that_exists_stays_unless_it_is_to_be_replaced)
{
    write_file("old.db", "old");
    cr_expect_eq(backup("old.db"), SQLITE_CANTOPEN);
    cr_expect_not_null(strstr(err.text, "old.db exists"), "%s", err.text);
    expect_text("old.db", "old");
    cr_expect_eq(count_files(), 2);
    options.replace = 1;
    cr_expect_eq(backup("old.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(lido_backup(lido_at_path("old.db"), "again.db", NULL, NULL, &err), LIDO_OK,
                 "it is a database now");
    cr_expect_eq(count_files(), 3);
}

static int come_between(void *ctx, const struct lido_progress *now,
                        struct lido_error *story)
{
    (void)ctx, (void)story;
    if (strcmp(now->phase, "checking") == 0)
        write_file("new.db", "mine");
    return LIDO_OK;
}

Test(backup_target, that_came_meanwhile_stays)
{
    job.progress = come_between;
    cr_expect_eq(backup("new.db"), SQLITE_CANTOPEN);
    expect_text("new.db", "mine");
    cr_expect_eq(count_files(), 2);
}

/* As a file system that cannot rename without replacing. */
static int is_simple;
/* Right after the rename there is the file of another backup of that minute. */
static int is_followed;

int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags)
{
    if (!is_simple) {
        const int rc = __real_renameat2(from_folder, from, to_folder, to, flags);
        char next[4096 + 8];

        snprintf(next, sizeof next, "%s-2", to);
        if (is_followed)
            write_file(next, "of another");
        return rc;
    }
    is_simple++;
    errno = EINVAL;
    return -1;
}

Test(backup_target, on_a_simple_file_system_replaces_nothing_either)
{
    is_simple = 1;
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(is_simple, 2);
    cr_expect_eq(backup("copy.db"), SQLITE_CANTOPEN);
    options.stamp = 1;
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(count_files(), 4);
}

static int link_between(void *ctx, const struct lido_progress *now,
                        struct lido_error *story)
{
    struct stat status;

    (void)story;
    if (strcmp(now->phase, "checking") == 0 && lstat(ctx, &status) != 0)
        cr_expect_eq(symlink("victim", ctx), 0);
    return LIDO_OK;
}

Test(backup_target, that_became_a_link_meanwhile_is_refused)
{
    char name[] = "new.db", log[] = "log.db-wal";

    write_file("victim", "victim");
    options.replace = 1;
    job.progress = link_between;
    job.progress_ctx = name;
    cr_expect_eq(backup("new.db"), SQLITE_CANTOPEN);
    cr_expect_not_null(strstr(err.text, "is a link"), "%s", err.text);
    job.progress_ctx = log;
    cr_expect_eq(backup("log.db"), SQLITE_CANTOPEN);
    expect_text("victim", "victim");
    cr_expect_eq(count_files(), 4);
}

Test(backup_target, that_is_a_link_is_refused)
{
    write_file("victim", "victim");
    cr_assert_eq(symlink("victim", "link"), 0);
    cr_assert_eq(symlink("nowhere", "dangling"), 0);
    for (int i = 0; i < 2; i++) {
        options.replace = i;
        cr_expect_eq(backup("link"), SQLITE_CANTOPEN);
        cr_expect_not_null(strstr(err.text, "is a link"), "%s", err.text);
        cr_expect_eq(backup("dangling"), SQLITE_CANTOPEN);
    }
    expect_text("victim", "victim");
    cr_expect_neq(access("nowhere", F_OK), 0);
    cr_expect_eq(count_files(), 4);
}

Test(backup_target, that_is_the_database_is_refused)
{
    cr_assert_eq(link("a.db", "same.db"), 0);
    options.replace = 1;
    cr_expect_eq(backup("a.db"), SQLITE_MISUSE);
    cr_expect_eq(backup("same.db"), SQLITE_MISUSE);
    cr_expect_not_null(strstr(err.text, "the database itself"), "%s", err.text);
    cr_expect_eq(count_files(), 2);
}

Test(backup_target, that_has_a_log_or_a_journal_beside_it_is_refused)
{
    static const char *const ends[] = { "b.db-wal", "b.db-journal", "b.db-shm" };

    for (int i = 0; i < 3; i++) {
        write_file(ends[i], "");
        cr_expect_eq(backup("b.db"), SQLITE_CANTOPEN, "%s", ends[i]);
        write_file("b.db", "old");
        options.replace = 1;
        cr_expect_eq(backup("b.db"), SQLITE_CANTOPEN, "%s", ends[i]);
        expect_text("b.db", "old");
        unlink("b.db");
        unlink(ends[i]);
        options.replace = 0;
    }
    cr_expect_eq(backup("b.db"), LIDO_OK, "%s", err.text);
}

/* SQLite takes such a file for a part of the database, and a log that is replaced is lost. */
Test(backup_target, that_is_named_like_a_log_or_a_journal_is_refused)
{
    static const char *const names[] = { "a.db-wal", "a.db-shm", "a.db-journal", "b-wal",
                                         "-journal" };

    lido_pool_free(pool);
    cr_assert_eq(
        lido_pool_open(&pool, "sqlite:///a.db?pool=queue&journal_mode=wal", NULL, &err),
        LIDO_OK);
    cr_assert_eq(lido_pool_exec(pool, "INSERT INTO t VALUES (8)", &err), LIDO_OK);
    for (int i = 0; i < 10; i++) {
        options.replace = i % 2;
        cr_expect_eq(backup(names[i / 2]), SQLITE_CANTOPEN, "%s", names[i / 2]);
        cr_expect_not_null(strstr(err.text, "another name"), "%s", err.text);
    }
    cr_expect_eq(count_files(), 3);
    options.replace = 0;
    options.stamp = 1;
    cr_expect_eq(backup("b-wal"), LIDO_OK, "that is no end of a name: %s", err.text);
}

Test(backup_target, that_names_no_file_is_refused)
{
    char name[300];

    cr_assert_eq(mkdir("folder", 0700), 0);
    options.replace = 1;
    cr_expect_eq(backup("folder"), SQLITE_CANTOPEN);
    cr_expect_eq(backup("folder/"), SQLITE_MISUSE);
    cr_expect_eq(backup("."), SQLITE_MISUSE);
    cr_expect_eq(backup("folder/.."), SQLITE_MISUSE);
    cr_expect_eq(backup("nowhere/copy.db"), SQLITE_CANTOPEN);
    cr_expect_eq(err.sys_errno, 2);
    cr_expect_not_null(strstr(err.text, "nowhere"), "%s", err.text);
    cr_expect_eq(backup("a.db/copy.db"), SQLITE_CANTOPEN);
    memset(name, 'x', sizeof name);
    name[256] = '\0';
    cr_expect_eq(backup(name), SQLITE_CANTOPEN);
    name[250] = '\0';
    cr_expect_eq(backup(name), LIDO_OK, "%s", err.text);
    options.replace = 0;
    options.stamp = 1;
    cr_expect_eq(backup(name), SQLITE_CANTOPEN, "no room for the stamp");
    cr_expect_eq(count_files(), 3);
}

Test(backup_target, may_have_any_name_and_be_elsewhere)
{
    static const char *const names[] = { "file:x?mode=ro", ":memory:", "a b#1%25.db", "-x",
                                         "'; --" };

    for (int i = 0; i < 5; i++) {
        for (int method = 0; method < 2; method++) {
            options.method = method;
            options.replace = method;
            cr_expect_eq(backup(names[i]), LIDO_OK, "%s: %s", names[i], err.text);
            cr_expect_eq(access(names[i], F_OK), 0, "%s", names[i]);
            cr_expect_eq(result.is_checked, 1);
        }
    }
    cr_expect_eq(count_files(), 6);
    cr_assert_eq(mkdir("%3f?#", 0700), 0);
    cr_assert_eq(chdir("%3f?#"), 0);
    options.replace = 0;
    cr_expect_eq(backup("../%3f?#/copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(access("copy.db", F_OK), 0);
    unlink("copy.db");
    cr_assert_eq(chdir(".."), 0);
}

/* --- who may read it ------------------------------------------------------------------ */

static mode_t while_written;

static int look_at_temporary(void *ctx, const struct lido_progress *now,
                             struct lido_error *story)
{
    DIR *files = opendir(".");
    struct dirent *entry;

    (void)ctx, (void)now, (void)story;
    while ((entry = readdir(files)) != NULL)
        if (strncmp(entry->d_name, ".copy.db.", 9) == 0)
            while_written |= 010000 | mode_of(entry->d_name);
    closedir(files);
    return LIDO_OK;
}

Test(backup_target, has_the_mode_of_the_database_and_is_its_owners_while_it_is_written)
{
    static const mode_t modes[] = { 0600, 0640, 0644, 0666 };
    static const mode_t masks[] = { 0, 022, 077, 0777 };

    options.replace = 1;
    job.progress = look_at_temporary;
    for (int i = 0; i < 16; i++) {
        options.method = i % 3;
        cr_assert_eq(chmod("a.db", modes[i % 4]), 0);
        umask(masks[i / 4]);
        cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
        cr_expect_eq(mode_of("copy.db"), modes[i % 4], "%o", mode_of("copy.db"));
        cr_expect_eq(while_written, 010600, "%o", while_written);
    }
    umask(077);
}

Test(backup_target, of_another_owner_is_his_or_for_nobody_else)
{
    struct stat status;

    if (geteuid() != 0)
        cr_skip_test("only root gives files away");
    cr_assert_eq(chown("a.db", 1234, 2345), 0);
    cr_assert_eq(chmod("a.db", 0640), 0);
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_assert_eq(stat("copy.db", &status), 0);
    cr_expect_eq(status.st_uid, 1234);
    cr_expect_eq(status.st_gid, 2345);
    cr_expect_eq(mode_of("copy.db"), 0640);
    /* As one who may read it, and may not give it back. */
    cr_assert_eq(chmod("a.db", 0666), 0);
    cr_assert_eq(chmod(".", 0777), 0);
    cr_assert_eq(setegid(3456), 0);
    cr_assert_eq(seteuid(3456), 0);
    options.replace = 0;
    cr_assert_eq(backup("mine.db"), LIDO_OK, "%s", err.text);
    cr_assert_eq(stat("mine.db", &status), 0);
    cr_expect_eq(status.st_uid, 3456);
    cr_expect_eq(mode_of("mine.db"), 0600);
    cr_assert_eq(seteuid(0), 0);
}

/* Files made in the folder get its group, who are others than those of the database. */
Test(backup_target, in_a_folder_of_another_group_is_of_the_databases_group)
{
    struct stat source, status;

    if (geteuid() != 0)
        cr_skip_test("only root gives files away");
    cr_assert_eq(chmod("a.db", 0640), 0);
    cr_assert_eq(stat("a.db", &source), 0);
    cr_assert_eq(chown(".", (uid_t)-1, 2345), 0);
    cr_assert_eq(chmod(".", 02770), 0);
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_assert_eq(stat("copy.db", &status), 0);
    cr_expect_eq(status.st_gid, source.st_gid);
    cr_expect_eq(mode_of("copy.db"), 0640);
}

/* Such a folder cannot be opened to be synced. */
Test(backup_target, may_be_in_a_folder_that_is_written_and_not_read)
{
    const bool is_root = geteuid() == 0;

    cr_assert_eq(chmod("a.db", 0666), 0);
    cr_assert_eq(mkdir("in", 0700), 0);
    cr_assert_eq(chmod(".", 0777), 0);
    cr_assert(!is_root || chown("in", 3456, (gid_t)-1) == 0);
    cr_assert(!is_root || seteuid(3456) == 0);
    cr_assert_eq(chmod("in", 0300), 0);
    cr_expect_eq(backup("in/copy.db"), LIDO_OK, "%s", err.text);
    options.stamp = options.keep = 1;
    cr_expect_eq(backup("in/s.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.not_removed, 1, "what else there is cannot be known");
    cr_assert(!is_root || seteuid(0) == 0);
    cr_expect_eq(unlink("in/copy.db"), 0);
    cr_expect_eq(unlink(result.path), 0);
}

/* --- stamps --------------------------------------------------------------------------- */

/* The end of the path made: "-20260101-1200" and the like. */
static const char *stamp_of(const char *name)
{
    const char *found = strstr(result.path, name);

    cr_assert_not_null(found, "%s", result.path);
    return found + strlen(name);
}

/* The end of a name with the stamp of now, or of a minute later. */
static void write_stamp(char out[32], int minutes)
{
    const time_t at = time(NULL) + 60 * (time_t)minutes;
    struct tm parts;

    strftime(out, 32, ".%Y%m%d-%H%M", gmtime_r(&at, &parts));
}

/* SQLite would take such a log for the new file's, with what was committed to another. */
Test(backup_target, with_a_stamp_has_no_name_with_a_log_beside_it)
{
    options.stamp = 1;
    for (int i = 0; i < 2; i++) {
        char name[64], stamp[32];

        write_stamp(stamp, i);
        snprintf(name, sizeof name, "s.db%s-wal", stamp);
        write_file(name, "of another");
    }
    cr_assert_eq(backup("s.db"), LIDO_OK, "%s", err.text);
    cr_expect_str_eq(stamp_of("/s.db") + strlen(".YYYYmmdd-HHMM"), "-2");
}

Test(backup_target, with_a_stamp_is_new_each_time)
{
    const char *stamp;

    options.stamp = 1;
    for (int i = 0; i < 12; i++) {
        cr_assert_eq(backup("s.db"), LIDO_OK, "%s", err.text);
        stamp = stamp_of("/s.db");
        cr_expect_eq(access(result.path, F_OK), 0, "%s", result.path);
        cr_expect_eq(stamp[0], '.');
        cr_expect_eq(strspn(stamp + 1, "0123456789"), 8, "%s", stamp);
        cr_expect_eq(stamp[9], '-');
        cr_expect_eq(strspn(stamp + 10, "0123456789"), 4, "%s", stamp);
    }
    cr_expect_eq(count_files(), 13);
}

Test(backup_target, keeps_the_youngest_of_its_name_and_nothing_else_is_touched)
{
    static const char *const old[] = { "k.db.20240101-0000",   "k.db.20240101-0000-2",
                                       "k.db.20240101-0000-9", "k.db.20240101-0000-10",
                                       "k.db.20240102-0000",   "k.db.20231231-2359" };
    static const char *const others[] = {
        "k.db",
        "k.db.20240101",
        "k.db.20240101-00000",
        "k.db.20240101-0000-1",
        "k.db.20240101-0000-02",
        "k.db.20240101-0000-",
        "k.db.20240101-0000-2x",
        "k.db.20240101-0000.gz",
        "k.db.20240101-0000-2000",
        "k.db.2024010a-0000",
        "xk.db.20240101-0000",
        "k.dbx20240101-0000",
        "K.db.20240101-0000",
        "kk.db.20240101-0000",
    };
    const int count = (int)(sizeof others / sizeof others[0]);
    char target[16];

    for (int i = 0; i < 6; i++)
        write_file(old[i], "old");
    for (int i = 0; i < count; i++)
        write_file(others[i], "other");
    cr_assert_eq(symlink("k.db", "k.db.20200101-0000"), 0);
    cr_assert_eq(mkdir("k.db.20200101-0001", 0700), 0);
    options.stamp = 1;
    options.keep = 3;
    cr_assert_eq(backup("k.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.removed, 4);
    cr_expect_eq(result.not_removed, 0);
    cr_expect_eq(access(result.path, F_OK), 0);
    cr_expect_eq(access("k.db.20240102-0000", F_OK), 0);
    cr_expect_eq(access("k.db.20240101-0000-10", F_OK), 0, "10 is more than 9");
    for (int i = 0; i < count; i++)
        expect_text(others[i], "other");
    cr_expect_eq(access("k.db.20200101-0001", F_OK), 0);
    cr_expect_eq(readlink("k.db.20200101-0000", target, sizeof target), 4);
    cr_expect_eq(count_files(), 1 + 3 + count + 2);
}

Test(backup_target, keeps_what_it_made_also_when_the_clock_was_ahead)
{
    write_file("k.db.29990101-0000", "ahead");
    write_file("k.db.29980101-0000", "ahead");
    options.stamp = 1;
    options.keep = 1;
    cr_assert_eq(backup("k.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.removed, 2);
    cr_expect_eq(access(result.path, F_OK), 0);
}

/* A number that came free is not used again: the name says what is youngest. */
Test(backup_target, keeps_the_youngest_of_one_minute_too)
{
    char before[4096] = "", last[4096] = "";

    options.stamp = 1;
    options.keep = 2;
    for (int i = 0; i < 6; i++) {
        strcpy(before, last);
        cr_assert_eq(backup("k.db"), LIDO_OK, "%s", err.text);
        strcpy(last, result.path);
        cr_expect_eq(access(last, F_OK), 0);
        cr_expect(before[0] == '\0' || access(before, F_OK) == 0, "%d: %s", i, before);
        cr_expect_eq(count_files(), i == 0 ? 2 : 3);
    }
}

/* Of two at once with keep=1 each would remove the other's, and none would be left. */
Test(backup_target, keeps_what_another_made_meanwhile)
{
    char other[4096 + 8];

    write_file("k.db.20240101-0000", "old");
    options.stamp = 1;
    options.keep = 1;
    is_followed = 1;
    cr_assert_eq(backup("k.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.removed, 1);
    cr_expect_eq(access(result.path, F_OK), 0);
    snprintf(other, sizeof other, "%s-2", result.path);
    expect_text(other, "of another");
    is_followed = 0;
    cr_assert_eq(backup("k.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.removed, 2);
    cr_expect_eq(count_files(), 2);
}

Test(backup_target, keeps_what_seems_to_be_in_use_and_says_so)
{
    write_file("k.db.20240101-0000", "used");
    write_file("k.db.20240101-0000-wal", "log");
    write_file("k.db.20230101-0000", "old");
    options.stamp = 1;
    options.keep = 1;
    cr_assert_eq(backup("k.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(result.removed, 1);
    cr_expect_eq(result.not_removed, 1);
    expect_text("k.db.20240101-0000", "used");
}

Test(backup_target, that_fails_removes_no_older_one)
{
    write_file("k.db.20240101-0000", "old");
    job.timeout_ms = 0;
    options.stamp = 1;
    options.keep = 1;
    cr_expect_eq(backup("k.db"), LIDO_TXN_TIMEOUT);
    expect_text("k.db.20240101-0000", "old");
    cr_expect_eq(count_files(), 2);
}
