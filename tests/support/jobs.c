/* SPDX-License-Identifier: MIT */
/*
 * Every job of housekeeping that goes by files, and what is to be true after it failed.
 *
 * What goes wrong in making the databases aborts; what a job does wrong is told and answered,
 * so that it can be used in a child of a test as well as in the test.
 *
 * Threads: one.
 */
#include "jobs.h"
#include "own_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition, name)                                                             \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "jobs: %s\n", (name));                                         \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

struct image {
    unsigned char *bytes;
    size_t size;
};

static char folder[40];
static struct image image_a, image_b;
static char *before_a, *before_b, *after_a, *after_b, *after_made;

/* --- files and content -------------------------------------------------------------------- */

static struct image read_image(const char *path)
{
    struct image image = { malloc(1 << 20), 0 };
    FILE *file = fopen(path, "rb");

    CHECK(image.bytes != NULL && file != NULL, path);
    image.size = fread(image.bytes, 1, 1 << 20, file);
    fclose(file);
    return image;
}

static bool is_image(const char *path, const struct image *image)
{
    struct image now = read_image(path);
    const bool is_same =
        now.size == image->size && memcmp(now.bytes, image->bytes, now.size) == 0;

    free(now.bytes);
    return is_same;
}

/* Not cut to nothing first: of that some file systems make a sync. */
static void write_image(const char *path, const struct image *image)
{
    FILE *file = fopen(path, "r+b");

    CHECK(file != NULL, path);
    CHECK(ftruncate(fileno(file), (off_t)image->size) == 0, path);
    CHECK(fwrite(image->bytes, 1, image->size, file) == image->size, path);
    CHECK(fclose(file) == 0, path);
}

static void add_rows(sqlite3 *db, sqlite3_str *out, const char *table)
{
    char *sql = sqlite3_mprintf("SELECT * FROM \"%w\"", table);
    sqlite3_stmt *stmt;

    CHECK(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK, sqlite3_errmsg(db));
    while (sqlite3_step(stmt) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(stmt); i++)
            sqlite3_str_appendf(out, "%d:%s|", sqlite3_column_type(stmt, i),
                                sqlite3_column_text(stmt, i));
    CHECK(sqlite3_finalize(stmt) == SQLITE_OK, sqlite3_errmsg(db));
    sqlite3_free(sql);
}

char *jobs_content(const char *path)
{
    sqlite3_str *out = sqlite3_str_new(NULL);
    sqlite3_stmt *stmt;
    sqlite3 *db;

    CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix") == SQLITE_OK, path);
    sqlite3_busy_timeout(db, 1000);
    CHECK(sqlite3_prepare_v2(db,
                             "SELECT name, sql, type FROM sqlite_schema UNION ALL "
                             "SELECT 'check', integrity_check, '' FROM "
                             "pragma_integrity_check",
                             -1, &stmt, NULL) == SQLITE_OK,
          sqlite3_errmsg(db));
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        sqlite3_str_appendf(out, "\n%s: %s\n", sqlite3_column_text(stmt, 0),
                            sqlite3_column_text(stmt, 1));
        if (strcmp((const char *)sqlite3_column_text(stmt, 2), "table") == 0)
            add_rows(db, out, (const char *)sqlite3_column_text(stmt, 0));
    }
    CHECK(sqlite3_finalize(stmt) == SQLITE_OK, sqlite3_errmsg(db));
    sqlite3_close(db);
    return sqlite3_str_finish(out);
}

static void exec(const char *path, const char *sql)
{
    sqlite3 *db;

    CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix") ==
              SQLITE_OK,
          path);
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static bool is_known(const char *name)
{
    static const char *const known[] = { ".", "..", "a.db", "b.db" };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return false;
}

static bool is_journal(const char *name)
{
    return strcmp(name, "a.db-journal") == 0 || strcmp(name, "b.db-journal") == 0;
}

/* The first file that is not one of the two: to be freed; NULL: there is none.  Or removes
   them all. */
