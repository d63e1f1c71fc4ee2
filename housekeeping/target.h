/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_TARGET_H
#define LIDO_HOUSEKEEPING_TARGET_H

/*
 * A file that appears at its name all at once.
 *
 *     check --> make the temporary file --> (SQLite writes it) --> settle: sync, rename
 *                        |                                            |
 *                        +--------------> discard <-------------------+  on any failure
 *
 * Threads: one.
 */
#include <lido/status.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define LIDO__ACL_MOST   2048
#define LIDO__STAMP_MOST 24 /* bytes of ".YYYYmmdd-HHMM-NNN" and its NUL */

struct lido__target {
    char folder[PATH_MAX]; /* absolute, with no link in it */
    char name[NAME_MAX + 1];
    char stamp[LIDO__STAMP_MOST]; /* ".YYYYmmdd-HHMM", or "" */
    char temporary[PATH_MAX];     /* "": there is none */
    char path[PATH_MAX];          /* where it is in the end; absolute */
    bool may_replace;
    bool has_source;
    struct stat source; /* the database, if that is a file */
    bool is_acl_known;  /* else who may read it cannot be told, or there are too many */
    size_t acl_size;    /* 0: it has none */
    unsigned char acl[LIDO__ACL_MOST];
};

/* Settles the names and makes the temporary file, empty, for its owner alone.  A name that is
   taken is refused before.  `source` is the database's, NULL if it is no file; its name too. */
int lido__target_open(struct lido__target *target, const char *path,
                      const struct stat *source, const char *source_path, bool may_replace,
                      bool is_stamped, struct lido_error *err);

/* The temporary file is complete, and nobody in the process has it open: it gets owner, mode
   and access list of the source, is synced, and gets its name, which `path` then says. */
int lido__target_settle(struct lido__target *target, struct lido_error *err);

/* Who may read the source by its access list: looked up by its name, for a descriptor of it
   would drop locks.  And the same given to the open file, with owner and mode; -1: errno. */
void lido__target_know_access(struct lido__target *target, const char *source_path);
int lido__target_give_access(const struct lido__target *target, int file);

/* Removes the temporary file if there is one. */
void lido__target_discard(struct lido__target *target);

/* The highest number of those of the target's minute: 1 for the name without one; 0: none. */
int lido__target_last_number(const struct lido__target *target);

/* Removes the stamped files of that name but for the youngest `keep`; the one just made is one
   of these, and what others have made since then stays too.  What cannot be removed, or has a
   log or a journal beside it, is counted. */
void lido__target_keep(const struct lido__target *target, int keep, int *removed,
                       int *not_removed);

#endif
