/* SPDX-License-Identifier: MIT */
/*
 * Paths at which there is no database that the job could have: each kind of path with each
 * job, as a row of one table.  What the code is to be stands there; that nothing was made,
 * taken away or written is looked at every time.
 */
#include "tests/support/folder_listing.h"
#include "tests/support/jobs.h"
#include "tests/support/other_process.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static struct lido_error err;

static void set_up(void)
{
    jobs_set_up("delete");
}

TestSuite(housekeeping_paths, .init = set_up, .fini = jobs_tear_down, .timeout = 100);

/* --- what is at "bad.db" --------------------------------------------------------------- */

static void put(const char *bytes, size_t size)
{
    FILE *file = fopen("bad.db", "wb");

    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

static void put_some_of_a(size_t most)
{
    static char bytes[1 << 16];
    FILE *file = fopen("a.db", "rb");

    cr_assert_not_null(file);
    most = fread(bytes, 1, most < sizeof bytes ? most : sizeof bytes, file);
    fclose(file);
    put(bytes, most);
}

static void make_nothing(void)
{
}

static void make_empty(void)
{
    put("", 0);
}

static void make_cut(void)
{
    put_some_of_a(3 * 1024);
}

static void make_torn(void)
{
    put_some_of_a(50);
}

/* As an encrypted one is: any bytes, from the first on. */
static void make_random(void)
{
    char bytes[8192];
    uint64_t state = 1;

    for (size_t i = 0; i < sizeof bytes; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (char)(state >> 56);
    }
    put(bytes, sizeof bytes);
}

static void make_dangling(void)
{
    cr_assert_eq(symlink("nowhere", "bad.db"), 0);
}

static void make_loop(void)
{
    cr_assert_eq(symlink("bad.db", "bad.db"), 0);
}

static void make_pipe(void)
{
    cr_assert_eq(mkfifo("bad.db", 0600), 0);
}

static void make_folder(void)
{
    cr_assert_eq(mkdir("bad.db", 0700), 0);
}

static void make_device(void)
{
    cr_assert_eq(symlink("/dev/null", "bad.db"), 0);
}

/* --- jobs that the table of all jobs has not ------------------------------------------- */

static int is_there(struct lido_database at, struct lido_error *why)
{
    return lido_table_exists(at, NULL, "t", 0, NULL, why);
}

static int back_up_bytes(struct lido_database at, struct lido_error *why)
{
    struct lido_backup_options options = LIDO_BACKUP_OPTIONS_INIT;

    options.method = LIDO_BACKUP_COPY;
    return lido_backup(at, "made.db", &options, NULL, why);
}

static int copy_into(struct lido_database at, struct lido_error *why)
{
    return lido_table_copy(lido_at_path("b.db"), "u", at, NULL, NULL, why);
}

static int checkpoint_passive(struct lido_database at, struct lido_error *why)
{
    return lido_checkpoint(at, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL, why);
}

static int restore_from(struct lido_database at, struct lido_error *why)
{
    return at.path != NULL ? lido_restore(lido_at_path("a.db"), at.path, NULL, why) : -1;
}

static int back_up_to(struct lido_database at, struct lido_error *why)
{
    return at.path != NULL ? lido_backup(lido_at_path("a.db"), at.path, NULL, NULL, why)
                           : -1;
}

static int replace(struct lido_database at, struct lido_error *why)
{
    struct lido_backup_options options = LIDO_BACKUP_OPTIONS_INIT;

    options.replace = 1;
    return at.path != NULL ? lido_backup(lido_at_path("a.db"), at.path, &options, NULL, why)
                           : -1;
}

static const struct job_row more_jobs[] = {
    { "is one there", is_there, false, true },
    { "backup by copy", back_up_bytes, true, true },
    { "copy into", copy_into, false, false },
    { "passive checkpoint", checkpoint_passive, false, true },
    { "restore from", restore_from, false, false }, /* these three by a path alone */
    { "backup to", back_up_to, false, false },
    { "replace", replace, false, false },
};
#define N_MORE    (int)(sizeof more_jobs / sizeof more_jobs[0])
#define N_BY_PATH 3

static const struct job_row *job_number(int i)
{
    return i < n_jobs ? &jobs[i] : i - n_jobs < N_MORE ? &more_jobs[i - n_jobs] : NULL;
}

/* These two answer what is wrong, and are asked below. */
static bool is_question(const struct job_row *job)
{
    return strcmp(job->name, "check") == 0 || strcmp(job->name, "is there a table") == 0;
}

/* --- the table ------------------------------------------------------------------------- */

struct kind {
    const char *name;
    void (*make)(void);
    int code;    /* of the jobs, but for the exceptions */
    int verdict; /* of lido_check() */
    int look;    /* of lido_file_look() */
};
static const struct kind kinds[] = {
    { "missing", make_nothing, LIDO_NOT_FOUND, LIDO_CHECK_MISSING, LIDO_FILE_MISSING },
    { "empty", make_empty, LIDO_OK, LIDO_CHECK_EMPTY, LIDO_FILE_REGULAR },
    { "cut", make_cut, SQLITE_CORRUPT, LIDO_CHECK_TRUNCATED, LIDO_FILE_REGULAR },
    { "torn", make_torn, SQLITE_CORRUPT, LIDO_CHECK_TRUNCATED, LIDO_FILE_REGULAR },
    { "random", make_random, SQLITE_NOTADB, LIDO_CHECK_ENCRYPTED, LIDO_FILE_REGULAR },
    { "dangling", make_dangling, LIDO_NOT_FOUND, LIDO_CHECK_MISSING,
      LIDO_FILE_BROKEN_LINK },
    { "loop", make_loop, SQLITE_CANTOPEN, LIDO_CHECK_MISSING, LIDO_FILE_BROKEN_LINK },
    { "pipe", make_pipe, SQLITE_CANTOPEN, LIDO_CHECK_UNREADABLE, LIDO_FILE_SPECIAL },
    { "folder", make_folder, SQLITE_CANTOPEN, LIDO_CHECK_UNREADABLE, LIDO_FILE_FOLDER },
    { "device", make_device, SQLITE_CANTOPEN, LIDO_CHECK_UNREADABLE, LIDO_FILE_SPECIAL },
};

static const struct exception {
    const char *kind, *job;
    int code;
} exceptions[] = {
    { "missing", "load", LIDO_OK },
    { "missing", "backup to", LIDO_OK },
    { "missing", "replace", LIDO_OK },
    { "empty", "copy", LIDO_NOT_FOUND }, /* the table */
    { "empty", "copy over another", LIDO_NOT_FOUND },
    { "empty", "table backup", LIDO_NOT_FOUND },
    { "empty", "rename", LIDO_NOT_FOUND },
    { "empty", "vacuum some", LIDO_SETTING },
    { "empty", "restore from", SQLITE_NOTADB },
    { "empty", "backup to", SQLITE_CANTOPEN },
    { "cut", "backup to", SQLITE_CANTOPEN },
    { "cut", "replace", LIDO_OK },
    { "torn", "restore", LIDO_OK }, /* less than a page is no content */
    { "torn", "restore from", SQLITE_NOTADB },
    { "torn", "backup to", SQLITE_CANTOPEN },
    { "torn", "replace", LIDO_OK },
    { "random", "backup to", SQLITE_CANTOPEN },
    { "random", "replace", LIDO_OK },
    { "dangling", "load", LIDO_OK }, /* made where it leads */
    { "dangling", "backup to", SQLITE_CANTOPEN },
    { "dangling", "replace", SQLITE_CANTOPEN },
};

static int expected(const struct kind *kind, const struct job_row *job)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++)
        if (strcmp(exceptions[i].kind, kind->name) == 0 &&
            strcmp(exceptions[i].job, job->name) == 0)
            return exceptions[i].code;
    return kind->code;
}

