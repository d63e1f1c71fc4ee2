/* SPDX-License-Identifier: MIT */
/*
 * A table of places, which grows; a hash table of the idle ones by their text, with chains
 * through the places; and a list of free places.
 *
 * What is idle is reset and has no values.  When one too many is idle the one used the longest
 * ago is finalized; that is found by looking at all, which is nothing beside preparing the one
 * that took its place.
 *
 * Threads: see the header.
 */
#include "driver/statements.h"
#include "base/alloc.h"
#include "driver/sqlite.h"

#include <limits.h>

#define FIRST_PLACES 8
#define NOWHERE      (-1)

struct lido__statements {
    struct lido__statement *places;
    int n_places;
    int free; /* the first free place */
    unsigned keep;
    unsigned cached;
    unsigned in_use;
    uint64_t last_number;
    uint64_t hits, misses;
    struct lido__own_texts own_texts;
    unsigned n_buckets; /* a power of two */
    int buckets[];
};

struct lido__statements *lido__statements_new(unsigned keep)
{
    struct lido__statements *all;
    unsigned n_buckets = 8;

    while (n_buckets < keep && n_buckets < 1u << 16)
        n_buckets *= 2;
    all = lido__new(sizeof *all + n_buckets * sizeof all->buckets[0]);
    if (all == NULL)
        return NULL;
    all->keep = keep;
    all->n_buckets = n_buckets;
    all->free = NOWHERE;
    for (unsigned i = 0; i < n_buckets; i++)
        all->buckets[i] = NOWHERE;
    return all;
}

struct lido__own_texts *lido__statements_own_texts(struct lido__statements *all)
{
    return all != NULL && all->keep > 0 ? &all->own_texts : NULL;
}

static bool grow(struct lido__statements *all)
{
    int more = all->n_places > 0 ? all->n_places * 2 : FIRST_PLACES;
    struct lido__statement *places;

    if (all->n_places > INT_MAX / 4)
        return false;
    places = sqlite3_realloc64(all->places, (sqlite3_uint64)more * sizeof *places);
    if (places == NULL)
        return false;
    for (int i = all->n_places; i < more; i++)
        places[i] = (struct lido__statement){ .next = i + 1 < more ? i + 1 : NOWHERE };
    all->free = all->n_places;
    all->places = places;
    all->n_places = more;
    return true;
}

/* To SQLite the mark that some editors write before a text is a blank, wherever it stands. */
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

const char *lido__sql_skip_blanks(const char *sql)
{
    const char *end;

    for (;;) {
        while (*sql == ' ' || (*sql >= '\t' && *sql <= '\r') || *sql == ';')
            sql++;
        if (strncmp(sql, BYTE_ORDER_MARK, 3) == 0) {
            sql += 3;
        } else if (sql[0] == '-' && sql[1] == '-') {
            while (*sql != '\0' && *sql != '\n')
                sql++;
        } else if (sql[0] == '/' && sql[1] == '*') {
            end = strstr(sql + 2, "*/");
            sql = end != NULL ? end + 2 : sql + strlen(sql);
        } else {
            return sql;
        }
    }
}

static enum lido__verb verb_of(const char *sql)
{
    static const struct {
        const char *word;
        enum lido__verb verb;
    } verbs[] = {
        { "BEGIN", LIDO__VERB_BEGIN },    { "COMMIT", LIDO__VERB_TXN },
        { "END", LIDO__VERB_TXN },        { "ROLLBACK", LIDO__VERB_TXN },
        { "SAVEPOINT", LIDO__VERB_TXN },  { "RELEASE", LIDO__VERB_TXN },
        { "PRAGMA", LIDO__VERB_SETTING }, { "ATTACH", LIDO__VERB_SETTING },
        { "DETACH", LIDO__VERB_SETTING }, { "VACUUM", LIDO__VERB_VACUUM },
    };
    size_t length = 0;

