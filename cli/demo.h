/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_DEMO_H
#define LIDO_CLI_DEMO_H

/*
 * The demo in parts.
 *
 *     demo_options    what was asked for
 *     demo_original   the user's file: may it be read, was it left alone
 *     demo_copy       a copy of it in a directory of our own
 *     demo_tables     what the threads read, and our accounts in the copy
 *     demo_run        one pool and its threads
 *     demo_work       what each of the threads does
 *     demo_writers    threads that all write, by SQLite alone and by lido
 *     demo_bare       those by SQLite alone
 *     demo_check      what must be true afterwards
 *     demo_report     telling it
 *     demo_told       telling who waited how long
 */
#include "cli/cli.h"
#include "report/histogram.h"
#include "report/progress.h"

#include <lido/lido.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* Why the demo cannot go on: how the process ends, and a line for people. */
struct demo_error {
    int answer; /* enum cli_exit */
    int code;   /* the same as a code of SQLite's or lido's; 0: by the answer */
    char text[512];
};
/* Fills it and returns `answer`; what is there already stays. */
int demo_fail(struct demo_error *error, int answer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes one line of it: SQLite's messages may have several. */
void demo_flatten(char *text);

/* 0, or the failure that a pending signal is. */
int demo_interrupted(struct demo_error *error);

/* A progress handler for SQLite that ends a long statement when a signal came. */
int demo_sqlite_interrupt(void *unused);

enum { DEMO_KINDS = 5, DEMO_MAX_THREADS = 256 };

struct demo_options {
    const char *database;
    int threads;
    int writers;                       /* threads that all write; 0: without that part */
    double seconds;                    /* for each kind, and each way to write */
    int64_t transfers;                 /* the same; 0: as many as the seconds allow */
    const char *kinds[DEMO_KINDS + 1]; /* ended by NULL */
    enum progress_when progress;
    double timeout; /* seconds to wait until nobody uses the original */
    bool is_json, is_quiet;
    const char *keep; /* where the copy is left, or NULL */
    uint64_t seed;
    bool wants_help;
};
/* 0 or CLI_USAGE, which it has told. */
int demo_options_parse(struct demo_options *options, int argc, char **argv);

/* What can be seen of a file without opening it. */
struct demo_witness {
    struct stat file;
    char *names; /* of the directory's entries that begin with the file's name, sorted */
};
struct demo_original {
    char *path; /* absolute, no symbolic link in it */
    struct demo_witness before;
};
/* Finds the file, and refuses it if it cannot be copied without touching it.  Forks: to be
   called while the process has one thread and no pool. */
int demo_original_find(struct demo_original *original, const char *name, double timeout,
                       struct demo_error *error);
/* Looks again: did anybody begin to use it while it was copied? */
int demo_original_recheck(const struct demo_original *original, struct demo_error *error);
/* True if it looks as it did at first; else *difference, of `size` bytes, says what not. */
bool demo_original_is_untouched(const struct demo_original *original, char *difference,
                                size_t size);
void demo_original_fini(struct demo_original *original);

struct demo_table {
    char *read; /* SELECT with one parameter, from low to high, for a row at random */
    int64_t low, high;
};
struct demo_copy {
    char *dir; /* of our own, or NULL */
    char *path;
    int64_t size;
    struct demo_table *tables;
    size_t n_tables;               /* of the user, that hold a row and can be read */
    char accounts[40], ledger[40]; /* names that the file did not have */
    char soundness[160];           /* what integrity_check said before we began */
};
int demo_copy_make(struct demo_copy *copy, const struct demo_original *original,
                   struct progress *progress, struct demo_error *error);
/* Copies it to `name`, which must not exist. */
int demo_copy_keep(const struct demo_copy *copy, const char *name,
                   struct demo_error *error);
/* Removes all files and frees all memory. */
void demo_copy_fini(struct demo_copy *copy);
/* "file:" and the path with everything escaped that a URI gives a meaning, then `query`.
   To be freed; NULL without memory. */
char *demo_uri(const char *scheme, const char *path, const char *query);
/* Opens the copy without a pool, for our own bookkeeping. */
int demo_copy_open(const struct demo_copy *copy, sqlite3 **db, struct demo_error *error);

enum { DEMO_ACCOUNTS = 64, DEMO_BALANCE = 1000 };
/* Finds what can be read, and makes our tables. */
int demo_tables_prepare(struct demo_copy *copy, struct demo_error *error);

/* What one kind of pool did. */
struct demo_result {
    const char *kind;
    int64_t elapsed_ns;
    struct lido_pool_stats stats; /* when the threads had ended */
    struct histogram *checkout;   /* times of lido_pool_checkout() */
    struct histogram *txn;        /* from before lido_txn_begin() to after the commit */
    int64_t transfers;            /* committed */
    int64_t declined;             /* rolled back: the account held too little */
    int64_t retries;              /* given up by SQLITE_BUSY and tried again later */
    int64_t rows;                 /* read */
    int64_t unreadable;           /* rows of the user's tables that SQLite could not read */
    int64_t not_immediate;        /* transactions that began without the write lock */
    struct lido_error failure;    /* the first that no thread can explain; code 0: none */
};

struct demo_check {
    const char *kind; /* NULL: of the copy as a whole */
    const char *name;
    bool holds;
    char detail[200];
};
enum { DEMO_CHECKS = 64 };
struct demo_checks {
    size_t n;
    struct demo_check list[DEMO_CHECKS];
};
void demo_checks_add(struct demo_checks *checks, const char *kind, const char *name,
                     bool holds, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Runs the threads on a pool of one kind, checks it, and closes it. */
int demo_run_kind(struct demo_result *result, const char *kind,
                  const struct demo_options *options, const struct demo_copy *copy,
                  struct demo_checks *checks, struct progress *progress,
                  struct demo_error *error);
void demo_result_fini(struct demo_result *result);

/* One of many threads that want to write. */
struct demo_writer {
    int number;                         /* from 1 */
    int64_t commits, declined, refused; /* refused: the database was locked for too long */
    int64_t late; /* of the commits: it had waited when the time was over */
    int64_t waited_ns, longest_ns; /* until it could write, in all and at the most */
};
/* What all of them did in one way. */
struct demo_writing {
    const char *way;
    int64_t elapsed_ns; /* until the time was over, or the last was done */
    int64_t connections;
    struct demo_writer *writers; /* who waited the longest stands first */
    struct demo_writer sum;
    struct histogram *waits;
    struct lido_error failure; /* as above */
};
enum demo_way { DEMO_BARE, DEMO_GATE, DEMO_WAYS };
struct demo_writers {
    int n;
    struct demo_writing ways[DEMO_WAYS];
    /* What lido_gate_stats() said. */
    int64_t looks;                  /* while they wrote, so often */
    int64_t misnamed;               /* of these: whoever was in was none of the writers */
    struct lido_gate_stats busiest; /* when the most waited */
    struct lido_gate_stats last;    /* when all had ended */
};
/* Runs as many threads as options->writers in each way. */
int demo_writers_run(struct demo_writers *writers, const struct demo_options *options,
                     const struct demo_copy *copy, struct demo_checks *checks,
                     struct progress *progress, struct demo_error *error);
void demo_writers_fini(struct demo_writers *writers);

/* Every connection that the pool can have at once, or `n`, must refuse a ledger row for an
   account that does not exist. */
void demo_check_foreign_keys(struct demo_checks *checks, lido_pool *pool, const char *kind,
                             int n, const struct demo_copy *copy);
/* Closes the pool and frees it. */
void demo_check_close(struct demo_checks *checks, lido_pool *pool, const char *kind,
                      int descriptors_before);
/* How many descriptors are open, or -1 where the system does not tell. */
int demo_descriptors(void);
/* The accounts, the ledger and the file as a whole. */
int demo_check_copy(struct demo_checks *checks, const struct demo_copy *copy,
                    int64_t transfers, struct demo_error *error);

struct demo_story {
    const struct demo_options *options;
    const struct demo_original *original;
    const struct demo_copy *copy;
    const struct demo_result *results;
    size_t n_results;
    const struct demo_writers *writers;
    const struct demo_checks *checks;
    bool holds; /* all checks do */
};
void demo_report_text(const struct demo_story *story);
void demo_report_json(const struct demo_story *story);
void demo_report_error(const struct demo_options *options, const struct demo_error *error);

struct json;
void demo_told_text(const struct demo_writers *writers);
void demo_told_json(struct json *json, const struct demo_writers *writers);

struct json;
void demo_told_text(const struct demo_writers *writers);
void demo_told_json(struct json *json, const struct demo_writers *writers);

#endif
