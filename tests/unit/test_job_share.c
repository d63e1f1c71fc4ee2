/* SPDX-License-Identifier: MIT */
/*
 * The share of a phase that is told, also where SQLite does all of it in one statement.
 */
#include "base/sync.h"
#include "housekeeping/work.h"
#include "tests/support/backup_stage.h"

TestSuite(job_share, .init = set_up_names, .fini = tear_down, .timeout = 60);

/* --- by the work alone ------------------------------------------------------------------ */

static struct lido__work work;
static struct lido_progress last;

static int keep(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    (void)ctx, (void)story;
    last = *now;
    return LIDO_OK;
}

static void begin(const char *unit, uint64_t total)
{
    job.progress = keep;
    cr_assert_eq(lido__work_begin(&work, &job, &err), LIDO_OK, "%s", err.text);
    cr_assert_eq(lido__work_phase(&work, "reading", unit, total, &err), LIDO_OK);
}

/* As if the last time had been long ago. */
static void tell(uint64_t done)
{
    work.told_ns = INT64_MIN / 2;
    cr_assert_eq(lido__work_at(&work, done, &err), LIDO_OK);
}

Test(job_share, of_what_is_counted_is_the_quotient)
{
    begin("rows", 0);
    cr_expect_eq(last.share, -1, "nothing is known");
    tell(5);
    cr_expect_eq(last.share, -1);
    cr_assert_eq(lido__work_done(&work, &err), LIDO_OK);
    cr_expect_eq(last.share, 1, "that it is over is known");
    cr_assert_eq(lido__work_phase(&work, "copying", "rows", 8, &err), LIDO_OK);
    cr_expect_eq(last.share, 0);
    tell(2);
    cr_expect_eq(last.share, 0.25);
    tell(9);
    cr_expect_eq(last.share, 1, "others added some");
    cr_assert_eq(lido__work_phase(&work, "checking", "rows", 0, &err), LIDO_OK);
    cr_expect_eq(last.share, -1, "the next begins anew");
}

static sqlite3 *open_plain(const char *name)
{
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(name, &db), SQLITE_OK);
    return db;
}

static uint64_t pages_of(sqlite3 *db)
{
    sqlite3_stmt *ask;
    uint64_t pages;

    cr_assert_eq(sqlite3_prepare_v2(db, "PRAGMA page_count", -1, &ask, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(ask), SQLITE_ROW);
    pages = (uint64_t)sqlite3_column_int64(ask, 0);
    sqlite3_finalize(ask);
    return pages;
}

/* Half of the rows, and then all. */
static void read_half(sqlite3 *db, uint64_t pages, bool is_in_pages)
{
    sqlite3_stmt *rows;

    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT * FROM t NOT INDEXED", -1, &rows, NULL),
                 SQLITE_OK);
    cr_assert(lido__work_reads(&work, db, pages, 1));
    tell(0);
    cr_expect_leq(last.share, 0.01, "%f", last.share);
    for (int i = 0; i < ROWS / 2; i++)
        cr_assert_eq(sqlite3_step(rows), SQLITE_ROW);
    tell(ROWS / 2);
    cr_expect(last.share > 0.45 && last.share < 0.55, "%f", last.share);
    cr_expect_eq(last.total, is_in_pages ? pages : 0);
    cr_expect_eq(last.done, is_in_pages ? (uint64_t)(last.share * (double)pages)
                                        : (uint64_t)(ROWS / 2));
    while (sqlite3_step(rows) == SQLITE_ROW)
        continue;
    tell(ROWS);
    cr_expect(last.share > 0.95 && last.share <= 1, "%f", last.share);
    sqlite3_finalize(rows);
}

