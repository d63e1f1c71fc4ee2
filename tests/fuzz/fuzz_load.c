/* SPDX-License-Identifier: MIT */
/*
 * SQL text from anywhere, to load: built with -Dfuzz=enabled by libFuzzer, and driven over the
 * corpus and some thousand changes of it by tests/unit/test_housekeeping_fuzz_load.c.
 *
 * The first byte says in what pieces the text comes.  Whatever it is: in pieces it is answered
 * as in one; what fails leaves the database as it was; and what is loaded is dumped, and that
 * loaded and dumped again is the same.
 *
 * Threads: one.
 */
#include <lido/lido.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "fuzz_load: %s: %s\n", what, why);
    abort();
}

struct pieces {
    const char *text;
    size_t length, at, piece;
};

static int give(void *ctx, char *buffer, size_t size, size_t *length,
                struct lido_error *err)
{
    struct pieces *pieces = ctx;
    const size_t left = pieces->length - pieces->at;

    (void)err;
    *length = left < pieces->piece ? left : pieces->piece;
    *length = *length < size ? *length : size;
    memcpy(buffer, pieces->text + pieces->at, *length);
    pieces->at += *length;
    return LIDO_OK;
}

struct text {
    char *bytes;
    size_t length;
};

static int add(void *ctx, const char *text, size_t length, struct lido_error *err)
{
    struct text *out = ctx;

    (void)err;
    if (strlen(text) != length)
        stop("a statement", "has a NUL in it");
    out->bytes = realloc(out->bytes, out->length + length + 1);
    if (out->bytes == NULL)
        abort();
    memcpy(out->bytes + out->length, text, length + 1);
    out->length += length;
    return LIDO_OK;
}

static lido_pool *open_memory(void)
{
    struct lido_error err;
    lido_pool *pool;

    if (lido_pool_open(&pool, "sqlite://?pool=static", NULL, &err) != LIDO_OK)
        stop("open", err.text);
    return pool;
}

static int dump(lido_pool *pool, struct text *out, struct lido_error *err)
{
    *out = (struct text){ NULL, 0 };
    return lido_dump(lido_at_pool(pool), NULL, add, out, err);
}

static int load(lido_pool *pool, const char *text, size_t length, size_t piece,
                struct lido_error *err)
{
    struct lido_load_options options = LIDO_LOAD_OPTIONS_INIT;
    struct lido_job job = LIDO_JOB_INIT;
    struct pieces pieces = { text, length, 0, piece };

    job.timeout_ms = 500; /* on a static pool it ends between two statements */
    options.job = &job;
    options.check_foreign_keys = 0;
    return lido_load(lido_at_pool(pool), &options, give, &pieces, NULL, err);
}

/* The same text need not do the same twice, or does what no dump can tell. */
static int is_out_of_reach(const char *text)
{
    static const char *const words[] = { "random",    "date",     "time",     "now",
                                         "recursive", "writable", "zeroblob", "heap",
                                         "_dir",      "trace",    "fts",      "virtual",
                                         "temp",      "changes",  "last_",    "total_",
                                         "counter" };
    char *lower = strdup(text);
    int is = 0;

    if (lower == NULL)
        abort();
    for (char *at = lower; *at != '\0'; at++)
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        is |= strstr(lower, words[i]) != NULL;
    free(lower);
    return is;
}

/* How an empty database is to be made is no content, and stays when a load fails. */
static const char *content_of(const struct text *dump)
{
    return strstr(dump->bytes, "BEGIN TRANSACTION;");
}

static void expect_same_again(const struct text *once)
{
    lido_pool *pool = open_memory();
    struct lido_error err;
    struct text again;

    if (load(pool, once->bytes, once->length, 4096, &err) != LIDO_OK)
        stop("its dump is not loaded", err.text);
    if (dump(pool, &again, &err) != LIDO_OK)
        stop("what its dump made is not dumped", err.text);
    if (strcmp(content_of(once), content_of(&again)) != 0) {
        fprintf(stderr, "<<<%s>>>\n<<<%s>>>\n", once->bytes, again.bytes);
        stop("the dump of its dump", "is another");
    }
    free(again.bytes);
    lido_pool_free(pool);
}

static void try_text(const char *text, size_t length, size_t piece)
{
    lido_pool *whole = open_memory(), *parts = open_memory();
    struct lido_error err, other;
    struct text before, after, after_parts;
    int rc, rc_parts;

    if (dump(whole, &before, &err) != LIDO_OK)
        stop("dump of nothing", err.text);
    rc = load(whole, text, length, length + 1, &err);
    rc_parts = load(parts, text, length, piece, &other);
    if (rc != rc_parts)
        stop("in pieces it is another answer", rc != LIDO_OK ? err.text : other.text);
    if (rc != LIDO_OK && (err.code != rc || err.text[0] == '\0'))
        stop("an error without a text", err.text);
    if (rc != LIDO_OK && strcmp(err.text, other.text) != 0)
        stop(err.text, other.text);
    rc_parts = dump(parts, &after_parts, &err);
    rc = rc == LIDO_OK ? LIDO_OK : -1;
    if (rc != LIDO_OK) {
        if (dump(whole, &after, &err) != LIDO_OK ||
            strcmp(content_of(&before), content_of(&after)) != 0)
            stop("what failed has left something", after.bytes);
        free(after.bytes);
    } else if (dump(whole, &after, &err) == LIDO_OK) {
        if (rc_parts != LIDO_OK || strcmp(after.bytes, after_parts.bytes) != 0)
            stop("in pieces it makes something else", after_parts.bytes);
        expect_same_again(&after);
        free(after.bytes);
    } else {
        free(after.bytes);
    }
    free(after_parts.bytes);
    free(before.bytes);
    lido_pool_free(whole);
    lido_pool_free(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text;

    if (size < 1 || size > 20000)
        return 0;
    text = malloc(size);
    if (text == NULL)
        abort();
    memcpy(text, bytes + 1, size - 1);
    text[size - 1] = '\0';
    if (!is_out_of_reach(text))
        try_text(text, size - 1, 1 + bytes[0] % 7);
    free(text);
    return 0;
}
