/* SPDX-License-Identifier: MIT */
/*
 * What jobs are given in structs: each with a size that it has not, each number out of its
 * range, and at the ends of it, where the job is done as with any other.
 */
#include "tests/support/refused.h"

#include <limits.h>

TestSuite(housekeeping_numbers, .init = refused_set_up, .fini = refused_tear_down,
          .timeout = 100);

static int stop(void *ctx, const struct lido_table_info *table, struct lido_error *why)
{
    (void)ctx, (void)table, (void)why;
    return SQLITE_DONE;
}

/* --- structs of another size, numbers that mean nothing -------------------------------- */

/* What every job is given; a row changes one number of it. */
struct given {
    struct lido_job job;
    struct lido_check_options check;
    struct lido_check checked;
    struct lido_backup_options backup;
    struct lido_backup backed_up;
    struct lido_restore_options restore;
    struct lido_dump_options dump;
    struct lido_load_options load;
    struct lido_load_result loaded;
    struct lido_table_backup_options table;
    struct lido_table_rename_options rename;
    struct lido_table_copy_options copy;
    struct lido_table_result carried;
    struct lido_upkeep_options upkeep;
    struct lido_vacuum_report vacuum;
    struct lido_checkpoint_report checkpoint;
    struct lido_sizes_total total;
    int kinds, what, mode;
    int64_t pages;
};
static struct given given;

static void give_defaults(void)
{
    given = (struct given){ LIDO_JOB_INIT,
                            LIDO_CHECK_OPTIONS_INIT,
                            LIDO_CHECK_INIT,
                            LIDO_BACKUP_OPTIONS_INIT,
                            LIDO_BACKUP_INIT,
                            LIDO_RESTORE_OPTIONS_INIT,
                            LIDO_DUMP_OPTIONS_INIT,
                            LIDO_LOAD_OPTIONS_INIT,
                            LIDO_LOAD_RESULT_INIT,
                            LIDO_TABLE_BACKUP_OPTIONS_INIT,
                            LIDO_TABLE_RENAME_OPTIONS_INIT,
                            LIDO_TABLE_COPY_OPTIONS_INIT,
                            LIDO_TABLE_RESULT_INIT,
                            LIDO_UPKEEP_OPTIONS_INIT,
                            LIDO_VACUUM_REPORT_INIT,
                            LIDO_CHECKPOINT_REPORT_INIT,
                            LIDO_SIZES_TOTAL_INIT,
                            0,
                            LIDO_OPTIMIZE_ALL,
                            SQLITE_CHECKPOINT_TRUNCATE,
                            -1 };
    given.check.job = given.backup.job = given.restore.job = given.dump.job = &given.job;
    given.load.job = given.table.job = given.rename.job = given.copy.job = &given.job;
    given.upkeep.job = &given.job;
}

static int skip_line(void *ctx, const char *text, size_t length, struct lido_error *why)
{
    (void)ctx, (void)text, (void)length, (void)why;
    return LIDO_OK;
}

#define RUN(name, call)                                                                    \
    static int run_##name(struct lido_error *why)                                          \
    {                                                                                      \
        const struct lido_database at = lido_at_path("a.db");                              \
                                                                                           \
        return call;                                                                       \
    }
RUN(check, lido_check(at, &given.check, &given.checked, why))
RUN(backup, lido_backup(at, "made.db", &given.backup, &given.backed_up, why))
RUN(restore, lido_restore(at, "b.db", &given.restore, why))
RUN(dump, lido_dump(at, &given.dump, skip_line, NULL, why))
RUN(load, lido_load_text(at, &given.load, "CREATE TABLE l (x)", 18, &given.loaded, why))
RUN(table, lido_table_backup(at, "t", "t2", &given.table, &given.carried, why))
RUN(rename, lido_table_rename(at, "t", "t2", &given.rename, why))
RUN(copy, lido_table_copy(at, "t", lido_at_path("b.db"), &given.copy, &given.carried, why))
RUN(vacuum, lido_vacuum(at, &given.vacuum, &given.upkeep, why))
RUN(vacuum_some, lido_vacuum_some(at, given.pages, &given.vacuum, &given.upkeep, why))
RUN(optimize, lido_optimize(at, given.what, &given.upkeep, why))
RUN(checkpoint, lido_checkpoint(at, given.mode, &given.checkpoint, &given.upkeep, why))
RUN(sizes, lido_sizes(at, NULL, NULL, &given.total, &given.upkeep, why))
RUN(exists, lido_table_exists(at, NULL, "t", given.kinds, NULL, why))
RUN(list, lido_table_list(at, NULL, given.kinds, stop, NULL, why))