Test(job_share, of_one_statement_is_what_it_has_read)
{
    sqlite3 *db;

    fill("sqlite:///a.db");
    db = open_plain("a.db");
    begin("rows", 0);
    read_half(db, pages_of(db), false);
    /* All of it is in its cache now. */
    cr_assert_eq(sqlite3_exec(db, "PRAGMA cache_size=100000; SELECT count(pad || 1) FROM t",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    cr_assert_eq(lido__work_phase(&work, "again", "pages", 0, &err), LIDO_OK);
    read_half(db, pages_of(db), true);
    cr_assert_eq(lido__work_done(&work, &err), LIDO_OK);
    cr_expect_eq(last.done, pages_of(db));
    sqlite3_close(db);
}

Test(job_share, of_a_database_of_no_pages_or_in_memory_is_not_known)
{
    static const char *const names[] = { "empty.db", ":memory:" };

    begin("pages", 0);
    for (int i = 0; i < 2; i++) {
        sqlite3 *db = open_plain(names[i]);

        cr_expect_not(lido__work_reads(&work, db, (uint64_t)i * 9, 1));
        tell(1);
        cr_expect_eq(last.share, -1);
        cr_expect_eq(last.total, 0);
        sqlite3_close(db);
    }
}

/* Its pages do not go by the cache. */
Test(job_share, of_a_database_that_is_mapped_is_not_known)
{
    sqlite3 *db;

    fill("sqlite:///a.db");
    db = open_plain("a.db");
    cr_assert_eq(sqlite3_exec(db, "PRAGMA mmap_size=100000000", NULL, NULL, NULL),
                 SQLITE_OK);
    begin("pages", 0);
    cr_expect_not(lido__work_reads(&work, db, 9, 1));
    tell(3);
    cr_expect_eq(last.total, 9);
    cr_expect_eq(last.share, 3 / 9.0, "what is told counts");
    sqlite3_close(db);
}

/* The work is twice that, and its share alone tells. */
Test(job_share, of_pages_that_are_read_twice_counts_them_once)
{
    sqlite3 *db;
    uint64_t pages;

    fill("sqlite:///a.db");
    db = open_plain("a.db");
    pages = pages_of(db);
    begin("pages", 0);
    cr_assert(lido__work_reads(&work, db, pages, 2));
    cr_assert_eq(sqlite3_exec(db, "SELECT count(pad || 1) FROM t", NULL, NULL, NULL),
                 SQLITE_OK);
    tell(0);
    cr_expect(last.share > 0.45 && last.share < 0.55, "%f", last.share);
    cr_expect_eq(last.total, pages);
    cr_expect_leq(last.done, pages * 11 / 20);
    sqlite3_close(db);
}

/* The host's cache is its own where nobody listens. */
Test(job_share, that_nobody_asks_for_costs_no_cache)
{
    int before = 0, after = 0, most;
    sqlite3 *db;

    fill("sqlite:///a.db");
    db = open_plain("a.db");
    cr_assert_eq(sqlite3_exec(db, "SELECT count(pad || 1) FROM t", NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_USED, &before, &most, 0);
    cr_assert_eq(lido__work_begin(&work, NULL, &err), LIDO_OK);
    cr_assert_eq(lido__work_phase(&work, "reading", "pages", 0, &err), LIDO_OK);
    cr_expect(lido__work_reads(&work, db, pages_of(db), 1));
    sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_USED, &after, &most, 0);
    cr_expect_eq(after, before);
    sqlite3_close(db);
}

/* --- by the jobs ------------------------------------------------------------------------ */

#define MOST 64

static const char *watched;
static double shares[MOST];
static int n_shares;

/* The first times it takes so long that the next look is told as well. */
static int note(void *ctx, const struct lido_progress *now, struct lido_error *story)
{
    int64_t began_ns;

    (void)ctx, (void)story;
    if (strcmp(now->phase, watched) != 0 || n_shares == MOST)
        return LIDO_OK;
    shares[n_shares++] = now->share;
    began_ns = lido__wait_ns(NULL);
    while (n_shares < 8 && lido__wait_ns(NULL) - began_ns < 51 * LIDO_NS_PER_MS)
        continue;
    return LIDO_OK;
}

static void watch(const char *phase)
{
    job.progress = note;
    watched = phase;
    n_shares = 0;
}

/* It grew, was somewhere in between, and came to its end. */
static void expect_shares(void)
{
    int between = 0;

    cr_assert_geq(n_shares, 3, "%s: %d", watched, n_shares);
    for (int i = 1; i < n_shares; i++) {
        cr_expect_geq(shares[i], shares[i - 1], "%s: %f", watched, shares[i]);
        between += shares[i] > 0 && shares[i] < 1;
    }
    cr_expect_geq(between, 1, "%s: %f of %d", watched, shares[1], n_shares);
    cr_expect_eq(shares[n_shares - 1], 1, "%s", watched);
}

/* Many rows: SQLite calls back each thousand instructions. */
static void fill_many(void)
{
    pool = open_url("sqlite:///a.db?pool=queue&timeout=0");
    cr_assert_eq(
        lido_pool_exec(pool,
                       "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL);"
                       "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n "
                       "LIMIT 4000) INSERT INTO t SELECT x, hex(zeroblob(300)) FROM n",
                       &err),
        LIDO_OK, "%s", err.text);
}

Test(job_share, of_a_backup_by_vacuum_of_its_check_and_of_its_hash)
{
    static const char *const phases[] = { "copying", "checking", "hashing" };

    fill_many();
    options.method = LIDO_BACKUP_VACUUM;
    options.hash = options.replace = 1;
    for (int i = 0; i < 3; i++) {
        watch(phases[i]);
        cr_assert_eq(lido_backup(lido_at_path("a.db"), "copy.db", &options, NULL, &err),
                     LIDO_OK, "%s", err.text);
        expect_shares();
    }
}

Test(job_share, of_a_check_and_of_a_vacuum)
{
    struct lido_check_options check = LIDO_CHECK_OPTIONS_INIT;
    struct lido_upkeep_options upkeep = LIDO_UPKEEP_OPTIONS_INIT;
    struct lido_check found = LIDO_CHECK_INIT;

    fill_many();
    check.job = upkeep.job = &job;
    check.depth = LIDO_DEPTH_QUICK;
    watch("checking");
    cr_assert_eq(lido_check(lido_at_path("a.db"), &check, &found, &err), LIDO_OK, "%s",
                 err.text);
    cr_expect_eq(found.verdict, LIDO_CHECK_SOUND);
    expect_shares();
    watch("vacuuming");
    cr_assert_eq(lido_vacuum(lido_at_path("a.db"), NULL, &upkeep, &err), LIDO_OK, "%s",
                 err.text);
    expect_shares();
}

static char text[4 << 20];
static size_t length;

static int add(void *ctx, const char *more, size_t size, struct lido_error *story)
{
    (void)ctx, (void)story;
    cr_assert_lt(length + size, sizeof text);
    memcpy(text + length, more, size);
    length += size;
    return LIDO_OK;
}

static size_t given;

static int give(void *ctx, char *buffer, size_t size, size_t *got, struct lido_error *story)
{
    (void)ctx, (void)story;
    *got = length - given < size ? length - given : size;
    memcpy(buffer, text + given, *got);
    given += *got;
    return LIDO_OK;
}

Test(job_share, of_a_dump_and_of_a_load)
{
    struct lido_dump_options dump = LIDO_DUMP_OPTIONS_INIT;
    struct lido_load_options load = LIDO_LOAD_OPTIONS_INIT;

    fill_many();
    dump.job = load.job = &job;
    watch("dumping");
    cr_assert_eq(lido_dump(lido_at_path("a.db"), &dump, add, NULL, &err), LIDO_OK, "%s",
                 err.text);
    expect_shares();
    watch("loading");
    cr_assert_eq(lido_load_text(lido_at_path("b.db"), &load, text, length, NULL, &err),
                 LIDO_OK, "%s", err.text);
    expect_shares();
    watch("loading");
    load.text_bytes = (int64_t)length;
    cr_assert_eq(lido_load(lido_at_path("c.db"), &load, give, NULL, NULL, &err), LIDO_OK,
                 "%s", err.text);
    expect_shares();
}

Test(job_share, of_some_tables_and_of_a_text_of_unknown_length_is_not_known)
{
    struct lido_dump_options dump = LIDO_DUMP_OPTIONS_INIT;
    struct lido_load_options load = LIDO_LOAD_OPTIONS_INIT;

    fill_many();
    dump.job = load.job = &job;
    dump.tables = "t";
    watch("dumping");
    cr_assert_eq(lido_dump(lido_at_path("a.db"), &dump, add, NULL, &err), LIDO_OK, "%s",
                 err.text);
    cr_assert_geq(n_shares, 3);
    for (int i = 0; i < n_shares; i++)
        cr_expect_eq(shares[i], i < n_shares - 1 ? -1 : 1);
    watch("loading");
    cr_assert_eq(lido_load(lido_at_path("c.db"), &load, give, NULL, NULL, &err), LIDO_OK,
                 "%s", err.text);
    cr_assert_geq(n_shares, 3);
    for (int i = 0; i < n_shares; i++)
        cr_expect_eq(shares[i], i < n_shares - 1 ? -1 : 1);
    load.text_bytes = -1;
    cr_expect_eq(lido_load(lido_at_path("c.db"), &load, give, NULL, NULL, &err),
                 LIDO_BAD_OPTION, "%s", err.text);
}

/* --- hooks that end the lease ----------------------------------------------------------- */

static int end_the_lease(void *left, const struct lido_event *event,
                         struct lido_error *story)
{
    struct lido_conn conn = *event->conn;

    (void)story;
    if ((*(int *)left)-- == 0)
        lido_conn_invalidate(&conn, NULL, NULL);
    return LIDO_OK;
}

/* What a phase is to read is a handle that a statement before may have closed. */
Test(job_share, a_hook_that_ends_the_lease_ends_the_job)
{
    static const struct lido_events sets[] = {
        { .size = sizeof sets[0], .before_execute = end_the_lease },
        { .size = sizeof sets[0], .after_execute = end_the_lease },
    };
    struct lido_upkeep_options upkeep = LIDO_UPKEEP_OPTIONS_INIT;

    fill_many();
    watch("none");
    upkeep.job = &job;
    options.method = LIDO_BACKUP_VACUUM;
    for (int i = 0; i < 8; i++) {
        lido_pool *other = open_url("sqlite:///a.db?pool=queue");
        int left = i / 4,
            rc; /* how many pages there are, of one or two statements; then all */

        cr_assert_eq(
            lido_hooks_add(lido_pool_hooks(other), NULL, &sets[i % 2], &left, NULL, &err),
            LIDO_OK);
        if (i / 2 % 2 == 0)
            rc = lido_backup(lido_at_pool(other), "copy.db", &options, NULL, &err);
        else
            rc = lido_vacuum(lido_at_pool(other), NULL, &upkeep, &err);
        cr_expect_eq(rc, LIDO_STALE, "%d: %d %s", i, rc, err.text);
        cr_expect_neq(access("copy.db", F_OK), 0);
        lido_pool_free(other);
    }
}
