/* SPDX-License-Identifier: MIT */
/*
 * `lido doctor`: the SQLite of this process, and how a database is set up, with advice where
 * there is something to say.
 *
 * Advice is of two sorts: a note on what could be better, and a warning of what loses data or
 * fails, for which the exit status is 3.
 *
 * Threads: one.
 */
#include "cli/command.h"
#include "cli/memory_cost.h"
#include "cli/open.h"
#include "cli/process_sqlites.h"
#include "report/units.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum level { FINE, NOTE, WARNING };
static const char *const level_names[] = { "fine", "note", "warning" };

static struct finding {
    const char *name;
    char value[600];
    enum level level;
    const char *advice; /* NULL where it is fine */
} findings[40];
static int n;

static void find(const char *name, enum level level, const char *advice, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));
static void find(const char *name, enum level level, const char *advice, const char *format,
                 ...)
{
    struct finding *now = &findings[n];
    va_list args;

    if (n == (int)(sizeof findings / sizeof findings[0]))
        return;
    n++;
    now->name = name;
    now->level = level;
    now->advice = level == FINE ? NULL : advice;
    va_start(args, format);
    vsnprintf(now->value, sizeof now->value, format, args);
    va_end(args);
}

/* --- the process ----------------------------------------------------------------------- */

static void find_options(void)
{
    static const char *const wanted[] = {
        "ENABLE_API_ARMOR",
        "ENABLE_BATCH_ATOMIC_WRITE",
        "ENABLE_COLUMN_METADATA",
        "ENABLE_DBSTAT_VTAB",
        "ENABLE_FTS5",
        "ENABLE_PREUPDATE_HOOK",
        "ENABLE_SESSION",
        "ENABLE_SETLK_TIMEOUT",
        "ENABLE_SNAPSHOT",
        "ENABLE_STAT4",
        "ENABLE_UNLOCK_NOTIFY",
        "OMIT_AUTOINIT",
        "OMIT_LOOKASIDE",
        "OMIT_PROGRESS_CALLBACK",
        "OMIT_WAL",
        "SECURE_DELETE",
        "USE_URI",
    };
    char text[600] = "";
    size_t at = 0;

    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (sqlite3_compileoption_used(wanted[i]) && at < sizeof text)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at > 0 ? " " : "",
                                   wanted[i]);
    if (!sqlite3_compileoption_used("ENABLE_DBSTAT_VTAB"))
        find("options", NOTE, "without ENABLE_DBSTAT_VTAB 'lido sizes' cannot tell", "%s",
             text);
    else
        find("options", FINE, NULL, "%s", text);
}

/* Here nothing is open yet. */
static void find_statistics(void)
{
    static const char advice[] =
        "each allocation takes one lock for them, whichever connection it is for: "
        "lido_process_tune() turns them off";
    struct memory_cost cost;

    memory_cost_measure(&cost);
    if (cost.is_known)
        find("statistics of memory", NOTE, advice,
             "on: an allocation takes %.0f ns, without %.0f; with %d threads %.0f, "
             "without %.0f",
             cost.on[0], cost.off[0], cost.threads, cost.on[1], cost.off[1]);
    else
        find("statistics of memory", cost.is_on ? NOTE : FINE, advice, "%s",
             cost.is_on ? "on" : "off");
}

static void look_at_process(void)
{
    static const char *const modes[] = { "single-thread", "serialized", "multi-thread" };
    const int mode = sqlite3_threadsafe();
    char where[500];
    const int copies = process_sqlites(where, sizeof where);

    find("lido", FINE, NULL, "%s", lido_version());
    find("SQLite", FINE, NULL, "%s", sqlite3_libversion());
    find("SQLite's source", FINE, NULL, "%s", sqlite3_sourceid());
    find("threads", mode == 0 ? WARNING : FINE,
         "this SQLite may not be used by threads: take one with SQLITE_THREADSAFE=1 or 2",
         "%s", modes[mode >= 0 && mode <= 2 ? mode : 1]);
    find_options();
    find("copies of SQLite", copies > 1 ? WARNING : FINE,
         "two in one process drop each other's locks on a file, which corrupts it: link "
         "one only",
         "%d%s%s", copies, copies > 0 ? ": " : "", where);
    find_statistics();
}

/* --- the file -------------------------------------------------------------------------- */

static const struct file_system {
    unsigned long magic;
    const char *name;
    enum level level;
} file_systems[] = {
    { 0xEF53, "ext", FINE },           { 0x58465342, "xfs", FINE },
    { 0x9123683E, "btrfs", FINE },     { 0x01021994, "tmpfs", NOTE },
    { 0x858458F6, "ramfs", NOTE },     { 0x794C7630, "overlayfs", FINE },
    { 0x2FC12FC1, "zfs", FINE },       { 0xF2F52010, "f2fs", FINE },
    { 0xCA451A4E, "bcachefs", FINE },  { 0x4D44, "vfat", NOTE },
    { 0x2011BAB0, "exfat", NOTE },     { 0x5346544E, "ntfs", NOTE },
    { 0x7366746E, "ntfs3", NOTE },     { 0x73717368, "squashfs", FINE },
    { 0x6969, "nfs", WARNING },        { 0x517B, "smb", WARNING },
    { 0xFF534D42, "cifs", WARNING },   { 0xFE534D42, "smb2", WARNING },
    { 0x00C36400, "ceph", WARNING },   { 0x5346414F, "afs", WARNING },
    { 0x73757245, "coda", WARNING },   { 0x47504653, "gpfs", WARNING },
    { 0x0BD00BD0, "lustre", WARNING }, { 0x01021997, "9p", WARNING },
    { 0x65735546, "fuse", WARNING },   { 0x786F4256, "vboxsf", WARNING },
};