static char *others(bool removes, bool with_journals)
{
    DIR *files = opendir(".");
    struct dirent *entry;
    char *found = NULL;

    CHECK(files != NULL, folder);
    while (found == NULL && (entry = readdir(files)) != NULL)
        if (is_known(entry->d_name) || (!with_journals && is_journal(entry->d_name)))
            continue;
        else if (removes)
            unlink(entry->d_name);
        else
            found = strdup(entry->d_name);
    closedir(files);
    return found;
}

char *jobs_other(void)
{
    return others(false, true);
}

/* --- the stage ---------------------------------------------------------------------------- */

static void forget_learnt(void)
{
    sqlite3_free(after_a);
    sqlite3_free(after_b);
    sqlite3_free(after_made);
    after_a = after_b = after_made = NULL;
}

void jobs_set_up(const char *journal_mode)
{
    char sql[800];

    strcpy(folder, "/tmp/lido-jobs-XXXXXX");
    CHECK(mkdtemp(folder) != NULL, folder);
    CHECK(chdir(folder) == 0, folder);
    snprintf(sql, sizeof sql,
             "PRAGMA page_size=1024; PRAGMA auto_vacuum=2; PRAGMA journal_mode=%s;"
             "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT, y UNIQUE);"
             "CREATE INDEX t_x ON t (x); CREATE VIEW v AS SELECT x FROM t;"
             "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 60)"
             "INSERT INTO t SELECT x, 'row ' || x || hex(zeroblob(20)), x * 7 FROM n;"
             "DELETE FROM t WHERE id > 40 OR id %% 5 = 0; CREATE TABLE w (k PRIMARY KEY, v)"
             " WITHOUT ROWID; INSERT INTO w SELECT x, id FROM t;"
             "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM w WHERE k = 1; END",
             journal_mode);
    exec("a.db", sql);
    snprintf(sql, sizeof sql,
             "PRAGMA page_size=1024; PRAGMA auto_vacuum=2; PRAGMA journal_mode=%s;"
             "CREATE TABLE u (x); INSERT INTO u VALUES (1), (zeroblob(3000))",
             journal_mode);
    exec("b.db", sql);
    image_a = read_image("a.db");
    image_b = read_image("b.db");
    before_a = jobs_content("a.db");
    before_b = jobs_content("b.db");
}

void jobs_put_back(void)
{
    free(others(true, true));
    write_image("a.db", &image_a);
    write_image("b.db", &image_b);
}

void jobs_tear_down(void)
{
    free(others(true, true));
    unlink("a.db");
    unlink("b.db");
    CHECK(chdir("/") == 0, "/");
    own_folder_end(folder);
    forget_learnt();
    sqlite3_free(before_a);
    sqlite3_free(before_b);
    free(image_a.bytes);
    free(image_b.bytes);
}

struct lido_database jobs_at_file(void)
{
    return lido_at_path("a.db");
}

lido_pool *jobs_pool(void)
{
    struct lido_error err;
    lido_pool *pool;

    CHECK(lido_pool_open(&pool, "sqlite:///a.db?pool=queue", NULL, &err) == LIDO_OK,
          err.text);
    return pool;
}

void jobs_learn(const struct job_row *job)
{
    struct lido_error err;

    forget_learnt();
    jobs_put_back();
    CHECK(job->run(jobs_at_file(), &err) == LIDO_OK, err.text);
    after_a = jobs_content("a.db");
    after_b = jobs_content("b.db");
    if (job->makes)
        after_made = jobs_content("made.db");
    jobs_put_back();
}

static bool tell(const struct job_row *job, int rc, const struct lido_error *err,
                 const char *what, const char *why)
{
    fprintf(stderr, "%s, %s: answered %d (%s): %s\n", job->name, what, rc,
            rc == LIDO_OK ? "" : err->text, why);
    return false;
}

static bool is_content(const char *path, const char *wanted)
{
    char *now = jobs_content(path);
    const bool is_same = strcmp(now, wanted) == 0;

    sqlite3_free(now);
    return is_same;
}

