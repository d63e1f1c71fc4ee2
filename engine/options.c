/* SPDX-License-Identifier: MIT */
/*
 * The table of options.  It drives what the URL may say, the ranges, which kind takes what,
 * and the configuration of a pool; tests/unit/test_open_defaults.c holds docs/defaults.md to
 * it.
 *
 * Threads: any; nothing here changes.
 */
#include "engine/options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The kinds as this table sees them; all else is in pool/kinds.c. */
enum {
    NULL_POOL = 1,
    QUEUE = 2,
    SINGLETON_THREAD = 4,
    STATIC = 8,
    ASSERTION = 16,
    ALL = 31,
};
static const struct {
    const char *name;
    unsigned bit;
} kinds[] = {
    { "null", NULL_POOL },
    { "queue", QUEUE },
    { "singleton_thread", SINGLETON_THREAD },
    { "static", STATIC },
    { "assertion", ASSERTION },
};

static const struct lido__named orders[] = {
    { "any", LIDO__ORDER_ANY },
    { "fifo", LIDO__ORDER_FIFO },
    { "lifo", LIDO__ORDER_LIFO },
    { NULL, 0 },
};
static const struct lido__named modes[] = {
    { "deferred", LIDO_DEFERRED },     { "immediate", LIDO_IMMEDIATE },
    { "exclusive", LIDO_EXCLUSIVE },   { "read", LIDO_READ },
    { "concurrent", LIDO_CONCURRENT }, { NULL, 0 },
};
/* SQLAlchemy takes True for rollback, False and None for nothing. */
static const struct lido__named resets[] = {
    { "rollback", LIDO_RESET_ROLLBACK }, { "commit", LIDO_RESET_COMMIT },
    { "none", LIDO_RESET_NONE },         { "true", LIDO_RESET_ROLLBACK },
    { "false", LIDO_RESET_NONE },        { NULL, 0 },
};
static const struct lido__named texts[] = { { "strict", LIDO_TEXT_STRICT },
                                            { "warn", LIDO_TEXT_WARN },
                                            { "raw", LIDO_TEXT_RAW },
                                            { NULL, 0 } };
static const struct lido__named autobegins[] = { { "off", LIDO_AUTOBEGIN_OFF },
                                                 { "read", LIDO_AUTOBEGIN_READ },
                                                 { "write", LIDO_AUTOBEGIN_WRITE },
                                                 { NULL, 0 } };
static const struct lido__named gates[] = {
    { "off", LIDO_GATE_OFF },
    { "on", LIDO_GATE_ON },
    { "process", LIDO_GATE_PROCESS },
    { "0", LIDO_GATE_OFF },
    { "1", LIDO_GATE_ON },
    { "false", LIDO_GATE_OFF },
    { "true", LIDO_GATE_ON },
    { NULL, 0 },
};
static const struct lido__named profiles[] = { { "server", 1 }, { NULL, 0 } };

#define FROM(field) offsetof(struct lido_pool_options, field)
#define TO(field)   offsetof(struct lido__pool_config, field)

