/* SPDX-License-Identifier: MIT */
/*
 * Plays the scenarios by seeds, or the small ones in all ways.
 *
 *     sched-play [--scenario NAME] [--seed FIRST] [--count N] [--trace]
 *     sched-play --all [--scenario NAME [--count N]]      all schedules of the small ones
 *     sched-play --list
 *
 * or by LIDO_SCHED_SCENARIO, LIDO_SCHED_SEED and LIDO_SCHED_COUNT.  A failure ends the program
 * and prints the command that plays that run again, on the same program exactly.
 *
 * A run depends on nothing but its seed: memory that lido keeps for the life of the process
 * is there before the first of them, and each scenario's length, by which the changes of
 * place are planned, is measured on a run without any.  Now and then a seed is played twice
 * and must take the same steps.
 *
 * Threads: main; the scheduler has its own.
 */
#include "tests/sched/play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONGEST_RUN_S 10
#define PLAYED_TWICE  50  /* one seed in so many */
#define MOST          128 /* scenarios */
#define WARM          20  /* pools */

static struct {
    const char *program;
    const char *scenario;
    unsigned long long seed, count;
    bool count_is_set;
    bool tries_all;
    bool has_trace;
} how = { .seed = 1, .count = 2000 };

static unsigned lengths[MOST];

static void usage(const char *wrong)
{
    fprintf(stderr,
            "sched-play: %s\n"
            "usage: sched-play [--scenario NAME] [--seed FIRST] [--count N] [--trace]\n"
            "       sched-play --all [--scenario NAME [--count N]]\n"
            "       sched-play --list\n",
            wrong);
    exit(2);
}

static void list(void)
{
    for (int i = 0; scenarios[i].name != NULL; i++)
        printf("%s\n", scenarios[i].name);
    exit(0);
}

static void set_count(const char *count)
{
    how.count = strtoull(count, NULL, 10);
    how.count_is_set = true;
}

static void read_environment(void)
{
    const char *scenario = getenv("LIDO_SCHED_SCENARIO");
    const char *seed = getenv("LIDO_SCHED_SEED");
    const char *count = getenv("LIDO_SCHED_COUNT");

    if (scenario != NULL)
        how.scenario = scenario;
    if (seed != NULL)
        how.seed = strtoull(seed, NULL, 10);
    if (count != NULL)
        set_count(count);
}

static void read_arguments(int argc, char **argv)
{
    how.program = argv[0];
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];

        if (strcmp(name, "--list") == 0)
            list();
        how.has_trace = how.has_trace || strcmp(name, "--trace") == 0;
        how.tries_all = how.tries_all || strcmp(name, "--all") == 0;
        if (strcmp(name, "--trace") == 0 || strcmp(name, "--all") == 0)
            continue;
        if (++i == argc)
            usage("an argument is missing, or unknown");
        if (strcmp(name, "--scenario") == 0)
            how.scenario = argv[i];
        else if (strcmp(name, "--seed") == 0)
            how.seed = strtoull(argv[i], NULL, 10);
        else if (strcmp(name, "--count") == 0)
            set_count(argv[i]);
        else
            usage("an argument is missing, or unknown");
    }
}

/* Makes lido take the memory that it keeps, more than any run needs. */
static void warm_up(void)
{
    struct play plays[WARM];
    struct lido_conn conns[WARM];

    for (int i = 0; i < WARM; i++) {
        plays[i] = (struct play){ .limit = -1 };
        plays[i].pool =
            play_open(&plays[i], i % 2 == 0 ? "pool=queue" : "pool=static", false);
        play_take(&plays[i], &conns[i], 0, LIDO_OK);
    }
    for (int i = 0; i < WARM; i++) {
        play_give(&plays[i], &conns[i]);
        (void)lido_pool_close(plays[i].pool, 0, NULL);
        lido_pool_free(plays[i].pool);
    }
    play_keep_memory();
}

static void play_seed(int i, unsigned long long seed)
{
    char replay[300];
    uint64_t fingerprint;
    unsigned steps;

    snprintf(replay, sizeof replay, "%s --scenario %s --seed %llu --count 1", how.program,
             scenarios[i].name, seed);
    sched_name(scenarios[i].name, replay);
    alarm(LONGEST_RUN_S);
    if (lengths[i] == 0) {
        play(&scenarios[i], SCHED_IN_ORDER, 0, 0);
        lengths[i] = sched_steps();
    }
    play(&scenarios[i], SCHED_BY_SEED, seed, lengths[i]);
    if (seed % PLAYED_TWICE != 0)
        return;
    fingerprint = sched_fingerprint();
    steps = sched_steps();
    play(&scenarios[i], SCHED_BY_SEED, seed, lengths[i]);
    sched_expect(fingerprint == sched_fingerprint() && steps == sched_steps(),
                 "the scheduler: one seed, two runs: %u steps and %u", steps,
                 sched_steps());
}

static bool is_chosen(int i)
{
    return how.scenario == NULL || strcmp(how.scenario, scenarios[i].name) == 0;
}

static void play_all_ways(int i)
{
    const unsigned long long most =
        how.scenario != NULL && how.count_is_set ? how.count : 0;
    unsigned long long count = 0;
    char replay[300];

    sched_all_begin(scenarios[i].preemptions);
    do {
        count++;
        snprintf(replay, sizeof replay, "%s --all --scenario %s --count %llu", how.program,
                 scenarios[i].name, count);
        sched_name(scenarios[i].name, replay);
        alarm(LONGEST_RUN_S);
        play(&scenarios[i], SCHED_ALL, 0, 0);
    } while (sched_all_next() && count != most);
    printf("%s: all %llu schedules of up to %d preemptions\n", scenarios[i].name, count,
           scenarios[i].preemptions);
}

static unsigned long long play_by_seeds(void)
{
    unsigned long long runs = 0;

    for (unsigned long long seed = how.seed; seed < how.seed + how.count; seed++)
        for (int i = 0; scenarios[i].name != NULL; i++)
            if (is_chosen(i)) {
                play_seed(i, seed);
                runs++;
            }
    return runs;
}

int main(int argc, char **argv)
{
    bool is_one = false;

    read_environment();
    read_arguments(argc, argv);
    for (int i = 0; scenarios[i].name != NULL; i++) {
        sched_expect(i < MOST, "the scheduler: more than %d scenarios", MOST);
        is_one = is_one || is_chosen(i);
    }
    if (!is_one)
        usage("no such scenario");
    play_install_heap();
    play_install_driver();
    warm_up();
    for (int i = 0; how.tries_all && scenarios[i].name != NULL; i++)
        if (is_chosen(i) && scenarios[i].preemptions > 0)
            play_all_ways(i);
    if (!how.tries_all)
        printf("%llu runs\n", play_by_seeds());
    if (how.has_trace)
        sched_report();
    return 0;
}