struct number {
    const char *name;
    int (*run)(struct lido_error *why);
    size_t where, width;
    int64_t value;
    int code; /* LIDO_OK: it is a number like any other */
};
#define NUMBER(job, member, value, code)                                                   \
    {                                                                                      \
#job ": " #member " " #value, run_##job, offsetof(struct given, member),           \
            sizeof given.member, (value), (code)                                           \
    }
#define SIZES(job, member)                                                                 \
    NUMBER(job, member.size, 0, SQLITE_MISUSE),                                            \
        NUMBER(job, member.size, sizeof given.member - 8, SQLITE_MISUSE),                  \
        NUMBER(job, member.size, sizeof given.member + 8, SQLITE_MISUSE),                  \
        NUMBER(job, member.size, -1, SQLITE_MISUSE)
#define JOB_SIZES(run)                                                                     \
    NUMBER(run, job.size, 0, SQLITE_MISUSE),                                               \
        NUMBER(run, job.size, sizeof given.job + 8, SQLITE_MISUSE),                        \
        NUMBER(run, job.timeout_ms, -2, LIDO_BAD_OPTION),                                  \
        NUMBER(run, job.timeout_ms, INT64_MIN, LIDO_BAD_OPTION),                           \
        NUMBER(run, job.timeout_ms, 0, LIDO_TXN_TIMEOUT),                                  \
        NUMBER(run, job.timeout_ms, INT64_MAX, LIDO_OK)
#define UPKEEP(run)                                                                        \
    SIZES(run, upkeep), JOB_SIZES(run),                                                    \
        NUMBER(run, upkeep.lock_timeout_ms, -2, LIDO_BAD_OPTION),                          \
        NUMBER(run, upkeep.lock_timeout_ms, INT64_MIN, LIDO_BAD_OPTION),                   \
        NUMBER(run, upkeep.lock_timeout_ms, INT64_MAX, LIDO_OK),                           \
        NUMBER(run, upkeep.analysis_limit, -1, LIDO_BAD_OPTION),                           \
        NUMBER(run, upkeep.analysis_limit, INT_MAX, LIDO_OK)

