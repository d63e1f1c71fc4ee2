/* SPDX-License-Identifier: MIT */
/*
 * What a statement of a loaded text is: by its first word, and that of a pragma or of what
 * EXPLAIN explains by the next one.
 *
 * Names are read as SQLite reads them, in its four quotes and with letters of other scripts:
 * whoever read them in another way would pass by a pragma that SQLite then runs.  What has
 * no meaning here is SQLite's to judge.
 *
 * Threads: any.
 */
#include "housekeeping/load_kind.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

struct meaning {
    const char *word;
    enum lido__load_kind kind;
};

static const struct meaning verbs[] = {
    { "ATTACH", LIDO__LOAD_REFUSED },    { "BEGIN", LIDO__LOAD_BEGIN },
    { "COMMIT", LIDO__LOAD_COMMIT },     { "DETACH", LIDO__LOAD_REFUSED },
    { "END", LIDO__LOAD_COMMIT },        { "PRAGMA", LIDO__LOAD_PRAGMA },
    { "RELEASE", LIDO__LOAD_REFUSED },   { "ROLLBACK", LIDO__LOAD_REFUSED },
    { "SAVEPOINT", LIDO__LOAD_REFUSED }, { "VACUUM", LIDO__LOAD_REFUSED },
    { NULL, LIDO__LOAD_PLAIN },
};

static const struct meaning pragmas[] = {
    { "auto_vacuum", LIDO__LOAD_AT_FIRST },
    { "data_store_directory", LIDO__LOAD_PROCESS },
    { "encoding", LIDO__LOAD_ENCODING },
    { "foreign_keys", LIDO__LOAD_IGNORED },
    { "hard_heap_limit", LIDO__LOAD_PROCESS },
    { "page_size", LIDO__LOAD_AT_FIRST },
    { "soft_heap_limit", LIDO__LOAD_PROCESS },
    { "temp_store_directory", LIDO__LOAD_PROCESS },
    { "writable_schema", LIDO__LOAD_SCHEMA },
    { NULL, LIDO__LOAD_PLAIN },
};

const char *lido__load_skip(const char *text)
{
    for (;;) {
        const char *end;

        text += strspn(text, " \t\n\v\r\f");
        if (strncmp(text, "--", 2) == 0)
            end = strchr(text, '\n');
        else if (strncmp(text, "/*", 2) == 0)
            end = strstr(text + 2, "*/");
        else if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
            end = text + 1; /* a blank to SQLite wherever it stands */
        else
            return text;
        if (end == NULL)
            return "";
        text = end + (*end == '\n' ? 1 : 2);
    }
}

static bool is_in_word(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '$' ||
           (unsigned char)byte >= 0x80;
}

/* The next word, in quotes or not, into `word`; what is too long for it is none of ours. */
static const char *next_word(const char *text, char *word, size_t size)
{
    size_t used = 0;
    char quote;

    text = lido__load_skip(text);
    quote = (char)(*text != '\0' && strchr("\"'`[", *text) != NULL ? *text : '\0');
    text += quote != '\0';
    quote = (char)(quote == '[' ? ']' : quote);
    for (; *text != '\0'; text++) {
        if (quote == '\0' ? !is_in_word(*text) : *text == quote && text[1] != quote)
            break;
        text += quote != '\0' && *text == quote; /* twice is once */
        if (used < size - 1)
            word[used++] = *text;
    }
    word[used] = '\0';
    return text + (quote != '\0' && *text == quote);
}

static enum lido__load_kind look_up(const struct meaning *meaning, const char *word)
{
    while (meaning->word != NULL && sqlite3_stricmp(meaning->word, word) != 0)
        meaning++;
    return meaning->kind;
}

static enum lido__load_kind kind_of_pragma(const char *rest, char *name, size_t size)
{
    rest = lido__load_skip(next_word(rest, name, size));
    if (*rest == '.')
        next_word(rest + 1, name, size);
    return look_up(pragmas, name);
}

/* Is what EXPLAIN explains one of those?  A pragma does its work while it is prepared. */
static enum lido__load_kind kind_of_explained(const char *rest, char *word, size_t size)
{
    rest = next_word(rest, word, size);
    if (sqlite3_stricmp(word, "QUERY") == 0)
        next_word(next_word(rest, word, size), word, size);
    return look_up(verbs, word) == LIDO__LOAD_PLAIN ? LIDO__LOAD_PLAIN : LIDO__LOAD_REFUSED;
}

enum lido__load_kind lido__load_kind(const char *statement, char *word, size_t size)
{
    const char *rest;
    enum lido__load_kind kind;

    word[0] = '\0';
    if (*statement == 'I' || *statement == 'i')
        return LIDO__LOAD_PLAIN; /* INSERT: none of them, and nearly all that there is */
    rest = next_word(statement, word, size);
    if (sqlite3_stricmp(word, "EXPLAIN") == 0)
        return kind_of_explained(rest, word, size);
    kind = look_up(verbs, word);
    return kind == LIDO__LOAD_PRAGMA ? kind_of_pragma(rest, word, size) : kind;
}