bool jobs_expect(const struct job_row *job, int left, int rc, const struct lido_error *err,
                 const char *what)
{
    const bool is_whole = (left & JOBS_WHOLE) != 0;
    bool is_fine = true;
    char *other;

    if (rc != LIDO_OK && (err->code != rc || err->text[0] == '\0'))
        is_fine = tell(job, rc, err, what, "the error says nothing, or another code");
    if (job->is_silent && !is_image("a.db", &image_a))
        is_fine = tell(job, rc, err, what, "bytes of a.db were changed");
    if (!is_content("a.db", rc == LIDO_OK ? after_a : before_a) &&
        !(is_whole && is_content("a.db", after_a)))
        is_fine = tell(job, rc, err, what, "a.db holds something else");
    if (!is_content("b.db", rc == LIDO_OK ? after_b : before_b) &&
        !(is_whole && is_content("b.db", after_b)))
        is_fine = tell(job, rc, err, what, "b.db holds something else");
    if (job->makes && access("made.db", F_OK) == 0) {
        if (rc != LIDO_OK && !is_whole)
            is_fine = tell(job, rc, err, what, "it left a target");
        else if (!is_content("made.db", after_made))
            is_fine = tell(job, rc, err, what, "what it made is another");
        unlink("made.db");
    } else if (job->makes && rc == LIDO_OK) {
        is_fine = tell(job, rc, err, what, "it made nothing");
    }
    other = others(false, (left & JOBS_JOURNAL) == 0);
    if (other != NULL)
        is_fine = tell(job, rc, err, what, other);
    free(other);
    return is_fine;
}

/* --- the jobs ----------------------------------------------------------------------------- */

static int back_up(struct lido_database a, int method, struct lido_error *err)
{
    struct lido_backup_options options = LIDO_BACKUP_OPTIONS_INIT;
    struct lido_backup result = LIDO_BACKUP_INIT;

    options.method = method;
    options.step_pages = 5;
    return lido_backup(a, "made.db", &options, &result, err);
}

static int back_up_online(struct lido_database a, struct lido_error *err)
{
    return back_up(a, LIDO_BACKUP_ONLINE, err);
}

static int back_up_vacuum(struct lido_database a, struct lido_error *err)
{
    return back_up(a, LIDO_BACKUP_VACUUM, err);
}

static int restore(struct lido_database a, struct lido_error *err)
{
    struct lido_restore_options options = LIDO_RESTORE_OPTIONS_INIT;

    options.step_pages = 2;
    return lido_restore(a, "b.db", &options, err);
}

static int load(struct lido_database a, struct lido_error *err)
{
    static const char text[] =
        "PRAGMA foreign_keys=OFF; BEGIN; CREATE TABLE l (a TEXT, b REAL, c UNIQUE);\n"
        "INSERT INTO l VALUES('x', 0.1, X'00'), (NULL, 1e300, zeroblob(9000));\n"
        "CREATE VIEW l_v AS SELECT a FROM l; CREATE INDEX l_i ON l (b); COMMIT;";

    return lido_load_text(a, NULL, text, sizeof text - 1, NULL, err);
}

static int copy(struct lido_database a, int mode, struct lido_error *err)
{
    struct lido_table_copy_options options = LIDO_TABLE_COPY_OPTIONS_INIT;

    options.mode = mode;
    options.new_name = mode == LIDO_COPY_REPLACE ? "u" : NULL;
    return lido_table_copy(a, "t", lido_at_path("b.db"), &options, NULL, err);
}

static int copy_new(struct lido_database a, struct lido_error *err)
{
    return copy(a, LIDO_COPY_NEW, err);
}

static int copy_over(struct lido_database a, struct lido_error *err)
{
    return copy(a, LIDO_COPY_REPLACE, err);
}

