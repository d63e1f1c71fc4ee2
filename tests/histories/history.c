/* SPDX-License-Identifier: MIT */
/*
 * A history in shared memory, and the same as lines of JSON.
 *
 * Threads: any, but for history_print(), which wants all others to be over.  `ticks` and
 * `n_txns` are atomic; a transaction belongs to the thread that claimed it.
 */
#include "tests/histories/history.h"

#include <lido/lido.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

void history_die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("record: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

struct history *history_new(const struct settings *settings)
{
    struct history *history = mmap(NULL, sizeof *history, PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (history == MAP_FAILED)
        history_die("no shared memory");
    history->settings = *settings;
    return history;
}

long history_tick(struct history *history)
{
    return atomic_fetch_add(&history->ticks, 1);
}

struct txn *history_claim(struct history *history)
{
    int id = atomic_fetch_add(&history->n_txns, 1);

    if (id >= HISTORY_TXNS)
        history_die("more than %d transactions", HISTORY_TXNS);
    return &history->txns[id];
}

long history_stamp(const struct history *history, const struct txn *txn)
{
    return (txn - history->txns + 1) * HISTORY_OPS + txn->n_ops;
}

static const char *outcome_name(int outcome)
{
    switch (outcome) {
    case LIDO_OUTCOME_COMMITTED: return "committed";
    case LIDO_OUTCOME_ROLLED_BACK: return "rolled back";
    default: return "unknown";
    }
}

static void print_txn(const struct history *history, const struct txn *txn)
{
    static const char *const kinds[] = { "read", "write", "append" };

    printf("{\"txn\": %d, \"process\": %d, \"thread\": %d, \"mode\": \"%s\", "
           "\"start\": %ld, \"end\": %ld, \"outcome\": \"%s\", \"why\": \"%s\", "
           "\"final\": %s, \"ops\": [",
           (int)(txn - history->txns), txn->process, txn->thread,
           settings_mode_name(txn->mode), txn->start, txn->end, outcome_name(txn->outcome),
           txn->why != NULL ? txn->why : "", txn->is_final ? "true" : "false");
    for (int i = 0; i < txn->n_ops; i++)
        printf("%s[\"%s\", %d, [%s]]", i > 0 ? ", " : "", kinds[txn->ops[i].kind],
               txn->ops[i].key, txn->ops[i].value);
    printf("]}\n");
}

void history_print(const struct history *history)
{
    const struct settings *settings = &history->settings;
    int n_txns = atomic_load(&history->n_txns);

    printf("{\"seed\": %llu, \"workload\": \"%s\", \"mode\": \"%s\", \"journal\": \"%s\", "
           "\"kind\": \"%s\", \"processes\": %d, \"threads\": %d, \"keys\": %d, "
           "\"initial\": [%s], \"timeout_ms\": %d, \"pool_size\": %d, \"keep\": %d}\n",
           (unsigned long long)settings->seed, settings_workload_name(settings->workload),
           settings_mode_name(settings->mode), settings->journal, settings->kind,
           settings->processes, settings->threads, settings->keys, settings->initial,
           settings->timeout_ms, settings->pool_size, settings->keep);
    for (int i = 0; i < n_txns; i++)
        print_txn(history, &history->txns[i]);
}