/* It is as it was, but for what a job that was done has done. */
static void expect_left(const char *kind, const struct job_row *job, int rc,
                        const char *before)
{
    char *now;

    if (rc == LIDO_OK && !job->is_silent)
        return;
    if (rc == LIDO_OK && job->makes)
        cr_expect_eq(unlink("made.db"), 0, "%s, %s", kind, job->name);
    now = folder_listing();
    cr_expect_str_eq(now, before, "%s, %s: was\n%snow\n%s", kind, job->name, before, now);
    sqlite3_free(now);
}

static void expect_answer(const struct kind *kind, const struct job_row *job,
                          struct lido_database at)
{
    char *before = folder_listing();
    const int wanted = expected(kind, job);
    int rc;

    err = (struct lido_error){ .code = -7 };
    rc = job->run(at, &err);
    cr_expect_eq(rc, wanted, "%s, %s: %s: %s", kind->name, job->name, lido_status_name(rc),
                 err.text);
    cr_expect_eq(err.code, wanted == LIDO_OK ? -7 : wanted, "%s, %s: %s", kind->name,
                 job->name, err.text);
    cr_expect(wanted == LIDO_OK || err.text[0] != '\0', "%s, %s", kind->name, job->name);
    cr_expect_null(strstr(err.text, "made.db"), "%s, %s: %s", kind->name, job->name,
                   err.text);
    expect_left(kind->name, job, rc, before);
    sqlite3_free(before);
}