/* clang-format off: one line for each option that has nothing special. */
const struct lido__option lido__options[] = {
    { "pool", "pool", LIDO__OPTION_TEXT, 0, ALL, 0, FROM(pool), 0, NULL },
    { "order", "order", LIDO__OPTION_TEXT, 0, QUEUE, 0, FROM(order), 0, orders },
    { "pool_use_lifo", NULL, LIDO__OPTION_ALONE, 0, QUEUE, 0, 0, 0, NULL },
    { "pool_size", "pool_size", LIDO__OPTION_INT, 0, QUEUE | SINGLETON_THREAD, 0,
      FROM(pool_size), TO(pool_size), NULL },
    { "max_overflow", "max_overflow", LIDO__OPTION_INT, -1, QUEUE, 0, FROM(max_overflow),
      TO(max_overflow), NULL },
    { "pool_timeout", "pool_timeout_ms", LIDO__OPTION_TIME, -1, ALL, 0,
      FROM(pool_timeout_ms), TO(pool_timeout_ms), NULL },
    { "timeout", "timeout_ms", LIDO__OPTION_TIME, -1, ALL, 0, FROM(timeout_ms),
      TO(timeout_ms), NULL },
    { "check_same_thread", "check_same_thread", LIDO__OPTION_TRUTH, 0, ALL, ALL & ~STATIC,
      FROM(check_same_thread), TO(check_same_thread), NULL },
    { "begin", "begin_mode", LIDO__OPTION_WORD, 0, ALL, 0, FROM(begin_mode), TO(begin_mode),
      modes },
    { "open_now", "open_now", LIDO__OPTION_TRUTH, 0, ALL, 0, FROM(open_now), 0, NULL },
    { "pool_recycle", "pool_recycle_ms", LIDO__OPTION_TIME, -1, ALL, 0,
      FROM(pool_recycle_ms), TO(recycle_ms), NULL },
    { "pool_recycle_jitter", "pool_recycle_jitter_ms", LIDO__OPTION_TIME, 0, ALL, 0,
      FROM(pool_recycle_jitter_ms), TO(recycle_jitter_ms), NULL },
    { "pool_recycle_spacing", "pool_recycle_spacing_ms", LIDO__OPTION_TIME, 0, ALL, 0,
      FROM(pool_recycle_spacing_ms), TO(recycle_spacing_ms), NULL },
    { "pool_pre_ping", "pool_pre_ping", LIDO__OPTION_TRUTH, 0, ALL, 0, FROM(pool_pre_ping),
      TO(pre_ping), NULL },
    { "pool_reset_on_return", "pool_reset_on_return", LIDO__OPTION_WORD, 0, ALL, 0,
      FROM(pool_reset_on_return), TO(reset_on_return), resets },
    { "min_idle", "min_idle", LIDO__OPTION_INT, 0, QUEUE | STATIC | ASSERTION, 0,
      FROM(min_idle), TO(min_idle), NULL },
    { "idle_timeout", "idle_timeout_ms", LIDO__OPTION_TIME, -1, ALL & ~NULL_POOL, 0,
      FROM(idle_timeout_ms), TO(idle_timeout_ms), NULL },
    { "keep_temp", "keep_temp", LIDO__OPTION_TRUTH, 0, ALL & ~NULL_POOL,
      SINGLETON_THREAD | STATIC, FROM(keep_temp), TO(keep_temp), NULL },
    { "use_threadlocal", "use_threadlocal", LIDO__OPTION_TRUTH, 0, ALL, 0,
      FROM(use_threadlocal), TO(use_threadlocal), NULL },
    { "strict", "strict", LIDO__OPTION_TRUTH, 0, SINGLETON_THREAD, 0, FROM(strict),
      TO(strict), NULL },
    { "shared_transaction", "shared_transaction", LIDO__OPTION_TRUTH, 0, STATIC, 0,
      FROM(shared_transaction), TO(shared_transaction), NULL },
    { "cached_statements", "cached_statements", LIDO__OPTION_INT, 0, ALL, 0,
      FROM(cached_statements), TO(cached_statements), NULL },
    { "text", "text", LIDO__OPTION_WORD, 0, ALL, 0, FROM(text), TO(text), texts },
    { "autobegin", "autobegin", LIDO__OPTION_WORD, 0, ALL, 0, FROM(autobegin),
      TO(autobegin), autobegins },
    { "session_guard", "session_guard", LIDO__OPTION_TRUTH, 0, ALL & ~NULL_POOL, 0,
      FROM(session_guard), TO(session_guard), NULL },
    { "txn_limit", "txn_limit_ms", LIDO__OPTION_TIME, -1, ALL, 0, FROM(txn_limit_ms),
      TO(txn_limit_ms), NULL },
    { "gate", "gate", LIDO__OPTION_WORD, 0, ALL, 0, FROM(gate), TO(gate), gates },
    { "gate_aging_us", "gate_aging_us", LIDO__OPTION_INT, 0, ALL, 0, FROM(gate_aging_us),
      TO(gate_aging_us), NULL },
    { "profile", NULL, LIDO__OPTION_ALONE, 0, ALL, 0, 0, 0, profiles },
    { LIDO__MANAGER_KEY, NULL, LIDO__OPTION_ALONE, 0, ALL, 0, 0, 0, NULL },
};
/* clang-format on */
const size_t lido__n_options = sizeof lido__options / sizeof lido__options[0];

const struct lido_param lido__server_pragmas[] = {
    { "journal_mode", "wal" },
    { "foreign_keys", "on" },
    { "synchronous", "normal" },
};
const size_t lido__n_server_pragmas =
    sizeof lido__server_pragmas / sizeof lido__server_pragmas[0];

const struct lido__option *lido__option_find(const char *key)
{
    for (size_t i = 0; i < lido__n_options; i++)
        if (strcmp(lido__options[i].key, key) == 0)
            return &lido__options[i];
    return NULL;
}

unsigned lido__kind_bit(const struct lido__kind *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, kind->name) == 0)
            return kinds[i].bit;
    return 0;
}

bool lido__option_is_taken(const struct lido__option *option, const struct lido__kind *kind)
{
    return (option->kinds & lido__kind_bit(kind)) != 0;
}

/* Puts one more name behind those in `text`. */
static void append(char *text, size_t size, const char *name, bool is_last)
{
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s%s",
             used == 0 ? ""
             : is_last ? " or "
                       : ", ",
             name);
}

void lido__option_write_keys(char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < lido__n_options; i++)
        append(text, size, lido__options[i].key, false);
}

void lido__option_write_kinds(const struct lido__option *option, char *text, size_t size)
{
    unsigned left = option->kinds;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if ((left & kinds[i].bit) != 0) {
            left &= ~kinds[i].bit;
            append(text, size, kinds[i].name, left == 0);
        }
}

void lido__option_write_words(const struct lido__option *option, char *text, size_t size)
{
    text[0] = '\0';
    for (const struct lido__named *word = option->words; word->name != NULL; word++)
        append(text, size, word->name, word[1].name == NULL);
}
