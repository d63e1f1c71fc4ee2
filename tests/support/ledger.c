/* SPDX-License-Identifier: MIT */
/*
 * Before: a has 60, b has 40, the counter says 1, the table "old" is there, the filler is of
 * ones.  After: 30 and 70, 2, "made" with its index and two rows in place of "old", and a
 * filler of twos.  Anything between is broken.
 *
 * Threads: one.
 */
#include "ledger.h"
#include "own_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 65536 /* bytes of a file */

static char folder[60], path[80], copy[80], url[500];
static const char *journal_mode;
static char image[MOST];
static size_t image_size;
static char story[300];
static pid_t copier; /* 0: none was needed yet */
static int ask_copier, copier_done;

/* --- files ------------------------------------------------------------------------------ */

static const char *const endings[] = { "", "-journal", "-wal", "-shm" };

static const char *file_of(const char *database, int ending)
{
    static char name[100];

    snprintf(name, sizeof name, "%s%s", database, endings[ending]);
    return name;
}

static void remove_files(const char *database)
{
    for (int i = 0; i < 4; i++)
        unlink(file_of(database, i));
}

static size_t read_file(const char *name, char *bytes, size_t most)
{
    FILE *file = fopen(name, "r");
    size_t size;

    if (file == NULL)
        return 0;
    size = fread(bytes, 1, most, file);
    cr_assert(feof(file), "%s is too large", name);
    fclose(file);
    return size;
}

