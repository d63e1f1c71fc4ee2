/* SPDX-License-Identifier: MIT */
/*
 * From a seed to a scene.
 *
 * Workload, mode, journal and kind of pool are counted through, so that seeds in a row have
 * every combination of them equally often; all else is by chance.
 *
 * Threads: any; nothing is shared.
 */
#include "tests/histories/settings.h"

#include <lido/lido.h>

#define N_WORKLOADS 3
#define N_MODES     4
#define N_JOURNALS  2
#define N_KINDS     4

/* Transactions of a history, about: short enough that hundreds of histories are quick. */
#define TXNS 40

/* The numbers of splitmix64. https://prng.di.unimi.it/splitmix64.c */
int settings_random(uint64_t *state, int bound)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (int)((z ^ (z >> 31)) % (uint64_t)bound);
}

const char *settings_mode_name(int mode)
{
    switch (mode) {
    case LIDO_DEFERRED: return "deferred";
    case LIDO_IMMEDIATE: return "immediate";
    case LIDO_EXCLUSIVE: return "exclusive";
    default: return "mixed";
    }
}

const char *settings_workload_name(enum workload workload)
{
    static const char *const names[] = { "bank", "list", "skew" };

    return names[workload];
}

/* A balance or a switch, and the number of who wrote it: nobody. */
static void set_rows(struct settings *settings)
{
    static const int keys[] = { 5, 3, 2 };
    static const char *const initial[] = { "100,0", "", "1,0" };

    settings->keys = keys[settings->workload];
    settings->initial = initial[settings->workload];
}

struct settings settings_of_seed(uint64_t seed)
{
    static const char *const journals[] = { "delete", "wal" };
    static const char *const kinds[] = { "queue", "null", "singleton_thread", "static" };
    static const int timeouts_ms[] = { 0, 1, 5, 20 };
    struct settings settings = { .seed = seed };
    uint64_t random = seed, n = seed;

    settings.workload = (enum workload)(n % N_WORKLOADS), n /= N_WORKLOADS;
    settings.mode = (int)(n % N_MODES), n /= N_MODES;
    settings.journal = journals[n % N_JOURNALS], n /= N_JOURNALS;
    settings.kind = kinds[n % N_KINDS];
    set_rows(&settings);

    settings.processes = settings_random(&random, 3) == 0 ? 2 : 1;
    settings.threads = settings.processes == 2 ? 1 + settings_random(&random, 2)
                                               : 2 + settings_random(&random, 3);
    settings.rounds = TXNS / (settings.processes * settings.threads);
    settings.timeout_ms = timeouts_ms[settings_random(&random, 4)];
    settings.pool_size = 1 + settings_random(&random, settings.threads);
    settings.keep = 1 + settings_random(&random, 4);
    return settings;
}