static const struct number numbers[] = {
    SIZES(check, check),
    SIZES(check, checked),
    JOB_SIZES(check),
    NUMBER(check, check.depth, -1, LIDO_BAD_OPTION),
    NUMBER(check, check.depth, 4, LIDO_BAD_OPTION),
    NUMBER(check, check.depth, INT_MIN, LIDO_BAD_OPTION),
    NUMBER(check, check.depth, LIDO_DEPTH_FULL, LIDO_OK),
    NUMBER(check, check.max_problems, 0, LIDO_BAD_OPTION),
    NUMBER(check, check.max_problems, INT_MIN, LIDO_BAD_OPTION),
    NUMBER(check, check.max_problems, INT_MAX, LIDO_OK),
    NUMBER(check, check.lock_timeout_ms, -2, LIDO_BAD_OPTION),
    NUMBER(check, check.lock_timeout_ms, INT64_MIN, LIDO_BAD_OPTION),
    NUMBER(check, check.lock_timeout_ms, INT64_MAX, LIDO_OK),
    NUMBER(check, check.foreign_keys, INT_MIN, LIDO_OK),
    SIZES(backup, backup),
    SIZES(backup, backed_up),
    JOB_SIZES(backup),
    NUMBER(backup, backup.method, -1, LIDO_BAD_OPTION),
    NUMBER(backup, backup.method, 3, LIDO_BAD_OPTION),
    NUMBER(backup, backup.step_pages, 0, LIDO_BAD_OPTION),
    NUMBER(backup, backup.step_pages, INT_MIN, LIDO_BAD_OPTION),
    NUMBER(backup, backup.step_pages, INT_MAX, LIDO_OK),
    NUMBER(backup, backup.rate, -1, LIDO_BAD_OPTION),
    NUMBER(backup, backup.rate, INT64_MIN, LIDO_BAD_OPTION),
    NUMBER(backup, backup.rate, INT64_MAX, LIDO_OK),
    NUMBER(backup, backup.keep, 0, LIDO_BAD_OPTION),
    NUMBER(backup, backup.keep, -2, LIDO_BAD_OPTION),
    NUMBER(backup, backup.keep, 1, LIDO_BAD_OPTION), /* without a stamp */
    NUMBER(backup, backup.hash, INT_MIN, LIDO_OK),
    SIZES(restore, restore),
    JOB_SIZES(restore),
    NUMBER(restore, restore.step_pages, 0, LIDO_BAD_OPTION),
    NUMBER(restore, restore.step_pages, INT_MIN, LIDO_BAD_OPTION),
    NUMBER(restore, restore.step_pages, INT_MAX, LIDO_OK),
    SIZES(dump, dump),
    JOB_SIZES(dump),
    NUMBER(dump, dump.has_schema, INT_MIN, LIDO_OK),
    SIZES(load, load),
    SIZES(load, loaded),
    JOB_SIZES(load),
    SIZES(table, table),
    SIZES(table, carried),
    JOB_SIZES(table),
    SIZES(rename, rename),
    JOB_SIZES(rename),
    SIZES(copy, copy),
    SIZES(copy, carried),
    JOB_SIZES(copy),
    NUMBER(copy, copy.mode, -1, LIDO_BAD_OPTION),
    NUMBER(copy, copy.mode, 3, LIDO_BAD_OPTION),
    NUMBER(copy, copy.conflict, -1, LIDO_BAD_OPTION),
    NUMBER(copy, copy.conflict, 3, LIDO_BAD_OPTION),
    NUMBER(copy, copy.value_count, 1, LIDO_BAD_OPTION),
    NUMBER(copy, copy.value_count, -1, LIDO_BAD_OPTION),
    NUMBER(copy, copy.column_count, 1, LIDO_BAD_OPTION),
    NUMBER(copy, copy.column_count, -1, LIDO_BAD_OPTION),
    UPKEEP(vacuum),
    SIZES(vacuum, vacuum),
    UPKEEP(vacuum_some),
    SIZES(vacuum_some, vacuum),
    NUMBER(vacuum_some, pages, 0, LIDO_BAD_OPTION),
    NUMBER(vacuum_some, pages, -2, LIDO_BAD_OPTION),
    NUMBER(vacuum_some, pages, INT64_MIN, LIDO_BAD_OPTION),
    NUMBER(vacuum_some, pages, INT64_MAX, LIDO_OK),
    UPKEEP(optimize),
    NUMBER(optimize, what, -1, SQLITE_MISUSE),
    NUMBER(optimize, what, 2, SQLITE_MISUSE),
    UPKEEP(checkpoint),
    SIZES(checkpoint, checkpoint),
    NUMBER(checkpoint, mode, -1, SQLITE_MISUSE),
    NUMBER(checkpoint, mode, 4, SQLITE_MISUSE),
    UPKEEP(sizes),
    SIZES(sizes, total),
    NUMBER(exists, kinds, -1, LIDO_BAD_OPTION),
    NUMBER(exists, kinds, LIDO_TABLE_ALL + 1, LIDO_BAD_OPTION),
    NUMBER(exists, kinds, INT_MIN, LIDO_BAD_OPTION),
    NUMBER(list, kinds, -1, LIDO_BAD_OPTION),
    NUMBER(list, kinds, LIDO_TABLE_ALL + 1, LIDO_BAD_OPTION),
};

static int run_with(const struct number *number, struct lido_error *why)
{
    const int narrow = (int)number->value;

    give_defaults();
    memcpy((char *)&given + number->where,
           number->width == sizeof narrow ? (const void *)&narrow : &number->value,
           number->width);
    return number->run(why);
}