static void look_at_file_system(const char *path)
{
    struct statfs status;

    if (statfs(path, &status) != 0)
        return;
    for (size_t i = 0; i < sizeof file_systems / sizeof file_systems[0]; i++) {
        const struct file_system *at = &file_systems[i];

        if (at->magic == (unsigned long)(status.f_type & 0xFFFFFFFFL)) {
            find(
                "file system", at->level,
                at->level == WARNING
                    ? "locks and shared memory of a network's or a foreign file system are "
                      "not to be relied on: keep the database on a local disk"
                    : "it does not keep files as a disk does: mind a loss of power",
                "%s", at->name);
            return;
        }
    }
    find("file system", NOTE, "is it local? SQLite wants locks that work", "unknown (%#lx)",
         (unsigned long)status.f_type);
}

static void look_at_file(const char *path)
{
    char folder[PATH_MAX], *end;
    struct stat status;

    /* Where the file is, and not a link to it: there goes the journal. */
    if (realpath(path, folder) == NULL)
        return;
    end = strrchr(folder, '/');
    end[end == folder] = '\0';
    if (stat(path, &status) == 0)
        find("names", status.st_nlink > 1 ? WARNING : FINE,
             "the journal goes by the name: who opens it by another one does not see that "
             "it has to be recovered, which corrupts it",
             "%lu", (unsigned long)status.st_nlink);
    if (access(path, W_OK) != 0 || access(folder, W_OK) != 0)
        find("may be written", NOTE,
             "this user may not write both the file and its folder, where the journal goes",
             "no");
    else
        find("may be written", FINE, NULL, "yes");
    look_at_file_system(path);
}

/* --- the database ---------------------------------------------------------------------- */

struct asked {
    char text[40];
    int64_t number;
};

static int keep(void *ctx, const struct lido_stmt *row, struct lido_error *err)
{
    struct asked *asked = ctx;
    const char *text = lido_stmt_text(row, 0, NULL);

    (void)err;
    snprintf(asked->text, sizeof asked->text, "%s", text != NULL ? text : "");
    asked->number = lido_stmt_integer(row, 0);
    return LIDO_OK;
}

enum pragma {
    JOURNAL_MODE,
    SYNCHRONOUS,
    FOREIGN_KEYS,
    PAGE_SIZE,
    PAGE_COUNT,
    FREELIST,
    CACHE_SIZE,
    MMAP_SIZE,
    AUTO_VACUUM,
    CHECKPOINT,
    TRUSTED_SCHEMA,
    ENCODING,
    PRAGMAS
};

static int ask(struct call *call, struct asked *asked)
{
    static const char *const pragmas[] = {
        [JOURNAL_MODE] = "PRAGMA main.journal_mode",
        [SYNCHRONOUS] = "PRAGMA main.synchronous",
        [FOREIGN_KEYS] = "PRAGMA foreign_keys",
        [PAGE_SIZE] = "PRAGMA main.page_size",
        [PAGE_COUNT] = "PRAGMA main.page_count",
        [FREELIST] = "PRAGMA main.freelist_count",
        [CACHE_SIZE] = "PRAGMA main.cache_size",
        [MMAP_SIZE] = "PRAGMA main.mmap_size",
        [AUTO_VACUUM] = "PRAGMA main.auto_vacuum",
        [CHECKPOINT] = "PRAGMA wal_autocheckpoint",
        [TRUSTED_SCHEMA] = "PRAGMA trusted_schema",
        [ENCODING] = "PRAGMA encoding",
    };
    struct lido_conn conn;
    lido_pool *pool;
    int rc = open_database(call, &pool, &conn);

    if (rc != LIDO_OK)
        return rc;
    for (int i = 0; rc == LIDO_OK && i < PRAGMAS; i++)
        rc = lido_conn_query(&conn, pragmas[i], NULL, 0, keep, &asked[i], &call->err);
    return open_end(pool, &conn, rc);
}