static void make_again(const struct kind *kind)
{
    rmdir("bad.db");
    jobs_put_back();
    kind->make();
}

Test(housekeeping_paths, each_with_each_job)
{
    const struct job_row *job;

    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (int i = 0; (job = job_number(i)) != NULL; i++) {
            if (is_question(job))
                continue;
            make_again(&kinds[k]);
            expect_answer(&kinds[k], job, lido_at_path("bad.db"));
            if (i >= n_jobs + N_MORE - N_BY_PATH)
                continue;
            make_again(&kinds[k]);
            expect_answer(&kinds[k], job, lido_at_url("sqlite:///bad.db"));
        }
    rmdir("bad.db");
}

/* A question has an answer in any case; it costs no trace. */
Test(housekeeping_paths, each_is_told_apart)
{
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (int depth = LIDO_DEPTH_HEADER; depth <= LIDO_DEPTH_FULL; depth++) {
            const struct kind *kind = &kinds[k];
            struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;
            struct lido_check check = LIDO_CHECK_INIT;
            struct lido_file file = LIDO_FILE_INIT;
            char *before, *now;

            make_again(kind);
            before = folder_listing();
            options.depth = depth;
            cr_expect_eq(lido_check(lido_at_path("bad.db"), &options, &check, &err),
                         LIDO_OK, "%s: %s", kind->name, err.text);
            cr_expect_eq(check.verdict, kind->verdict, "%s: %s: %s", kind->name,
                         lido_check_name(check.verdict), check.text);
            cr_expect_neq(check.text[0], '\0', "%s", kind->name);
            cr_expect_eq(lido_file_look("bad.db", &file, &err), LIDO_OK, "%s", kind->name);
            cr_expect_eq(file.kind, kind->look, "%s: %d", kind->name, file.kind);
            now = folder_listing();
            cr_expect_str_eq(now, before, "%s", kind->name);
            sqlite3_free(before);
            sqlite3_free(now);
        }
    rmdir("bad.db");
}

/* --- paths that lead nowhere ----------------------------------------------------------- */

