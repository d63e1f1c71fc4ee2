/* SPDX-License-Identifier: MIT */
/*
 * Who has the lock: another process is named, this one is not, and to ask costs no lock.
 */
#include "base/sync.h"
#include "base/utf8.h"
#include "housekeeping/lockers.h"
#include "housekeeping/work.h"
#include "tests/support/other_process.h"
#include "tests/support/restore_stage.h"
#include <lido/upkeep.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define SHARED_FIRST 0x40000002
#define WAL_WRITE    120
#define WAL_RECOVER  122
#define SHORT        "sqlite:///live.db?pool=queue&timeout=0.02"

static int64_t too_late_ns;
static int calls;
static sqlite3 *own; /* a connection of this process beside the pool; NULL: none */

static void end(void)
{
    sqlite3_close(own);
    own = NULL;
    tear_down();
}

TestSuite(lockers, .init = set_up_names, .fini = end, .timeout = 60);

/* A database in `mode` that another process has open, and a pool on it that waits shortly. */
static void stage(const char *mode)
{
    make("live.db", mode, 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    other_start("live.db");
    open_pool(SHORT);
}

/* For another mode. */
static void unstage(void)
{
    other_end();
    sqlite3_close(own);
    own = NULL;
    lido_pool_free(pool);
    pool = NULL;
    unlink("live.db");
    unlink("new.db");
}

static void run_own(const char *sql)
{
    if (own == NULL)
        cr_assert_eq(sqlite3_open("live.db", &own), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(own, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(own));
}

/* As it is told of a child, which has this process's name. */
static const char *other_does(const char *what)
{
    static char text[LIDO__LOCKER_SIZE];
    char name[20] = "";

    prctl(PR_GET_NAME, name);
    snprintf(text, sizeof text, "process %d (%s) %s", (int)other_pid(), name, what);
    return text;
}

static void expect_text(const char *before, const char *told, const char *after)
{
    char text[sizeof err.text];

    snprintf(text, sizeof text, "%s%s%s", before, told, after);
    cr_expect_str_eq(err.text, text);
}

static void expect_end(const char *text)
{
    const size_t length = strlen(err.text), wanted = strlen(text);

    cr_expect(length >= wanted && strcmp(err.text + length - wanted, text) == 0, "%s: %s",
              text, err.text);
}

static void expect_nobody(void)
{
    cr_expect_null(strstr(err.text, "process"), "%s", err.text);
}

static void expect_in_use(const char *what)
{
    char before[128];

    snprintf(before, sizeof before, "%s/live.db is in use: ", folder);
    expect_text(before, other_does(what),
                ", and did not end in time; nothing was restored");
}

/* --- restore --------------------------------------------------------------------------- */

/* Its time is over before SQLite's wait, and long enough to come to that. */
static void expect_end_of_job(const char *phase, const char *does)
{
    const struct lido_restore_options before = options;
    char text[64];

    lido_pool_free(pool);
    open_pool("sqlite:///live.db?pool=queue&timeout=30");
    options.check = 0;
    job.timeout_ms = 1000;
    cr_expect_eq(restore("new.db"), LIDO_TXN_TIMEOUT);
    snprintf(text, sizeof text, "not done after 1000 ms, while %s; ", phase);
    expect_text(text, other_does(does), "");
    options = before;
    job.timeout_ms = -1;
}

static void expect_writer_is_named(const char *mode, const char *begin, const char *does)
{
    stage(mode);
    cr_assert_eq(other_run(begin), SQLITE_OK);
    cr_expect_eq(restore("new.db"), SQLITE_BUSY);
    expect_text("BEGIN IMMEDIATE: database is locked; ", other_does(does), "");

    expect_end_of_job(strcmp(does, "writes it") == 0 ? "waiting" : "it began", does);
    cr_expect_eq(other_run("COMMIT"), SQLITE_OK);
    other_end();
    expect_old();
    cr_expect_eq(restore("new.db"), LIDO_OK, "%s", err.text);
}

Test(lockers, a_writer_with_a_log_is_named)
{
    expect_writer_is_named("wal", "BEGIN IMMEDIATE", "writes it");
}

Test(lockers, a_writer_with_a_rollback_journal_is_named)
{
    expect_writer_is_named("delete", "BEGIN IMMEDIATE", "writes it");
}

Test(lockers, one_that_is_alone_is_named)
{
    expect_writer_is_named("delete", "BEGIN EXCLUSIVE", "has it for itself");
}

Test(lockers, one_that_is_alone_with_a_log_is_named)
{
    expect_writer_is_named("wal", "PRAGMA locking_mode=EXCLUSIVE; BEGIN IMMEDIATE",
                           "has it for itself");
}

Test(lockers, a_reader_with_a_rollback_journal_is_named)
{
    stage("delete");
    cr_assert_eq(other_run("BEGIN; SELECT * FROM t"), SQLITE_OK);
    cr_expect_eq(restore("new.db") & 0xff, SQLITE_BUSY);
    expect_in_use("reads it");
    expect_end_of_job("restoring", "reads it");
    cr_expect_eq(other_run("SELECT * FROM t; COMMIT"), SQLITE_OK);
    other_end();
    expect_old();
}

Test(lockers, of_the_stored_file_is_named)
{
    make("live.db", "wal", 4096, 200, "old");
    make("new.db", "delete", 4096, 300, "new");
    other_start("new.db");
    open_pool(SHORT);
    cr_assert_eq(other_run("BEGIN EXCLUSIVE"), SQLITE_OK);
    job.timeout_ms = 20;
    cr_expect_eq(restore("new.db"), LIDO_TXN_TIMEOUT);
    expect_text("not done after 20 ms, while it began; ", other_does("has it for itself"),
                "");
    expect_old();
    other_end();
}

/* In the gate, it waits for the lock that another process has. */
static void *begin_in_the_gate(void *patient)
{
    struct lido_conn conn;
    int rc = lido_pool_checkout(patient, &conn, NULL, NULL);

    if (rc == LIDO_OK)
        rc = lido_txn_begin(&conn, LIDO_IMMEDIATE, NULL);
    lido_conn_checkin(&conn, NULL, NULL);
    return (void *)(intptr_t)rc;
}

Test(lockers, behind_the_one_in_the_gate_is_named_with_it)
{
    struct lido_gate_stats gate = LIDO_GATE_STATS_INIT;
    lido_pool *patient;
    pthread_t thread;
    void *ended;

    stage("wal");
    cr_assert_eq(
        lido_pool_open(&patient, "sqlite:///live.db?pool=queue&timeout=50", NULL, &err),
        LIDO_OK, "%s", err.text);
    cr_assert_eq(other_run("BEGIN IMMEDIATE"), SQLITE_OK);
    cr_assert_eq(pthread_create(&thread, NULL, begin_in_the_gate, patient), 0);
    while (!gate.is_held) {
        cr_assert_eq(lido_gate_stats(patient, &gate, &err), LIDO_OK);
        sched_yield();
    }
    cr_expect_eq(restore("new.db"), SQLITE_BUSY);
    cr_expect_not_null(strstr(err.text, "for the write gate of the file; held by thread"),
                       "%s", err.text);
    expect_end(other_does("writes it"));
    cr_expect_eq(other_run("COMMIT"), SQLITE_OK);
    cr_assert_eq(pthread_join(thread, &ended), 0);
    cr_expect_eq((intptr_t)ended, LIDO_OK);
    lido_pool_free(patient);
    expect_old();
    other_end();
}

/* --- who is not named ------------------------------------------------------------------ */

Test(lockers, a_writer_of_this_process_is_none_of_another)
{
    static const char *const modes[] = { "wal", "delete" };

    for (int i = 0; i < 2; i++) {
        stage(modes[i]);
        cr_assert_eq(other_run("SELECT * FROM t"), SQLITE_OK); /* it has the file open */
        run_own("BEGIN IMMEDIATE");
        cr_expect_eq(restore("new.db"), SQLITE_BUSY);
        cr_expect_str_eq(err.text, "BEGIN IMMEDIATE: database is locked", "%s", modes[i]);
        run_own("COMMIT");
        expect_old();
        unstage();
    }
}

/* It may stay while another begins to write: what is waited for is the writer, here. */
Test(lockers, a_reader_is_not_named_for_a_begin)
{
    stage("delete");
    cr_assert_eq(other_run("BEGIN; SELECT * FROM t"), SQLITE_OK);
    run_own("BEGIN IMMEDIATE");
    cr_expect_eq(restore("new.db"), SQLITE_BUSY);
    cr_expect_str_eq(err.text, "BEGIN IMMEDIATE: database is locked");
    other_end();
}

Test(lockers, a_lease_that_reads_is_told_of_with_its_label)
{
    struct lido_checkout_options checkout = LIDO_CHECKOUT_OPTIONS_INIT;
    struct lido_conn reader;

    stage("delete");
    checkout.label = "monthly report";
    cr_assert_eq(lido_pool_checkout(pool, &reader, &checkout, &err), LIDO_OK);
    cr_assert_eq(
        sqlite3_exec(lido_conn_sqlite(&reader), "BEGIN; SELECT * FROM t", NULL, NULL, NULL),
        SQLITE_OK);
    cr_expect_eq(restore("new.db") & 0xff, SQLITE_BUSY);
    expect_nobody();
    cr_expect_not_null(strstr(err.text, "live.db is in use: another connection reads"),
                       "%s", err.text);
    cr_expect_not_null(strstr(err.text, " (monthly report) has one for "), "%s", err.text);
    expect_end(" ms; nothing was restored");

    cr_assert_eq(other_run("BEGIN; SELECT * FROM t"), SQLITE_OK);
    cr_expect_eq(restore("new.db") & 0xff, SQLITE_BUSY);
    expect_in_use("reads it");

    lido_conn_checkin(&reader, NULL, NULL);
    cr_expect_eq(other_run("COMMIT"), SQLITE_OK);
    expect_old();
    other_end();
}

Test(lockers, a_reader_outside_of_the_pool_is_told_of_as_before)
{
    char text[sizeof err.text];

    stage("delete");
    run_own("BEGIN; SELECT * FROM t");
    cr_expect_eq(restore("new.db") & 0xff, SQLITE_BUSY);
    snprintf(text, sizeof text,
             "%s/live.db is in use: another connection reads or writes it, and did not end "
             "in time; nothing was restored",
             folder);
    cr_expect_str_eq(err.text, text);
    other_end();
}

/* --- what stays ------------------------------------------------------------------------ */

/* A descriptor of the file that is closed here would drop them. */
Test(lockers, locks_of_this_process_stand_after_it_was_asked)
{
    static const char *const modes[] = { "wal", "delete" };
    char holder[LIDO__LOCKER_SIZE];

    for (int i = 0; i < 2; i++) {
        stage(modes[i]);
        run_own("BEGIN IMMEDIATE; UPDATE t SET n = n + 1");
        cr_assert_eq(other_run("BEGIN IMMEDIATE"), SQLITE_BUSY);
        for (int use = LIDO__USE_READ; use <= LIDO__USE_COMMIT; use *= 2)
            cr_expect_not(
                lido__lock_holder(own, (enum lido__use)use, holder, sizeof holder) &&
                    strstr(holder, "reads") == NULL,
                "%s", holder);
        cr_expect_eq(restore("new.db"), SQLITE_BUSY);
        expect_nobody();
        cr_expect_eq(other_run("BEGIN IMMEDIATE"), SQLITE_BUSY, "%s", modes[i]);
        run_own("COMMIT");
        cr_expect_eq(other_run("BEGIN IMMEDIATE; ROLLBACK"), SQLITE_OK);
        unstage();
    }
}

/* --- other jobs ------------------------------------------------------------------------ */

Test(lockers, of_upkeep_is_named)
{
    stage("wal");
    cr_assert_eq(other_run("BEGIN IMMEDIATE"), SQLITE_OK);
    cr_expect_eq(lido_vacuum(lido_at_pool(pool), NULL, NULL, &err), SQLITE_BUSY);
    expect_end(other_does("writes it"));
    cr_expect_eq(lido_optimize(lido_at_pool(pool), LIDO_OPTIMIZE_ALL, NULL, &err),
                 SQLITE_BUSY);
    expect_text("BEGIN IMMEDIATE: database is locked; ", other_does("writes it"), "");
    cr_expect_eq(lido_vacuum(lido_at_pool(pool), NULL, NULL, NULL), SQLITE_BUSY);
    cr_expect_eq(lido_restore(lido_at_pool(pool), "new.db", NULL, NULL), SQLITE_BUSY);
    other_end();
}

Test(lockers, of_a_commit_is_named)
{
    stage("delete");
    cr_assert_eq(other_run("BEGIN; SELECT * FROM t"), SQLITE_OK);
    cr_expect_eq(lido_optimize(lido_at_pool(pool), LIDO_OPTIMIZE_ALL, NULL, &err),
                 SQLITE_BUSY);
    expect_end(other_does("reads it"));
    other_end();
}

/* Told first so long that the next look is told too, and then longer than the job may take. */
static int take_too_long(void *ctx, const struct lido_progress *now,
                         struct lido_error *story)
{
    const int64_t until_ns =
        calls == 0 ? lido__wait_ns(NULL) + 60 * LIDO_NS_PER_MS : too_late_ns;

    (void)ctx, (void)story;
    if (strcmp(now->phase, "analysing") != 0)
        return LIDO_OK;
    calls++;
    while (lido__wait_ns(NULL) < until_ns)
        continue;
    return LIDO_OK;
}

/* It reads all the time, and nobody has come to wait for it. */
Test(lockers, a_reader_is_not_named_for_a_job_whose_time_is_over)
{
    struct lido_upkeep_options upkeep = LIDO_UPKEEP_OPTIONS_INIT;

    make("live.db", "delete", 4096, 3000, "old");
    make("new.db", "delete", 4096, 300, "new");
    other_start("live.db");
    run_own("CREATE INDEX by_n ON t (n, owner)");
    open_pool(SHORT);
    cr_assert_eq(other_run("BEGIN; SELECT * FROM t"), SQLITE_OK);
    upkeep.job = &job;
    upkeep.analysis_limit = 0;
    job.timeout_ms = 1000;
    job.progress = take_too_long;
    too_late_ns = lido__wait_ns(NULL) + 1100 * LIDO_NS_PER_MS;
    cr_expect_eq(lido_optimize(lido_at_pool(pool), LIDO_OPTIMIZE_ALL, &upkeep, &err),
                 LIDO_TXN_TIMEOUT);
    cr_expect_eq(calls, 2, "it was in the middle of its work");
    cr_expect_str_eq(err.text, "not done after 1000 ms, while analysing");
    other_end();
}

/* Of a call on a handle its state tells what was refused. */
Test(lockers, a_reader_is_named_for_a_commit_alone)
{
    struct lido__work work;
    sqlite3 *second;
    int rc;

    stage("delete");
    cr_assert_eq(lido__work_begin(&work, NULL, &err), LIDO_OK);
    cr_assert_eq(other_run("BEGIN; SELECT * FROM t"), SQLITE_OK);
    run_own("BEGIN; UPDATE t SET n = n + 1");
    rc = sqlite3_exec(own, "COMMIT", NULL, NULL, NULL);
    cr_expect_eq(lido__work_fail(&work, own, rc, "writing", &err), SQLITE_BUSY);
    expect_text("writing: database is locked; ", other_does("reads it"), "");
    run_own("ROLLBACK");
    cr_assert_eq(sqlite3_open("live.db", &second), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(second, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    rc = sqlite3_exec(own, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    cr_expect_eq(lido__work_fail(&work, own, rc, "beginning", &err), SQLITE_BUSY);
    cr_expect_str_eq(err.text, "beginning: database is locked");
    sqlite3_close(second);
    other_end();
}

/* --- locks that SQLite does not take ---------------------------------------------------- */

struct locker {
    pid_t pid;
    int end; /* it lives as long as this is open */
};

/* A process of this name with a lock of this kind on a byte of the file. */
static struct locker lock_byte(const char *path, off_t byte, int command, const char *name)
{
    struct locker locker;
    int ready[2], end[2];
    char letter = 0;

    cr_assert_eq(pipe(ready), 0);
    cr_assert_eq(pipe(end), 0);
    locker.pid = fork();
    if (locker.pid == 0) {
        struct flock lock = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
        };
        const int fd = open(path, O_RDWR);

        close(end[1]);
        prctl(PR_SET_NAME, name);
        if (fcntl(fd, command, &lock) == 0 && write(ready[1], &letter, 1) == 1)
            _exit((int)read(end[0], &letter, 1));
        _exit(1);
    }
    close(ready[1]);
    close(end[0]);
    locker.end = end[1];
    cr_assert_eq(read(ready[0], &letter, 1), 1);
    close(ready[0]);
    return locker;
}

static void end_locker(struct locker locker)
{
    int status;

    close(locker.end);
    cr_assert_eq(waitpid(locker.pid, &status, 0), locker.pid);
}

static const char *holder_of(enum lido__use use)
{
    static char holder[LIDO__LOCKER_SIZE];

    strcpy(holder, "what was here");
    cr_expect_eq(lido__lock_holder(own, use, holder, sizeof holder), holder[0] != '\0');
    return holder;
}

Test(lockers, a_log_is_recovered_or_written_by_the_lock)
{
    struct locker locker;
    char text[LIDO__LOCKER_SIZE];

    make("live.db", "wal", 4096, 200, "old");
    run_own("SELECT * FROM t");
    locker = lock_byte("live.db-shm", WAL_RECOVER, F_SETLK, "one");
    snprintf(text, sizeof text, "process %d (one) recovers it", (int)locker.pid);
    cr_expect_str_eq(holder_of(LIDO__USE_READ), text);
    end_locker(locker);
    locker = lock_byte("live.db-shm", WAL_WRITE, F_SETLK, "one");
    snprintf(text, sizeof text, "process %d (one) writes it", (int)locker.pid);
    cr_expect_str_eq(holder_of(LIDO__USE_WRITE), text);
    cr_expect_str_eq(holder_of(LIDO__USE_READ), "", "a writer is in no reader's way");
    end_locker(locker);
    cr_expect_str_eq(holder_of(LIDO__USE_COMMIT), "");
}

Test(lockers, a_lock_of_an_open_file_has_no_number)
{
    struct locker locker;

    make("live.db", "delete", 4096, 200, "old");
    run_own("SELECT * FROM t");
    locker = lock_byte("live.db", SHARED_FIRST, F_OFD_SETLK, "one");
    cr_expect_str_eq(holder_of(LIDO__USE_READ), "another process has it for itself");
    end_locker(locker);
}

Test(lockers, a_name_is_one_line_of_plain_characters)
{
    struct locker locker;
    char text[LIDO__LOCKER_SIZE];

    make("live.db", "delete", 4096, 200, "old");
    run_own("SELECT * FROM t");
    locker = lock_byte("live.db", SHARED_FIRST, F_SETLK, "a\033[\xff");
    snprintf(text, sizeof text, "process %d (a?[?) has it for itself", (int)locker.pid);
    cr_expect_str_eq(holder_of(LIDO__USE_READ), text);
    end_locker(locker);
}

Test(lockers, what_is_no_file_has_none)
{
    char holder[LIDO__LOCKER_SIZE] = "what was here";

    cr_expect_not(lido__lock_holder(NULL, LIDO__USE_COMMIT, holder, sizeof holder));
    cr_expect_str_eq(holder, "");
    cr_assert_eq(sqlite3_open(":memory:", &own), SQLITE_OK);
    cr_expect_str_eq(holder_of(LIDO__USE_COMMIT), "");
}

/* --- its place in a text ---------------------------------------------------------------- */

Test(lockers, a_long_text_is_cut_for_it)
{
    struct locker locker;
    char told[LIDO__LOCKER_SIZE];

    make("live.db", "delete", 4096, 200, "old");
    run_own("SELECT * FROM t");
    locker = lock_byte("live.db", SHARED_FIRST, F_SETLK, "one");
    snprintf(told, sizeof told, "; process %d (one) has it for itself", (int)locker.pid);
    for (int shift = 0; shift < 2; shift++) {
        memset(&err, 0, sizeof err);
        err.sys_errno = 5;
        if (shift == 1)
            strcat(err.text, "x");
        while (strlen(err.text) + 2 < sizeof err.text)
            strcat(err.text, "ä");
        cr_expect_eq(lido__lock_tell(own, LIDO__USE_READ, SQLITE_BUSY, &err), SQLITE_BUSY);
        expect_end(told);
        cr_expect(lido__utf8_is_valid(err.text, strlen(err.text)), "%s", err.text);
        cr_expect_geq(strlen(err.text), sizeof err.text - 2);
        cr_expect_eq(err.sys_errno, 5);
    }
    end_locker(locker);
}

Test(lockers, only_a_wait_for_a_lock_is_told_of)
{
    static const int codes[] = { SQLITE_OK, SQLITE_IOERR, LIDO_POOL_TIMEOUT, LIDO_CANCELLED,
                                 LIDO_SHARED };
    struct locker locker;

    make("live.db", "delete", 4096, 200, "old");
    run_own("SELECT * FROM t");
    locker = lock_byte("live.db", SHARED_FIRST, F_SETLK, "one");
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        strcpy(err.text, "a text");
        cr_expect_eq(lido__lock_tell(own, LIDO__USE_READ, codes[i], &err), codes[i]);
        cr_expect_str_eq(err.text, "a text");
        cr_expect_eq(lido__lock_tell(own, LIDO__USE_READ, codes[i], NULL), codes[i]);
    }
    cr_expect_eq(lido__lock_tell(own, LIDO__USE_READ, SQLITE_BUSY_RECOVERY, NULL),
                 SQLITE_BUSY_RECOVERY);
    end_locker(locker);
}