static void judge(const struct asked *asked, int64_t log)
{
    static const char *const synchronous[] = { "off", "normal", "full", "extra" };
    static const char *const auto_vacuum[] = { "none", "full", "incremental" };
    const bool is_wal = sqlite3_stricmp(asked[JOURNAL_MODE].text, "wal") == 0;
    const int64_t size = asked[PAGE_COUNT].number * asked[PAGE_SIZE].number;
    const int64_t sync = asked[SYNCHRONOUS].number, free_pages = asked[FREELIST].number;
    const bool has_much_free =
        free_pages > 100 && free_pages * 4 > asked[PAGE_COUNT].number;

    find("journal mode", is_wal ? FINE : NOTE,
         "readers and writers keep each other out: with journal_mode=wal they do not", "%s",
         asked[JOURNAL_MODE].text);
    find("synchronous",
         sync == 0            ? WARNING
         : is_wal && sync > 1 ? NOTE
                              : FINE,
         sync == 0 ? "a loss of power may corrupt the database"
                   : "with the write-ahead log, normal is safe too and quicker, but a loss "
                     "of power may undo the last commits",
         "%s", synchronous[sync & 3]);
    find("foreign keys", asked[FOREIGN_KEYS].number ? FINE : NOTE,
         "SQLite does not check them unless each connection says so: foreign_keys=on in "
         "the pool's URL",
         "%s", asked[FOREIGN_KEYS].number ? "on" : "off");
    find("page size", asked[PAGE_SIZE].number < 4096 ? NOTE : FINE,
         "4096 is mostly quicker: set page_size and vacuum, not in WAL mode", "%s",
         asked[PAGE_SIZE].text);
    find("cache size", FINE, NULL, asked[CACHE_SIZE].number < 0 ? "%lld kiB" : "%lld pages",
         (long long)(asked[CACHE_SIZE].number < 0 ? -asked[CACHE_SIZE].number
                                                  : asked[CACHE_SIZE].number));
    find("mapped memory", asked[MMAP_SIZE].number > 0 ? NOTE : FINE,
         "where the disk fails the process gets SIGBUS, and no code", "%s",
         units_bytes(asked[MMAP_SIZE].number).text);
    find("auto_vacuum", FINE, NULL, "%s",
         auto_vacuum[asked[AUTO_VACUUM].number <= 2 ? asked[AUTO_VACUUM].number : 0]);
    find("encoding", FINE, NULL, "%s", asked[ENCODING].text);
    find("trusted schema", FINE, NULL, "%s", asked[TRUSTED_SCHEMA].number ? "on" : "off");
    if (is_wal)
        find("checkpoint each", asked[CHECKPOINT].number <= 0 ? NOTE : FINE,
             "the log grows until somebody runs a checkpoint", "%lld pages",
             (long long)asked[CHECKPOINT].number);
    find("size", FINE, NULL, "%s", units_bytes(size).text);
    find("free pages", has_much_free ? NOTE : FINE, "'lido vacuum' gives them back", "%s",
         units_count(free_pages).text);
    if (log >= 0)
        find("write-ahead log", log > 64000000 && log > size ? NOTE : FINE,
             "a reader that stays keeps it from beginning anew; 'lido checkpoint --mode "
             "truncate' empties it",
             "%s", units_bytes(log).text);
}

static int look_at_database(struct call *call)
{
    struct asked asked[PRAGMAS] = { { "", 0 } };
    char log[4096];
    struct stat status;
    int64_t log_size = -1;
    int rc;

    /* Before it is opened: the last connection that closes takes the log away. */
    snprintf(log, sizeof log, "%s-wal", call->operands[0]);
    if (stat(log, &status) == 0)
        log_size = status.st_size;
    rc = ask(call, asked);
    if (rc != LIDO_OK)
        return open_advise_log(call, call->operands[0], rc);
    judge(asked, log_size);
    look_at_file(call->operands[0]);
    return LIDO_OK;
}

static int run(struct call *call)
{
    int rc;

    look_at_process();
    rc = call->n_operands > 0 ? look_at_database(call) : LIDO_OK;
    for (int i = 0; i < n; i++)
        if (findings[i].level == WARNING)
            call->answer = CLI_PROBLEMS;
    return rc;
}

static void text(struct call *call)
{
    static const char *const colors[] = { "", "\033[33m", "\033[31m" };

    for (int i = 0; i < n; i++) {
        const struct finding *now = &findings[i];

        printf("%-21s %s\n", now->name, now->value);
        if (now->advice != NULL)
            printf("  %s%s%s: %s\n", call->has_color ? colors[now->level] : "",
                   level_names[now->level], call->has_color ? "\033[0m" : "", now->advice);
    }
}

static void json(struct call *call, struct json *json)
{
    (void)call;
    json_array(json, "findings");
    for (int i = 0; i < n; i++) {
        json_object(json, NULL);
        json_text(json, "name", findings[i].name);
        json_text(json, "value", findings[i].value);
        json_text(json, "level", level_names[findings[i].level]);
        json_text(json, "advice", findings[i].advice);
        json_close(json);
    }
    json_close(json);
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "look for what is set up badly",
    .operands = "[DATABASE]",
    .most = 1,
    .help =
        "Tells how the SQLite of this process was built and, of a database, how it is\n"
        "set up, with advice where there is something to say. It answers 3 if there is a\n"
        "warning. What belongs to a connection is told as a new one of lido has it.\n"
        "\n",
    .run = run,
    .text = text,
    .json = json,
};