Test(housekeeping_paths, that_lead_nowhere)
{
    static char longest[PATH_MAX + 2], longest_name[1001];
    static const struct {
        const char *path;
        int at, from, to; /* of a job there; of a restore from it; of a backup to it */
    } paths[] = {
        { "a.db/x", LIDO_NOT_FOUND, LIDO_NOT_FOUND, SQLITE_CANTOPEN },
        { "none/x", LIDO_NOT_FOUND, LIDO_NOT_FOUND, SQLITE_CANTOPEN },
        { "none/", LIDO_NOT_FOUND, LIDO_NOT_FOUND, SQLITE_MISUSE },
        { "a.db/", LIDO_NOT_FOUND, LIDO_NOT_FOUND, SQLITE_MISUSE },
        { ".", SQLITE_CANTOPEN, SQLITE_CANTOPEN, SQLITE_MISUSE },
        { "..", SQLITE_CANTOPEN, SQLITE_CANTOPEN, SQLITE_MISUSE },
        { "/", SQLITE_CANTOPEN, SQLITE_CANTOPEN, SQLITE_MISUSE },
        { longest, SQLITE_CANTOPEN, SQLITE_CANTOPEN, SQLITE_CANTOPEN },
        { longest_name, SQLITE_CANTOPEN, SQLITE_CANTOPEN, SQLITE_CANTOPEN },
        { "sqlite:///a.db", LIDO_NOT_FOUND, LIDO_NOT_FOUND, SQLITE_CANTOPEN },
        { "file:a.db?mode=ro", LIDO_NOT_FOUND, LIDO_NOT_FOUND, LIDO_OK },
        { ":memory:", LIDO_NOT_FOUND, LIDO_NOT_FOUND, LIDO_OK },
        { "\xff'\"%00\n.db", LIDO_NOT_FOUND, LIDO_NOT_FOUND, LIDO_OK },
    };

    memset(longest, 'x', sizeof longest - 1);
    memset(longest_name, 'x', sizeof longest_name - 1);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const struct lido_database at = lido_at_path(paths[i].path);
        char *before = folder_listing(), *now;
        const struct job_row *job;

        for (int k = 0; (job = job_number(k)) != NULL && k < n_jobs + N_MORE - N_BY_PATH;
             k++) {
            if (strcmp(job->name, "check") == 0 || strcmp(job->name, "load") == 0)
                continue; /* which may make it */
            cr_expect_eq(job->run(at, &err), paths[i].at, "%s at %.20s: %s", job->name,
                         paths[i].path, err.text);
        }
        cr_expect_eq(restore_from(at, &err), paths[i].from, "%.20s: %s", paths[i].path,
                     err.text);
        cr_expect_eq(back_up_to(at, &err), paths[i].to, "%.20s: %s", paths[i].path,
                     err.text);
        if (paths[i].to == LIDO_OK)
            cr_expect_eq(unlink(paths[i].path), 0, "%s", paths[i].path);
        now = folder_listing();
        cr_expect_str_eq(now, before, "%.20s: %s", paths[i].path, now);
        sqlite3_free(before);
        sqlite3_free(now);
    }
}

/* --- a link to a good one -------------------------------------------------------------- */

Test(housekeeping_paths, a_link_is_followed)
{
    for (int i = 0; i < n_jobs; i++) {
        int rc;

        jobs_learn(&jobs[i]);
        cr_assert_eq(symlink("a.db", "bad.db"), 0);
        rc = jobs[i].run(lido_at_path("bad.db"), &err);
        cr_expect_eq(unlink("bad.db"), 0);
        cr_expect_eq(rc, LIDO_OK, "%s: %s", jobs[i].name, err.text);
        cr_expect(jobs_expect(&jobs[i], JOBS_STRICT, rc, &err, "by a link"));
        jobs_put_back();
    }
}

/* --- what this user may not read or not write ------------------------------------------ */

/* Of one that may be read these write something else, or take its name. */
static bool is_beside(const struct job_row *job)
{
    static const char *const names[] = { "copy", "copy over another", "restore from" };

    for (int i = 0; i < 3; i++)
        if (strcmp(job->name, names[i]) == 0)
            return true;
    return false;
}

static int wanted_of_nobody(const struct job_row *job, bool may_read)
{
    if (strcmp(job->name, "check") == 0)
        return LIDO_OK;
    if (!may_read || strcmp(job->name, "backup to") == 0)
        return SQLITE_CANTOPEN;
    return job->is_silent || strcmp(job->name, "checkpoint") == 0 ? LIDO_OK
                                                                  : SQLITE_READONLY;
}