static int table_back_up(struct lido_database a, struct lido_error *err)
{
    struct lido_table_backup_options options = LIDO_TABLE_BACKUP_OPTIONS_INIT;

    options.triggers = 1;
    return lido_table_backup(a, "t", "t2", &options, NULL, err);
}

static int rename_it(struct lido_database a, struct lido_error *err)
{
    return lido_table_rename(a, "t", "t3", NULL, err);
}

static int vacuum(struct lido_database a, struct lido_error *err)
{
    return lido_vacuum(a, NULL, NULL, err);
}

static int vacuum_some(struct lido_database a, struct lido_error *err)
{
    return lido_vacuum_some(a, -1, NULL, NULL, err);
}

static int optimize(struct lido_database a, struct lido_error *err)
{
    return lido_optimize(a, LIDO_OPTIMIZE_ALL, NULL, err);
}

static int checkpoint(struct lido_database a, struct lido_error *err)
{
    return lido_checkpoint(a, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL, err);
}

static int sizes(struct lido_database a, struct lido_error *err)
{
    return lido_sizes(a, NULL, NULL, NULL, NULL, err);
}

static int swallow(void *ctx, const char *text, size_t length, struct lido_error *err)
{
    (void)text, (void)err;
    *(size_t *)ctx += length;
    return LIDO_OK;
}

/* One that is not whole is none. */
static int dump(struct lido_database a, struct lido_error *err)
{
    static size_t whole;
    size_t length = 0;
    const int rc = lido_dump(a, NULL, swallow, &length, err);

    if (rc == LIDO_OK && whole == 0)
        whole = length;
    CHECK(rc != LIDO_OK || length == whole, "a dump is not whole");
    return rc;
}

/* A file that cannot be read is no error, but no sound one either. */
static int check(struct lido_database a, struct lido_error *err)
{
    struct lido_check_options options = LIDO_CHECK_OPTIONS_INIT;
    struct lido_check out = LIDO_CHECK_INIT;
    int rc;

    options.depth = LIDO_DEPTH_FULL;
    options.foreign_keys = 1;
    rc = lido_check(a, &options, &out, err);
    if (rc == LIDO_OK && out.verdict != LIDO_CHECK_SOUND) {
        CHECK(out.text[0] != '\0' && out.verdict != LIDO_CHECK_NONE, "a verdict is mute");
        CHECK(out.verdict != LIDO_CHECK_MALFORMED && out.verdict != LIDO_CHECK_NOT_SQLITE &&
                  out.verdict != LIDO_CHECK_ENCRYPTED &&
                  out.verdict != LIDO_CHECK_TRUNCATED && out.verdict != LIDO_CHECK_EMPTY,
              "a sound file that could not be read is called damaged");
    }
    return rc;
}

static int list_tables(struct lido_database a, struct lido_error *err)
{
    int kind = 0;
    const int rc = lido_table_exists(a, NULL, "t", 0, &kind, err);

    CHECK(rc != LIDO_OK || kind == LIDO_TABLE_PLAIN, "a table is not found");
    return rc;
}

const struct job_row jobs[] = {
    { "backup", back_up_online, true, true },
    { "backup by vacuum", back_up_vacuum, true, true },
    { "restore", restore, false, false },
    { "load", load, false, false },
    { "copy", copy_new, false, true },
    { "copy over another", copy_over, false, true },
    { "table backup", table_back_up, false, false },
    { "rename", rename_it, false, false },
    { "vacuum", vacuum, false, false },
    { "vacuum some", vacuum_some, false, false },
    { "optimize", optimize, false, false },
    { "checkpoint", checkpoint, false, false },
    { "sizes", sizes, false, true },
    { "dump", dump, false, true },
    { "check", check, false, true },
    { "is there a table", list_tables, false, true },
};
const int n_jobs = sizeof jobs / sizeof jobs[0];

const struct job_row *job_named(const char *name)
{
    for (int i = 0; i < n_jobs; i++)
        if (strcmp(jobs[i].name, name) == 0)
            return &jobs[i];
    CHECK(false, name);
    return NULL;
}
