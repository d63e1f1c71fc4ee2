/* SPDX-License-Identifier: MIT */
#ifndef LIDO_HOUSEKEEPING_LOAD_TEXT_H
#define LIDO_HOUSEKEEPING_LOAD_TEXT_H

/*
 * SQL text from a reader, cut into its statements.
 *
 * Threads: one at a time.
 */
#include <lido/dump.h>
#include <stdbool.h>

struct lido__load_text {
    lido_load_fn read;
    void *ctx;
    char *buffer; /* what was read and is not done with */
    size_t size;  /* of the buffer; one more byte is there, for a NUL */
    size_t used, scanned;
    size_t most;    /* bytes of a statement */
    size_t first;   /* where the statement begins, if has_token */
    bool has_token; /* something but blanks and comments was met since the last one */
    bool is_over;   /* nothing more is to be read */
    bool is_cut;    /* a NUL stands at `scanned`, in the place of `kept` */
    char kept;
    char state;          /* see load_text.c */
    uint64_t line;       /* at `scanned`, from 1 */
    uint64_t first_line; /* at `first` */
    uint64_t bytes;      /* read */
};

void lido__load_text_begin(struct lido__load_text *text, lido_load_fn read, void *ctx,
                           size_t most);
/* *statement is the next one, with its semicolon and a NUL, lent until the next call, or NULL
   after the last.  Else an error with its line, or what the reader answered: any number at all,
   also one that SQLite uses for a row. */
int lido__load_text_next(struct lido__load_text *text, const char **statement,
                         struct lido_error *err);
void lido__load_text_end(struct lido__load_text *text);

#endif