/* root may do everything: a child that is somebody else asks.  How many answers were wrong;
   nothing can be asserted here. */
static int count_wrong(const char *path, bool may_read)
{
    const struct job_row *job;
    int wrong = 0;

    if (geteuid() == 0 && seteuid(NOBODY) != 0)
        return 99;
    alarm(60); /* the suite's time is not the child's */
    for (int i = 0; (job = job_number(i)) != NULL; i++) {
        const int wanted = wanted_of_nobody(job, may_read);
        int rc;

        if (strcmp(job->name, "replace") == 0 || (may_read && is_beside(job)))
            continue;
        rc = job->run(lido_at_path(path), &err);
        if (rc == LIDO_OK && job->makes)
            unlink("made.db");
        if (rc == wanted && (rc == LIDO_OK || (err.code == rc && err.text[0] != '\0')))
            continue;
        fprintf(stderr, "%s, %s: %s: %s\n", path, job->name, lido_status_name(rc),
                err.text);
        wrong++;
    }
    return wrong;
}

static void expect_as_nobody(const char *path, bool may_read)
{
    char *before = folder_listing(), *now;
    const pid_t child = fork();
    int status = -1;

    if (child == 0)
        _exit(count_wrong(path, may_read));
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0, "%s: %d", path, status);
    now = folder_listing();
    cr_expect_str_eq(now, before, "%s: was\n%snow\n%s", path, before, now);
    sqlite3_free(before);
    sqlite3_free(now);
}

Test(housekeeping_paths, that_are_not_for_this_user)
{
    cr_assert_eq(chmod(".", 0777), 0);
    cr_assert_eq(chmod("b.db", 0666), 0);
    put_some_of_a(SIZE_MAX);
    cr_assert_eq(chmod("bad.db", 0), 0);
    expect_as_nobody("bad.db", false);
    cr_assert_eq(chmod("bad.db", 0444), 0);
    expect_as_nobody("bad.db", true);
    cr_assert_eq(mkdir("closed", 0700), 0);
    cr_assert_eq(rename("bad.db", "closed/bad.db"), 0);
    cr_assert_eq(chmod("closed", 0), 0);
    expect_as_nobody("closed/bad.db", false);
    cr_assert_eq(chmod("closed", 0700), 0);
    cr_assert_eq(unlink("closed/bad.db"), 0);
    cr_assert_eq(rmdir("closed"), 0);
}

/* Who opens it to read it waits for one who writes. */
Test(housekeeping_paths, a_pipe_is_not_opened)
{
    cr_assert_eq(chmod(".", 0777), 0);
    make_pipe();
    cr_assert_eq(chmod("bad.db", 0444), 0);
    expect_as_nobody("bad.db", false);
}

/* --- what others have locked ----------------------------------------------------------- */

static lido_pool *open_bad(void)
{
    lido_pool *pool;

    cr_assert_eq(lido_pool_open(&pool, "sqlite:///bad.db?pool=queue&timeout=0", NULL, &err),
                 LIDO_OK, "%s", err.text);
    return pool;
}

Test(housekeeping_paths, one_that_is_locked)
{
    const struct job_row *job;
    char *before;
    lido_pool *pool;

    put_some_of_a(SIZE_MAX);
    other_start("bad.db");
    cr_assert_eq(other_run("BEGIN EXCLUSIVE"), SQLITE_OK);
    before = folder_listing();
    pool = open_bad();
    for (int i = 0; (job = job_number(i)) != NULL && i < n_jobs + N_MORE - N_BY_PATH; i++) {
        int rc;

        if (strcmp(job->name, "check") == 0)
            continue;
        rc = job->run(lido_at_pool(pool), &err);
        cr_expect_eq(rc & 0xff, SQLITE_BUSY, "%s: %s", job->name, err.text);
        cr_expect_eq(err.code, rc, "%s: %s", job->name, err.text);
        expect_left("locked", job, rc, before);
    }
    lido_pool_free(pool);
    other_end();
    sqlite3_free(before);
}
