/* SPDX-License-Identifier: MIT */
/*
 * Databases to dump and to load, and the comparing of two.
 *
 * Threads: one at a time.
 */
#include "dumped.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "dumped: %s: %s\n", what, why);
    abort();
}

static sqlite3 *open_file(const char *path)
{
    sqlite3 *db;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        stop(path, sqlite3_errmsg(db));
    return db;
}

static void run_on(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        stop(sql, sqlite3_errmsg(db));
}

void run(const char *path, const char *sql)
{
    sqlite3 *db = open_file(path);

    run_on(db, sql);
    sqlite3_close(db);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        stop(sql, sqlite3_errmsg(db));
    return stmt;
}

void expect_number(const char *path, const char *sql, long long number)
{
    sqlite3 *db = open_file(path);
    sqlite3_stmt *stmt = prepare(db, sql);
    char got[100];

    if (sqlite3_step(stmt) != SQLITE_ROW)
        stop(sql, sqlite3_errmsg(db));
    snprintf(got, sizeof got, "%lld instead of %lld", sqlite3_column_int64(stmt, 0),
             number);
    if (sqlite3_column_int64(stmt, 0) != number)
        stop(sql, got);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

/* --- databases ---------------------------------------------------------------------------- */

static const char rich[] =
    "PRAGMA page_size=8192; PRAGMA auto_vacuum=2; PRAGMA user_version=-7;"
    "PRAGMA application_id=1818846063;"
    "CREATE TABLE plain (a, b TEXT, c REAL, d INTEGER, e BLOB);"
    "INSERT INTO plain VALUES(NULL, 'it''s', 3, 9223372036854775807, X'00ff10'),"
    "  (-9223372036854775807 - 1, 'two'||char(10)||'lines; -- no', 0.1, 5, X''),"
    "  (1, '', 1, NULL, zeroblob(5000)),"
    "  ('dos'||char(13)||char(10)||'it''s'||char(13), char(13), 1e300, -1, 'text'),"
    "  ('mark \\r'||char(13)||char(10), 'a\\'||char(13), 5e-324, 2.5, "
    "1.7976931348623157e308),"
    "  ('nul'||char(0)||'inside', CAST(X'ff41' AS TEXT), 123456789012345678, '12', 3.0),"
    "  ('\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80', CAST(X'eda080' AS TEXT), 0.0, 0, 1e15);"
    "CREATE TABLE ends (x, y REAL); INSERT INTO ends VALUES(1e999, -1e999), (-1e999, "
    "1e999);"
    "DELETE FROM plain WHERE rowid = 3; INSERT INTO plain(rowid, a) VALUES(-40, 'low');"
    "CREATE TABLE alias (id INTEGER PRIMARY KEY, x); INSERT INTO alias VALUES(9,1),(3,2);"
    "CREATE TABLE falling (id INTEGER PRIMARY KEY DESC, x);"
    "INSERT INTO falling(rowid, id, x) VALUES(12, 5, 1), (4, 99, 2);"
    "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, x UNIQUE);"
    "INSERT INTO counted VALUES(50, 'a'), (60, 'b'); DELETE FROM counted WHERE id = 60;"
    "CREATE TABLE empty_counted (id INTEGER PRIMARY KEY AUTOINCREMENT);"
    "CREATE TABLE taken (rowid TEXT, _rowid_, x); INSERT INTO taken VALUES('r', 1, 2);"
    "DELETE FROM taken; INSERT INTO taken(oid, rowid) VALUES(44, 'kept');"
    "CREATE TABLE all_taken (rowid, _ROWID_, Oid); INSERT INTO all_taken VALUES(1, 2, 3);"
    "CREATE TABLE keyed (k TEXT COLLATE NOCASE, n INT, v, PRIMARY KEY (k, n DESC)) "
    "  WITHOUT ROWID; INSERT INTO keyed VALUES('b', 1, X'01'), ('A', 2, NULL), ('a', 3, "
    "0.5);"
    "CREATE TABLE strict (i INTEGER PRIMARY KEY, t TEXT, r REAL, x ANY, b BLOB) STRICT;"
    "INSERT INTO strict VALUES(1, '1', 2, '3', X'04'), (2, '', 5e-1, 6.0, X'');"
    "CREATE TABLE made (a INT, g AS (a * 2), s TEXT GENERATED ALWAYS AS ('<'||a||'>') "
    "STORED,"
    "  z DEFAULT (1 + 1)); INSERT INTO made(a) VALUES(1), (2);"
    "CREATE TABLE made_keyed (k INTEGER PRIMARY KEY, g AS (k + 1)); "
    "INSERT INTO made_keyed(k) VALUES(7);"
    "CREATE TABLE \"a\"\"b\" (\"c\"\"d\", [x y], `z``w`, '');"
    "INSERT INTO \"a\"\"b\" VALUES(1, 2, 3, 4);"
    "CREATE TABLE \"[x]\" (\"[y]\" TEXT DEFAULT 'it''s;'); INSERT INTO \"[x]\" VALUES('v');"
    "CREATE TABLE \"x; drop table y\" (\"select\", \"order\", \"--\", \"/*\");"
    "INSERT INTO \"x; drop table y\" VALUES(1, 2, 3, 4);"
    "CREATE TABLE \"it's\" (\"what's\"); INSERT INTO \"it's\" VALUES('''');"
    "CREATE TABLE \"\xc3\xa4 \xe2\x82\xac\" (\"\xc3\xb6\"); "
    "INSERT INTO \"\xc3\xa4 \xe2\x82\xac\" VALUES('\xc3\xbc');"
    "CREATE TABLE \"table\" (\"table\" INT); INSERT INTO \"table\" VALUES(1);"
    "CREATE TABLE \"two\nlines\" (\"a\nb\" -- why\n, c /* ; */); "
    "INSERT INTO \"two\nlines\" VALUES(1, 2);"
    "CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (p REFERENCES "
    "parent);"
    "INSERT INTO parent VALUES(1); INSERT INTO child VALUES(1), (NULL);"
    "CREATE TABLE log (what); CREATE TRIGGER noted AFTER INSERT ON alias BEGIN "
    "  INSERT INTO log VALUES('in; ' || new.id); DELETE FROM log WHERE 0; END;"
    "CREATE VIEW seen AS SELECT id, x, 'end;' AS e FROM alias;"
    "CREATE TRIGGER seen_in INSTEAD OF INSERT ON seen BEGIN "
    "  INSERT INTO alias VALUES(new.id, CASE new.x WHEN 1 THEN 2 ELSE 3 END); END;"
    "CREATE INDEX by_b ON plain (b); CREATE INDEX part ON plain (a) WHERE a > 'x;';"
    "CREATE UNIQUE INDEX \"by expr;\" ON alias (abs(x));"
    "CREATE VIRTUAL TABLE docs USING fts5(body);"
    "INSERT INTO docs VALUES('the quick brown'), ('it''s slow'), ('quick; again');"
    "DELETE FROM docs WHERE rowid = 2; CREATE TABLE docs_extra (x);"
    "CREATE TABLE kept (body); INSERT INTO kept(rowid, body) VALUES(77, 'a fox');"
    "CREATE VIRTUAL TABLE outside USING fts5(body, content='kept');"
    "INSERT INTO outside(rowid, body) SELECT rowid, body FROM kept;"
    "CREATE VIRTUAL TABLE \"box's\" USING rtree(id, x0, x1);"
    "INSERT INTO \"box's\" VALUES(1, 0.5, 2.25), (2, -1, 1);"
    "CREATE VIEW over AS SELECT * FROM docs;"
    "ANALYZE;";

static void make_long_names(sqlite3 *db)
{
    char name[1001], sql[3200];

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(sql, sizeof sql,
             "CREATE TABLE \"%s\" (\"%s\"); INSERT INTO \"%s\" VALUES('long')", name, name,
             name);
    run_on(db, sql);
}

void make_rich(const char *path)
{
    sqlite3 *db = open_file(path);

    run_on(db, rich);
    make_long_names(db);
    sqlite3_close(db);
}

void make_rich_utf16(const char *path, const char *encoding)
{
    sqlite3 *db = open_file(path);
    char *sql = sqlite3_mprintf("PRAGMA encoding=%Q", encoding);

    run_on(db, sql);
    sqlite3_free(sql);
    run_on(db, "CREATE TABLE t (a, \"\xc3\xa4\");"
               "INSERT INTO t VALUES('\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80', 'it''s'),"
               "('nul'||char(0)||'in', 'dos'||char(13)||char(10)),"
               "('mark \\r'||char(13)||char(10)||'\xe2\x82\xac', 1.5),"
               "(CAST(X'00d84100' AS TEXT), CAST(X'd8000041' AS TEXT)),"
               "(CAST(X'00dc' AS TEXT), CAST(X'dc00' AS TEXT)),"
               "(CAST(X'6100feff6200' AS TEXT), CAST(X'0061fffe0062' AS TEXT)),"
               "(CAST(X'ffff' AS TEXT), CAST(X'fffeffff' AS TEXT))");
    sqlite3_close(db);
}

void add_reals(const char *path, int count)
{
    sqlite3 *db = open_file(path);
    sqlite3_stmt *insert;
    uint64_t bits = 88172645463325252u;

    run_on(db, "BEGIN");
    insert = prepare(db, "INSERT INTO r VALUES(?1, ?1)");
    for (int i = 0; i < count; i++) {
        double number;

        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        memcpy(&number, &bits, sizeof number);
        if (i % 3 == 0)
            number = (double)(bits >> 40) / 1000;
        sqlite3_bind_double(insert, 1, number);
        if (sqlite3_step(insert) != SQLITE_DONE || sqlite3_reset(insert) != SQLITE_OK)
            stop("reals", sqlite3_errmsg(db));
    }
    sqlite3_finalize(insert);
    run_on(db, "COMMIT");
    sqlite3_close(db);
}

/* --- the dump --------------------------------------------------------------------------- */

struct pile {
    char *text;
    size_t size, room;
    int statements;
};

static int add(void *ctx, const char *text, size_t length, struct lido_error *err)
{
    struct pile *pile = ctx;

    (void)err;
    if (pile->size + length + 1 > pile->room) {
        pile->room = 2 * (pile->size + length + 1);
        pile->text = realloc(pile->text, pile->room);
    }
    if (pile->text == NULL)
        abort();
    memcpy(pile->text + pile->size, text, length + 1);
    pile->size += length;
    pile->statements++;
    return LIDO_OK;
}

char *dumped(struct lido_database at, const struct lido_dump_options *options,
             int *statements)
{
    struct pile pile = { NULL, 0, 0, 0 };
    struct lido_error err;

    if (lido_dump(at, options, add, &pile, &err) != LIDO_OK)
        stop("dump", err.text);
    if (statements != NULL)
        *statements = pile.statements;
    return pile.text;
}

/* --- two databases ---------------------------------------------------------------------- */

static void compare_values(sqlite3_stmt *one, sqlite3_stmt *two, int column,
                           const char *table)
{
    const int type = sqlite3_column_type(one, column);
    double left, right;

    if (type != sqlite3_column_type(two, column))
        stop(table, "a type differs");
    if (type == SQLITE_FLOAT) {
        left = sqlite3_column_double(one, column);
        right = sqlite3_column_double(two, column);
        if (memcmp(&left, &right, sizeof left) != 0)
            stop(table, "a real differs");
        return;
    }
    if (type == SQLITE_INTEGER &&
        sqlite3_column_int64(one, column) != sqlite3_column_int64(two, column))
        stop(table, "an integer differs");
    if (type == SQLITE_INTEGER || type == SQLITE_NULL)
        return;
    /* Texts as the database has them: by CAST in the query. */
    if (sqlite3_column_bytes(one, column) != sqlite3_column_bytes(two, column) ||
        (sqlite3_column_bytes(one, column) > 0 &&
         memcmp(sqlite3_column_blob(one, column), sqlite3_column_blob(two, column),
                (size_t)sqlite3_column_bytes(one, column)) != 0))
        stop(table, "a text or a blob differs");
}

static void compare_rows(sqlite3_stmt *one, sqlite3_stmt *two, const char *table)
{
    for (;;) {
        const int rc = sqlite3_step(one);

        if (rc != sqlite3_step(two))
            stop(table, "it has not as many rows");
        if (rc == SQLITE_DONE)
            return;
        if (rc != SQLITE_ROW)
            stop(table, sqlite3_errmsg(sqlite3_db_handle(one)));
        for (int i = 0; i < sqlite3_column_count(one); i++)
            compare_values(one, two, i, table);
    }
}

/* All columns, each once as it is and once as bytes. */
static char *query_of(sqlite3 *db, const char *table)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    char *ask = sqlite3_mprintf("SELECT name FROM pragma_table_xinfo(%Q)", table);
    sqlite3_stmt *columns = prepare(db, ask);
    const char *comma = "";

    sqlite3_str_appendall(sql, "SELECT ");
    for (; sqlite3_step(columns) == SQLITE_ROW; comma = ", ") {
        const char *name = (const char *)sqlite3_column_text(columns, 0);

        sqlite3_str_appendf(sql, "%s\"%w\", CAST(\"%w\" AS BLOB)", comma, name, name);
    }
    sqlite3_str_appendf(sql, " FROM \"%w\"", table);
    sqlite3_finalize(columns);
    sqlite3_free(ask);
    return sqlite3_str_finish(sql);
}

void expect_same_rows(const char *path, const char *other)
{
    sqlite3 *one = open_file(path), *two = open_file(other);
    sqlite3_stmt *tables = prepare(one, "SELECT name FROM pragma_table_list WHERE schema = "
                                        "'main' AND name NOT LIKE 'sqlite\\_schema' "
                                        "ESCAPE '\\'");
    int count = 0;

    for (; sqlite3_step(tables) == SQLITE_ROW; count++) {
        const char *table = (const char *)sqlite3_column_text(tables, 0);
        char *sql = query_of(one, table);
        sqlite3_stmt *left = prepare(one, sql), *right = prepare(two, sql);

        compare_rows(left, right, table);
        sqlite3_finalize(left);
        sqlite3_finalize(right);
        sqlite3_free(sql);
    }
    if (count == 0)
        stop(path, "it has no table");
    sqlite3_finalize(tables);
    sqlite3_close(one);
    sqlite3_close(two);
}