static void write_file(const char *name, const char *bytes, size_t size)
{
    FILE *file = fopen(name, "w");

    cr_assert_not_null(file, "%s", name);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

static void run(sqlite3 *db, const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
}

void ledger_make(const char *journal)
{
    char text[60];
    sqlite3 *db;

    journal_mode = journal;
    snprintf(folder, sizeof folder, "%s/lido-ledger-XXXXXX",
             access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.db", folder);
    snprintf(copy, sizeof copy, "%s/copy.db", folder);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    snprintf(text, sizeof text, "PRAGMA page_size=512; PRAGMA journal_mode=%s", journal);
    run(db, text);
    run(db, "CREATE TABLE a (id INTEGER PRIMARY KEY, amount);"
            "CREATE TABLE b (id INTEGER PRIMARY KEY, amount);"
            "CREATE TABLE counter (n); CREATE TABLE old (x); CREATE TABLE filler (x);"
            "INSERT INTO a VALUES (1, 60); INSERT INTO b VALUES (1, 40);"
            "INSERT INTO counter VALUES (1); INSERT INTO old VALUES (1);"
            "WITH RECURSIVE k(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM k WHERE i < 6)"
            " INSERT INTO filler SELECT replace(hex(zeroblob(200)), '0', '1') FROM k");
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    image_size = read_file(path, image, sizeof image);
}

void ledger_restore(void)
{
    remove_files(path);
    write_file(path, image, image_size);
}

const char *ledger_path(void)
{
    return path;
}

const char *ledger_url(const char *more)
{
    snprintf(url, sizeof url,
             "sqlite:///%s?timeout=0&synchronous=full"
             "&cache_size=4&wal_autocheckpoint=20&journal_mode=%s%s",
             path, journal_mode, more);
    return url;
}

/* --- the transaction -------------------------------------------------------------------- */

static const struct step {
    int (*savepoint)(const struct lido_conn *, const char *, struct lido_error *);
    const char *text; /* the name of a savepoint, or SQL */
} steps[] = {
    { NULL, "UPDATE a SET amount = amount - 30" },
    { lido_txn_savepoint, "one" },
    { NULL, "UPDATE b SET amount = amount + 7" },
    { NULL, "CREATE TABLE never (x)" },
    { lido_txn_rollback_to, "one" },
    { NULL, "UPDATE b SET amount = amount + 30" },
    { lido_txn_release, "one" },
    { lido_txn_savepoint, "two" },
    { NULL, "CREATE TABLE made (x)" },
    { NULL, "CREATE UNIQUE INDEX made_x ON made (x)" },
    { NULL, "INSERT INTO made VALUES (1), (2)" },
    { NULL, "DROP TABLE old" },
    { lido_txn_release, "two" },
    { NULL, "UPDATE filler SET x = replace(x, '1', '2')" },
    { NULL, "UPDATE counter SET n = n + 1" },
};

int ledger_steps(void)
{
    return sizeof steps / sizeof steps[0];
}

int ledger_step(const struct lido_conn *conn, int step, struct lido_error *err)
{
    const struct step *at = &steps[step];

    return at->savepoint != NULL ? at->savepoint(conn, at->text, err)
                                 : lido_conn_exec(conn, at->text, err);
}

int ledger_work(void *ctx, const struct lido_conn *conn, struct lido_error *err)
{
    int rc = LIDO_OK;

    (void)ctx;
    for (int i = 0; i < ledger_steps() && rc == LIDO_OK; i++)
        rc = ledger_step(conn, i, err);
    return rc;
}

/* --- what is there ---------------------------------------------------------------------- */

/* One text that says all: answers SQLite's code. */
static int ask(sqlite3 *db, const char *sql, char *out, size_t size)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    out[0] = '\0';
    if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        snprintf(out, size, "%s", (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? SQLITE_OK : rc & 0xff;
}

static const char summary[] =
    "SELECT group_concat(what, ' ') FROM ("
    "SELECT (SELECT sum(amount) FROM a) || '+' || (SELECT sum(amount) FROM b) AS what "
    "UNION ALL SELECT 'n' || (SELECT group_concat(n) FROM counter) "
    "UNION ALL SELECT count(*) || 'x' || min(substr(x, 1, 1)) || max(substr(x, -1)) FROM "
    "filler UNION ALL SELECT (SELECT group_concat(name) FROM (SELECT name FROM "
    "sqlite_master WHERE name NOT IN ('a', 'b', 'counter', 'filler') ORDER BY name)))";

enum ledger ledger_look(sqlite3 *db)
{
    char check[100];
    int rc = ask(db, summary, story, sizeof story);

    if (rc == SQLITE_OK)
        rc = ask(db, "SELECT * FROM pragma_integrity_check", check, sizeof check);
    if (rc == SQLITE_OK && strcmp(check, "ok") != 0)
        snprintf(story, sizeof story, "not sound: %s", check);
    else if (rc != SQLITE_OK)
        snprintf(story, sizeof story, "cannot be read: %s", sqlite3_errmsg(db));
    if (rc == SQLITE_BUSY)
        return LEDGER_BUSY;
    if (strcmp(story, "60+40 n1 6x11 old") == 0)
        return LEDGER_BEFORE;
    if (strcmp(story, "30+70 n2 6x22 made,made_x") != 0)
        return LEDGER_BROKEN;
    rc = ask(db, "SELECT group_concat(x) FROM made", check, sizeof check);
    return rc == SQLITE_OK && strcmp(check, "1,2") == 0 ? LEDGER_AFTER : LEDGER_BROKEN;
}

static enum ledger look_at(const char *name)
{
    enum ledger state;
    sqlite3 *db;

    cr_assert_eq(sqlite3_open_v2(name, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    state = ledger_look(db);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    return state;
}

enum ledger ledger_look_beside(void)
{
    return look_at(path);
}

/* The copier is a process of its own, which has no locks to lose by closing a file.  It copies
   for each byte, and ends with the pipe. */
static void copy_files(int asked, int done)
{
    static char bytes[MOST];
    char byte;

    while (read(asked, &byte, 1) == 1) {
        for (int i = 0; i < 3; i++) {
            size_t size = read_file(file_of(path, i), bytes, sizeof bytes);

            if (size > 0)
                write_file(file_of(copy, i), bytes, size);
        }
        if (write(done, &byte, 1) != 1)
            return;
    }
}

static void start_copier(void)
{
    int asked[2], done[2];

    cr_assert_eq(pipe(asked), 0);
    cr_assert_eq(pipe(done), 0);
    copier = fork();
    cr_assert_geq(copier, 0);
    if (copier == 0) {
        close(asked[1]);
        close(done[0]);
        copy_files(asked[0], done[1]);
        _exit(0);
    }
    close(asked[0]);
    close(done[1]);
    ask_copier = asked[1];
    copier_done = done[0];
}

static void end_copier(void)
{
    if (copier <= 0)
        return;
    close(ask_copier);
    close(copier_done);
    cr_assert_eq(waitpid(copier, NULL, 0), copier);
    copier = 0;
}

enum ledger ledger_look_after_crash(void)
{
    enum ledger state;
    char byte = 'c';

    if (copier == 0)
        start_copier();
    cr_assert_eq(write(ask_copier, &byte, 1), 1);
    cr_assert_eq(read(copier_done, &byte, 1), 1);
    state = look_at(copy);
    remove_files(copy);
    return state;
}

const char *ledger_story(enum ledger state)
{
    switch (state) {
    case LEDGER_BEFORE: return "before";
    case LEDGER_AFTER: return "after";
    case LEDGER_BROKEN: break;
    case LEDGER_BUSY: break;
    }
    return story;
}

void ledger_remove(void)
{
    if (folder[0] == '\0')
        return;
    end_copier();
    remove_files(path);
    remove_files(copy);
    own_folder_end(folder);
    folder[0] = '\0';
}
