/* SPDX-License-Identifier: MIT */
/*
 * The head of a CREATE: what stands before the first thing that matters; and parentheses, by
 * which the pieces of a table are told apart.
 *
 *     CREATE UNIQUE INDEX /[*] old [*]/ IF NOT EXISTS main."i"  ON t(a)
 *     |<------- is kept ------------->|              |<name>| |<- is kept
 *
 * All that is read here are words, names in their four kinds of quotes, and comments.  What is
 * behind the name is left to SQLite: it renames what refers to the table (table_shape.c).
 *
 * Threads: any.
 */
#include "housekeeping/table.h"

#include <string.h>

/* Where the next token begins, behind blanks and comments. */
static const char *skip_blanks(const char *at)
{
    for (;;) {
        if (*at != '\0' && strchr(" \t\n\f\r", *at) != NULL) {
            at++;
        } else if (at[0] == '-' && at[1] == '-') {
            while (*at != '\0' && *at != '\n')
                at++;
        } else if (at[0] == '/' && at[1] == '*') {
            const char *end = strstr(at + 2, "*/");

            at = end != NULL ? end + 2 : at + strlen(at);
        } else {
            return at;
        }
    }
}

static bool is_word_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* The end of a token that begins here. */
static const char *skip_token(const char *at)
{
    const char quote = (char)(*at == '[' ? ']' : *at);

    if (*at == '\0')
        return at;
    if (is_word_character(*at)) {
        while (is_word_character(*at))
            at++;
        return at;
    }
    if (quote != '"' && quote != '\'' && quote != '`' && quote != ']')
        return at + 1;
    if (quote == ']' && *at != '[')
        return at + 1;
    for (at++; *at != '\0'; at++) {
        if (*at != quote)
            continue;
        /* Doubled it is a part of the name, but not in brackets. */
        if (quote == ']' || at[1] != quote)
            return at + 1;
        at++;
    }
    return at;
}

static bool is_word(const char *at, const char *word)
{
    const size_t length = strlen(word);

    return sqlite3_strnicmp(at, word, (int)length) == 0 && !is_word_character(at[length]);
}

static const char *skip_word(const char *at, const char *word)
{
    return is_word(at, word) ? skip_blanks(at + strlen(word)) : NULL;
}

static bool is_name(const char *at)
{
    return is_word_character(*at) || *at == '"' || *at == '\'' || *at == '`' || *at == '[';
}

/* Behind CREATE ... TABLE, INDEX or TRIGGER; NULL: it is none of these. */
static const char *skip_head(const char *sql)
{
    const char *at = skip_word(skip_blanks(sql), "CREATE"), *next;

    if (at == NULL)
        return NULL;
    next = skip_word(at, "UNIQUE");
    at = next != NULL ? next : at;
    if ((next = skip_word(at, "TABLE")) != NULL || (next = skip_word(at, "INDEX")) != NULL)
        return next;
    return skip_word(at, "TRIGGER");
}

char *lido__create_renamed(const char *sql, const char *schema, const char *name,
                           bool *is_read)
{
    const char *head_end = skip_head(sql), *at, *next;

    *is_read = false;
    if (head_end == NULL)
        return NULL;
    at = head_end;
    if ((next = skip_word(at, "IF")) != NULL && (next = skip_word(next, "NOT")) != NULL &&
        (next = skip_word(next, "EXISTS")) != NULL)
        at = next;
    if (!is_name(at))
        return NULL;
    at = skip_token(at);
    next = skip_blanks(at);
    if (*next == '.') {
        next = skip_blanks(next + 1);
        if (!is_name(next))
            return NULL;
        at = skip_token(next);
    }
    *is_read = true;
    return sqlite3_mprintf("%.*s\"%w\".\"%w\" %s", (int)(head_end - sql), sql, schema, name,
                           at);
}