    while (((unsigned char)sql[length] | 0x20) >= 'a' &&
           ((unsigned char)sql[length] | 0x20) <= 'z')
        length++;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strlen(verbs[i].word) == length &&
            sqlite3_strnicmp(verbs[i].word, sql, (int)length) == 0)
            return verbs[i].verb;
    return LIDO__VERB_OTHER;
}

static uint64_t hash_of(const char *text, size_t length)
{
    uint64_t hash = length, word;

    for (; length >= sizeof word; text += sizeof word, length -= sizeof word) {
        memcpy(&word, text, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, text, length);
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static int *bucket_of(struct lido__statements *all, uint64_t hash)
{
    return &all->buckets[hash & (all->n_buckets - 1)];
}

/* Out of the cache and in nobody's use yet; NOWHERE if it is not there. */
static int take_idle(struct lido__statements *all, const char *sql, size_t length,
                     uint64_t hash)
{
    for (int *link = bucket_of(all, hash); *link != NOWHERE;) {
        struct lido__statement *at = &all->places[*link];

        if (at->hash == hash && at->length == length &&
            memcmp(sqlite3_sql(at->handle), sql, length) == 0) {
            int place = *link;

            *link = at->next;
            all->cached--;
            return place;
        }
        link = &at->next;
    }
    return NOWHERE;
}

static void begin_use(struct lido__statements *all, int place, const void *owner)
{
    struct lido__statement *one = &all->places[place];

    one->number = ++all->last_number;
    one->last_use = one->number;
    one->owner = owner;
    one->is_running = false;
    all->in_use++;
}

static bool is_kept(enum lido__verb verb)
{
    return verb != LIDO__VERB_SETTING && verb != LIDO__VERB_BEGIN;
}

/* The place of a statement that is finalized becomes free. */
static void finalize(struct lido__statements *all, int place)
{
    struct lido__statement *one = &all->places[place];

    sqlite3_finalize(one->handle);
    *one = (struct lido__statement){ .next = all->free };
    all->free = place;
}

/* Prepares the first statement of the text to a place; *place is NOWHERE if there is none.
   `length`: of a text that may be kept; 0: it may not. */
static int prepare(struct lido__statements *all, sqlite3 *db, const char *sql,
                   size_t length, const char **rest, int *place, struct lido_error *err)
{
    struct lido__statement *one;
    const char *tail;
    sqlite3_stmt *handle;
    int rc;

    *place = NOWHERE;
    if (all->free == NOWHERE && !grow(all))
        return lido_fail(err, SQLITE_NOMEM, "out of memory for one more statement");
    rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, &tail);
    if (rc != SQLITE_OK)
        return lido__sqlite_fail(db, rc, "prepare", err);
    if (handle == NULL) {
        if (rest != NULL)
            *rest = tail;
        return LIDO_OK;
    }
    if (rest == NULL && *lido__sql_skip_blanks(tail) != '\0') {
        rc = lido_fail(err, SQLITE_MISUSE, "more than one statement, from \"%.60s\" on",
                       lido__sql_skip_blanks(tail));
        sqlite3_finalize(handle);
        return rc;
    }
    *place = all->free;
    one = &all->places[*place];
    all->free = one->next;
    one->handle = handle;
    one->verb = verb_of(lido__sql_skip_blanks(sql));
    one->length = tail >= sql + length && is_kept(one->verb) ? length : 0;
    one->hash = 0;
    if (rest != NULL)
        *rest = tail;
    return LIDO_OK;
}

/* Without blanks at the end. */
static size_t length_of(const char *sql)
{
    size_t length = strlen(sql);

    while (length > 0 && (sql[length - 1] == ' ' || sql[length - 1] == '\n'))
        length--;
    return length;
}

int lido__statements_take(struct lido__statements *all, sqlite3 *db, const char *sql,
                          enum lido__text how, const char **rest, const void *owner,
                          struct lido__statement **out, unsigned *place,
                          struct lido_error *err)
{
    size_t length = how == LIDO__TEXT_WHOLE ? length_of(sql) : 0;
    uint64_t hash = 0;
    int at = NOWHERE, rc;

    *out = NULL;
    if (length > INT_MAX - 1)
        return lido_fail(err, SQLITE_TOOBIG, "an SQL text of %zu bytes", length);
    if (length > 0) {
        hash = hash_of(sql, length);
        at = take_idle(all, sql, length, hash);
    }
    if (at != NOWHERE) {
        all->hits++;
        if (rest != NULL)
            *rest = sql + length;
    } else {
        rc = prepare(all, db, sql, length, rest, &at, err);
        if (rc != LIDO_OK || at == NOWHERE)
            return rc;
        all->misses++;
        all->places[at].hash = hash;
    }
    begin_use(all, at, owner);
    *out = &all->places[at];
    *place = (unsigned)at;
    return LIDO_OK;
}

struct lido__statement *lido__statements_find(struct lido__statements *all, unsigned place,
                                              uint64_t number)
{
    if (all == NULL || number == 0 || place >= (unsigned)all->n_places ||
        all->places[place].number != number)
        return NULL;
    return &all->places[place];
}

/* Finalizes the idle one that was used the longest ago. */
static void give_up_oldest(struct lido__statements *all)
{
    int *oldest = NULL;
    int place;

    for (unsigned i = 0; i < all->n_buckets; i++)
        for (int *link = &all->buckets[i]; *link != NOWHERE;
             link = &all->places[*link].next)
            if (oldest == NULL ||
                all->places[*link].last_use < all->places[*oldest].last_use)
                oldest = link;
    if (oldest == NULL)
        return;
    place = *oldest;
    *oldest = all->places[place].next;
    all->cached--;
    finalize(all, place);
}

void lido__statements_give(struct lido__statements *all, struct lido__statement *one)
{
    int place = (int)(one - all->places);
    int *bucket;

    one->number = 0;
    one->owner = NULL;
    one->is_running = false;
    all->in_use--;
    if (one->length == 0 || all->keep == 0) {
        finalize(all, place);
        return;
    }
    sqlite3_clear_bindings(one->handle);
    bucket = bucket_of(all, one->hash);
    one->next = *bucket;
    *bucket = place;
    if (++all->cached > all->keep)
        give_up_oldest(all);
}

void lido__statements_give_all(struct lido__statements *all, const void *owner)
{
    for (int i = 0; i < all->n_places && all->in_use > 0; i++) {
        struct lido__statement *one = &all->places[i];

        if (one->number == 0 || (owner != NULL && one->owner != owner))
            continue;
        sqlite3_reset(one->handle);
        lido__statements_give(all, one);
    }
}

void lido__statements_drop(struct lido__statements *all)
{
    if (all == NULL)
        return;
    all->free = NOWHERE;
    for (int i = all->n_places - 1; i >= 0; i--)
        finalize(all, i);
    for (unsigned i = 0; i < all->n_buckets; i++)
        all->buckets[i] = NOWHERE;
    lido__own_texts_drop(&all->own_texts);
    all->cached = all->in_use = 0;
    all->hits = all->misses = 0;
}

void lido__statements_free(struct lido__statements *all)
{
    if (all == NULL)
        return;
    lido__statements_drop(all);
    sqlite3_free(all->places);
    lido__free(all);
}

bool lido__statements_run(const struct lido__statements *all, const void *owner)
{
    for (int i = 0; i < all->n_places; i++)
        if (all->places[i].owner == owner && all->places[i].is_running)
            return true;
    return false;
}

unsigned lido__statements_in_use(const struct lido__statements *all)
{
    return all->in_use;
}

void lido__statements_count(const struct lido__statements *all,
                            struct lido_statement_stats *out)
{
    out->cached = all->cached;
    out->in_use = all->in_use;
    out->hits = all->hits;
    out->misses = all->misses;
}
