/* SPDX-License-Identifier: MIT */
/*
 * A benchmark from its options to its results.
 *
 * Everything is measured in rounds.  A round measures each subject at each number of
 * threads, the subjects of one number right after one another, so that a round sees one
 * state of the machine; where it starts moves on with each round, so that none is always
 * first, on a cool or a busy processor.
 *
 * Threads: one; measure.c starts those that work.
 */
#include "command.h"
#include "plot.h"
#include "results.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROUNDS 1000

struct options {
    bool json;
    const char *plot; /* a path, or NULL */
    unsigned rounds;
    double target_ns; /* of one measurement */
};

/* One subject at one number of threads after the other. */
static int run_round(struct results *results, unsigned round, struct lido_error *err)
{
    for (unsigned i = 0; i < results->of->n_levels; i++) {
        unsigned level = (i + round) % results->of->n_levels;

        for (unsigned j = 0; j < results->n_subjects; j++) {
            unsigned subject = (j + round) % results->n_subjects;
            int rc = measure(&results->subjects[subject], results->of->threads[level],
                             results->iterations[subject][level],
                             &results->rounds[round].samples[subject][level], err);

            if (rc != LIDO_OK)
                return rc;
        }
    }
    return LIDO_OK;
}

static int run(struct results *results, double target_ns, struct lido_error *err)
{
    int rc = LIDO_OK;

    for (unsigned level = 0; rc == LIDO_OK && level < results->of->n_levels; level++)
        for (unsigned i = 0; rc == LIDO_OK && i < results->n_subjects; i++)
            rc = measure_calibrate(&results->subjects[i], results->of->threads[level],
                                   target_ns, &results->iterations[i][level], err);
    for (unsigned round = 0; rc == LIDO_OK && round < results->n_rounds; round++)
        rc = run_round(results, round, err);
    return rc;
}

static void close_subjects(struct results *results)
{
    for (unsigned i = 0; i < MAX_SUBJECTS; i++)
        if (results->subjects[i].close != NULL)
            results->subjects[i].close(results->subjects[i].ctx);
}

static void draw(const void *results, FILE *out)
{
    ((const struct results *)results)->of->plot(results, out);
}

static int measure_and_show(const struct benchmark *benchmark,
                            const struct options *options, struct lido_error *err)
{
    struct results results = { .of = benchmark, .n_rounds = options->rounds };
    struct scratch scratch = { "" };
    int rc;

    results.rounds = calloc(options->rounds, sizeof *results.rounds);
    results.scratch = calloc(options->rounds, sizeof *results.scratch);
    if (results.rounds == NULL || results.scratch == NULL)
        rc = lido_fail(err, SQLITE_NOMEM, "out of memory");
    else
        rc = scratch_open(&scratch, err);
    if (rc == LIDO_OK)
        rc = benchmark->open(&results, &scratch, err);
    if (rc == LIDO_OK)
        rc = run(&results, options->target_ns, err);
    close_subjects(&results);
    scratch_close(&scratch);
    if (rc == LIDO_OK) {
        if (options->json)
            results_json(&results, stdout);
        else
            results_print(&results, stdout);
        if (options->plot != NULL)
            rc = plot_file(options->plot, draw, &results, err);
    }
    free(results.scratch);
    free(results.rounds);
    return rc;
}

static void print_help(const struct benchmark *benchmark)
{
    printf("Usage: lido-bench %s [OPTION]...\n\n%s\n", benchmark->name, benchmark->help);
    puts("  -j, --json         JSON in Google Benchmark's shape instead of the table\n"
         "  -n, --rounds=N     how many rounds (31; 9 with --quick)");
    if (benchmark->plot != NULL)
        puts("  -p, --plot=FILE    also draw the medians into an HTML file");
    puts(
        "  -q, --quick        shorter and fewer measurements: for a look, not for a claim\n"
        "  -h, --help         this text\n"
        "  -V, --version      which lido and which SQLite\n"
        "\n"
        "Exit codes: 0 measured (targets met or not), 1 failed, 2 wrong usage.");
}

/* False, with a complaint, if it is none. */
static bool read_rounds(const struct benchmark *benchmark, const char *text, unsigned *out)
{
    char *end;
    long rounds = strtol(text, &end, 10);

    *out = (unsigned)rounds;
    if (end != text && *end == '\0' && rounds >= 1 && rounds <= MAX_ROUNDS)
        return true;
    fprintf(stderr, "lido-bench %s: --rounds takes 1 to %d, not '%s'\n", benchmark->name,
            MAX_ROUNDS, text);
    return false;
}

/* The exit code if the program is done, or -1 to go on. */
static int read_options(const struct benchmark *benchmark, int argc, char **argv,
                        struct options *out)
{
    static const struct option known[] = {
        { "plot", required_argument, NULL, 'p' }, /* the first: not every benchmark has it */
        { "help", no_argument, NULL, 'h' },
        { "json", no_argument, NULL, 'j' },
        { "quick", no_argument, NULL, 'q' },
        { "rounds", required_argument, NULL, 'n' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    const bool plots = benchmark->plot != NULL;
    bool is_quick = false;
    int letter;

    *out = (struct options){ .rounds = 0 };
    while ((letter = getopt_long(argc, argv, plots ? "hjn:p:qV" : "hjn:qV",
                                 plots ? known : known + 1, NULL)) != -1) {
        switch (letter) {
        case 'h': print_help(benchmark); return EXIT_OK;
        case 'j': out->json = true; break;
        case 'n':
            if (!read_rounds(benchmark, optarg, &out->rounds))
                return EXIT_USAGE;
            break;
        case 'p': out->plot = optarg; break;
        case 'q': is_quick = true; break;
        case 'V': print_version(); return EXIT_OK;
        default: return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "lido-bench %s: '%s' is not an option\n", benchmark->name,
                argv[optind]);
        return EXIT_USAGE;
    }
    if (out->rounds == 0)
        out->rounds = is_quick ? 9 : 31;
    out->target_ns = is_quick ? 15e6 : 25e6;
    return -1;
}

int benchmark_command(const struct benchmark *benchmark, int argc, char **argv)
{
    struct options options;
    struct lido_error err = LIDO_ERROR_INIT;
    int code = read_options(benchmark, argc, argv, &options);
    int rc;

    if (code >= 0)
        return code;
    rc = measure_and_show(benchmark, &options, &err);
    if (rc != LIDO_OK) {
        fprintf(stderr, "lido-bench %s: %s: %s\n", benchmark->name, lido_status_name(rc),
                err.text);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}