/* Of a word that begins a constraint of the table: its part, 0 for CONSTRAINT, or -1. */
static int constraint_part(const char *at)
{
    static const struct {
        const char *word;
        int part;
    } words[] = {
        { "CONSTRAINT", 0 },
        { "PRIMARY", LIDO_PART_PRIMARY_KEY },
        { "UNIQUE", LIDO_PART_UNIQUE },
        { "CHECK", LIDO_PART_CHECK },
        { "FOREIGN", LIDO_PART_FOREIGN_KEY },
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (is_word(at, words[i].word))
            return words[i].part;
    return -1;
}

struct split {
    struct lido__piece *pieces;
    int count;
    bool is_open; /* the last of them may go on */
};

static int add_piece(struct split *split, const char *at, enum lido__piece_kind kind)
{
    struct lido__piece *list =
        sqlite3_realloc64(split->pieces, ((sqlite3_uint64)split->count + 1) * sizeof *list);

    if (list == NULL)
        return SQLITE_NOMEM;
    split->pieces = list;
    list[split->count++] = (struct lido__piece){ at, 0, kind, 0 };
    split->is_open = true;
    return LIDO_OK;
}

/* The token at `at`, in no parentheses of a piece. */
static int note_token(struct split *split, const char *at, bool is_behind)
{
    const int part = is_behind ? -1 : constraint_part(at);
    struct lido__piece *last = split->count > 0 ? &split->pieces[split->count - 1] : NULL;
    int rc = LIDO_OK;

    if (!split->is_open || (part >= 0 && last->kind == LIDO__PIECE_CONSTRAINT &&
                            (part == 0 || last->part != 0))) {
        rc = add_piece(split, at,
                       is_behind   ? LIDO__PIECE_OPTION
                       : part >= 0 ? LIDO__PIECE_CONSTRAINT
                                   : LIDO__PIECE_COLUMN);
        if (rc != LIDO_OK)
            return rc;
        last = &split->pieces[split->count - 1];
    }
    if (part > 0 && last->kind == LIDO__PIECE_CONSTRAINT)
        last->part = part;
    return LIDO_OK;
}

/* A comma parts constraints, or does not: only the word with which one begins tells. */
int lido__create_split(const char *sql, struct lido__piece **pieces, int *count)
{
    struct split split = { NULL, 0, false };
    const char *at = skip_head(sql), *end;
    bool is_behind = false;
    int depth = 0, rc = at != NULL ? LIDO_OK : SQLITE_ERROR;

    while (rc == LIDO_OK && *at != '(' && *at != '\0')
        at = skip_blanks(skip_token(at));
    if (rc == LIDO_OK && *at == '(')
        at = skip_blanks(at + 1);
    for (; rc == LIDO_OK && *at != '\0'; at = skip_blanks(end)) {
        end = skip_token(at);
        if (depth == 0 && *at == ',') {
            split.is_open = false;
        } else if (depth == 0 && *at == ')') {
            if (is_behind)
                rc = SQLITE_ERROR;
            is_behind = true;
            split.is_open = false;
        } else {
            if (depth == 0)
                rc = note_token(&split, at, is_behind);
            depth += (*at == '(') - (*at == ')');
            if (rc == LIDO_OK)
                split.pieces[split.count - 1].length =
                    (int)(end - split.pieces[split.count - 1].text);
        }
    }
    if (rc == LIDO_OK && !is_behind)
        rc = SQLITE_ERROR;
    if (rc != LIDO_OK) {
        sqlite3_free(split.pieces);
        split = (struct split){ NULL, 0, false };
    }
    *pieces = split.pieces;
    *count = split.count;
    return rc;
}

bool lido__text_is_enclosed(const char *sql)
{
    int depth = 0;

    for (const char *at = skip_blanks(sql); *at != '\0'; at = skip_blanks(skip_token(at)))
        if ((depth += (*at == '(') - (*at == ')')) < 0)
            return false;
    return true;
}

bool lido__create_has_word(const char *sql, const char *word)
{
    const char *at = skip_blanks(sql);

    while (*at != '\0') {
        if (is_word(at, word))
            return true;
        at = skip_blanks(skip_token(at));
    }
    return false;
}
