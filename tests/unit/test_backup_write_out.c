/* SPDX-License-Identifier: MIT */
/*
 * How a copy goes to the disk while it is made: in pieces, with little on its way at a time,
 * and a piece that could not be written ends the backup.
 *
 * sync_file_range() is the test's own, which notes what was begun and what was waited for.
 */
#include "housekeeping/write_out.h"
#include "tests/support/backup_stage.h"

#include <errno.h>
#include <fcntl.h>

static off_t begun, written; /* from the start of the file, by what was asked for */
static int calls, failing;   /* the first call fails with this errno; 0: none does */
static bool others_write;
static off_t most_on_its_way;

static void set_up_big(void)
{
    set_up();
    cr_assert_eq(lido_pool_exec(pool,
                                "CREATE TABLE big (b BLOB);"
                                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 "
                                "FROM n LIMIT 80) INSERT INTO big SELECT zeroblob(500000) "
                                "FROM n",
                                &err),
                 LIDO_OK, "%s", err.text);
    begun = written = 0;
    calls = failing = 0;
    most_on_its_way = 0;
}

TestSuite(backup_write_out, .init = set_up_big, .fini = tear_down, .timeout = 60);

/* As a commit does, but surely later than the last one. */
static void touch_log(void)
{
    const struct timespec now[2] = { { 1000000 + calls, 0 }, { 1000000 + calls, 0 } };

    cr_assert_eq(utimensat(AT_FDCWD, "a.db-wal", now, 0), 0);
}

int __real_sync_file_range(int file, off_t start, off_t length, unsigned flags);
int __wrap_sync_file_range(int file, off_t start, off_t length, unsigned flags);

int __wrap_sync_file_range(int file, off_t start, off_t length, unsigned flags)
{
    calls++;
    if (failing != 0) {
        errno = failing;
        failing = failing == EINTR ? 0 : failing;
        return -1;
    }
    if (flags == SYNC_FILE_RANGE_WRITE) {
        cr_expect_eq(start, begun, "a piece was left out");
        begun = start + length;
        if (begun - written > most_on_its_way)
            most_on_its_way = begun - written;
        if (others_write)
            touch_log();
        cr_expect_leq(begun - written, 8 << 20, "too much is on its way");
    } else {
        cr_expect_eq(flags, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                SYNC_FILE_RANGE_WAIT_AFTER);
        cr_expect_eq(start, written);
        written = start + length;
    }
    return __real_sync_file_range(file, start, length, flags);
}

/* Or who writes the database waits behind all of it when it is synced. */
Test(backup_write_out, goes_on_while_it_is_copied)
{
    options.step_pages = 100;
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    expect_whole("copy.db");
    cr_expect_gt(begun, (off_t)result.bytes - (4 << 20));
    cr_expect_geq(written, begun - (4 << 20));
}

/* A checkpoint of theirs waits behind what is on its way. */
Test(backup_write_out, has_less_on_its_way_while_others_write)
{
    options.step_pages = 1000; /* in each of them something is written out */
    options.replace = 1;
    cr_assert_eq(
        lido_pool_exec(pool, "PRAGMA journal_mode=WAL; UPDATE total SET v = 0", &err),
        LIDO_OK, "%s", err.text);
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(most_on_its_way, 8 << 20, "nobody writes");
    begun = written = most_on_its_way = 0;
    others_write = true;
    touch_log();
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    expect_whole("copy.db");
    cr_expect_gt(most_on_its_way, 0);
    cr_expect_leq(most_on_its_way, (4 << 20) + (1 << 19), "the first was large");
    cr_expect_gt(calls, 80, "%d", calls);
}

/* The sync at the end may not tell of it again. */
Test(backup_write_out, failure_of_it_ends_the_backup)
{
    failing = EIO;
    cr_expect_eq(backup("copy.db"), SQLITE_IOERR_WRITE);
    cr_expect_eq(err.code, SQLITE_IOERR_WRITE);
    cr_expect_eq(err.sys_errno, EIO);
    expect_nothing("copy.db");
    failing = ENOSPC;
    cr_expect_eq(backup("copy.db"), SQLITE_FULL);
    cr_expect_eq(err.sys_errno, ENOSPC);
    expect_nothing("copy.db");
}

Test(backup_write_out, goes_on_where_a_signal_came)
{
    failing = EINTR;
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(failing, 0);
    expect_whole("copy.db");
}

/* Its number may be another file's by then. */
Test(backup_write_out, closes_its_file_once)
{
    struct lido__write_out out = LIDO__WRITE_OUT_INIT;
    int other;

    lido__write_out_open(&out, "a.db", "a.db");
    cr_assert_geq(out.file, 0);
    cr_assert_geq(out.log, 0);
    lido__write_out_close(&out);
    other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    lido__write_out_close(&out);
    cr_expect_neq(fcntl(other, F_GETFD), -1);
    close(other);
}

Test(backup_write_out, goes_without_where_there_is_no_such_call)
{
    failing = ENOSYS;
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    expect_whole("copy.db");
    cr_expect_eq(calls, 1, "%d calls", calls);
}