Test(housekeeping_numbers, each_has_its_answer)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const struct number *number = &numbers[i];
        const int rc = run_with(number, &err);

        if (number->code == LIDO_OK)
            expect_done(number->name, rc);
        else
            expect_refused(number->name, "", rc, run_with(number, NULL), number->code);
    }
}

/* --- numbers that a function of the host's answers ---------------------------------------- */

static int calls_left;

static int answer_number(void *code, const struct lido_progress *now,
                         struct lido_error *why)
{
    (void)now, (void)why;
    return --calls_left == 0 ? *(int *)code : LIDO_OK;
}

/* Answers it at the nth call; false: there were fewer. */
static bool expect_ended_by(const char *name, int (*run)(struct lido_error *why), int code,
                            int nth, bool may_be_late)
{
    int rc;

    give_defaults();
    given.job.progress = answer_number;
    given.job.progress_ctx = &code;
    calls_left = nth;
    rc = run(&err);
    if (calls_left > 0 || (rc == LIDO_OK && may_be_late)) {
        expect_done(name, rc);
        return calls_left <= 0;
    }
    expect_refused(name, lido_status_name(code), rc, code, code);
    return true;
}

Test(housekeeping_numbers, of_a_progress_function_are_the_answer)
{
    static const int codes[] = { SQLITE_DONE,    SQLITE_ROW,
                                 SQLITE_BUSY,    SQLITE_LOCKED,
                                 SQLITE_CORRUPT, SQLITE_INTERRUPT,
                                 SQLITE_FULL,    LIDO_STALE,
                                 SQLITE_NOTADB,  -1,
                                 12345,          LIDO_NOT_FOUND };
    static const struct {
        const char *name;
        int (*run)(struct lido_error *why);
        bool may_be_late; /* told that it is done, it has changed what it was to */
    } runs[] = {
        { "check", run_check, false },      { "backup", run_backup, false },
        { "restore", run_restore, true },   { "dump", run_dump, false },
        { "load", run_load, false },        { "table backup", run_table, false },
        { "rename", run_rename, false },    { "copy", run_copy, false },
        { "vacuum", run_vacuum, true },     { "vacuum some", run_vacuum_some, true },
        { "optimize", run_optimize, true }, { "checkpoint", run_checkpoint, true },
        { "sizes", run_sizes, false },
    };

    for (size_t r = 0; r < sizeof runs / sizeof runs[0]; r++)
        for (size_t c = 0; c < sizeof codes / sizeof codes[0]; c++)
            for (int nth = 1; expect_ended_by(runs[r].name, runs[r].run, codes[c], nth,
                                              runs[r].may_be_late);
                 nth++)
                cr_assert_lt(nth, 50, "%s", runs[r].name);
}

static int answer_size(void *code, const struct lido_size *object, struct lido_error *why)
{
    (void)object, (void)why;
    return --calls_left == 0 ? *(int *)code : LIDO_OK;
}

static int answer_table(void *code, const struct lido_table_info *table,
                        struct lido_error *why)
{
    (void)table, (void)why;
    return --calls_left == 0 ? *(int *)code : LIDO_OK;
}

Test(housekeeping_numbers, of_who_is_told_are_the_answer)
{
    static int codes[] = { SQLITE_DONE, SQLITE_ROW, SQLITE_BUSY, SQLITE_INTERRUPT, -1 };
    const struct lido_database at = lido_at_path("a.db");

    for (size_t c = 0; c < sizeof codes / sizeof codes[0]; c++)
        for (int nth = 1; nth <= 2; nth++) {
            const char *name = lido_status_name(codes[c]);
            int rc;

            calls_left = nth;
            rc = lido_sizes(at, answer_size, &codes[c], NULL, NULL, &err);
            cr_expect_eq(calls_left, 0, "%s: it went on", name);
            expect_refused("sizes", name, rc, rc, codes[c]);
            calls_left = nth;
            rc = lido_table_list(at, NULL, 0, answer_table, &codes[c], &err);
            cr_expect_eq(calls_left, 0, "%s: it went on", name);
            if (codes[c] == SQLITE_DONE)
                expect_done("list", rc);
            else
                expect_refused("list", name, rc, rc, codes[c]);
        }
}
