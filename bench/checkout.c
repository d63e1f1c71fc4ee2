/* SPDX-License-Identifier: MIT */
/*
 * lido-bench checkout: what it costs to borrow a connection and to give it back.
 *
 * Everything is measured in rounds.  A round measures each subject at each number of
 * threads, the subjects of one number right after one another, so that a round sees one
 * state of the machine; where it starts moves on with each round, so that none is always
 * first, on a cool or a busy processor.
 *
 * Threads: one; measure.c starts those that work.
 */
#include "checkout.h"
#include "command.h"
#include "scratch.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENTS 128 /* as many as pysqlite keeps on each connection */
#define MAX_ROUNDS 1000

const unsigned checkout_threads[CHECKOUT_LEVELS] = { 1, 2, 4, MAX_THREADS };

struct options {
    bool json;
    const char *plot; /* a path, or NULL */
    unsigned rounds;
    double target_ns; /* of one measurement */
};

/* One subject at one number of threads after the other. */
static int run_round(struct checkout *checkout, unsigned round, struct lido_error *err)
{
    for (unsigned i = 0; i < CHECKOUT_LEVELS; i++) {
        unsigned level = (i + round) % CHECKOUT_LEVELS;

        for (unsigned j = 0; j < checkout->n_subjects; j++) {
            unsigned subject = (j + round) % checkout->n_subjects;
            int rc = measure(&checkout->subjects[subject], checkout_threads[level],
                             checkout->iterations[subject][level],
                             &checkout->rounds[round].samples[subject][level], err);

            if (rc != LIDO_OK)
                return rc;
        }
    }
    return LIDO_OK;
}

static int run(struct checkout *checkout, double target_ns, struct lido_error *err)
{
    int rc = LIDO_OK;

    for (unsigned level = 0; rc == LIDO_OK && level < CHECKOUT_LEVELS; level++)
        for (unsigned i = 0; rc == LIDO_OK && i < checkout->n_subjects; i++)
            rc = measure_calibrate(&checkout->subjects[i], checkout_threads[level],
                                   target_ns, &checkout->iterations[i][level], err);
    for (unsigned round = 0; rc == LIDO_OK && round < checkout->n_rounds; round++)
        rc = run_round(checkout, round, err);
    return rc;
}

static void close_subjects(struct checkout *checkout)
{
    for (unsigned i = 0; i < CHECKOUT_SUBJECTS; i++)
        if (checkout->subjects[i].close != NULL)
            checkout->subjects[i].close(checkout->subjects[i].ctx);
}

/* What is open when it fails is closed by close_subjects() too. */
static int open_subjects(struct checkout *checkout, const struct scratch *scratch,
                         struct lido_error *err)
{
    struct subject *subjects = checkout->subjects;
    char lido_url[3 * SCRATCH_PATH], zdb_url[3 * SCRATCH_PATH];
    int rc = scratch_url(scratch, "lido.db", lido_url, err);

    if (rc == LIDO_OK)
        rc = scratch_url(scratch, "zdb.db", zdb_url, err);
    if (rc != LIDO_OK)
        return rc;
    subject_open_floor(&subjects[CHECKOUT_FLOOR]);
    subject_open_mutex(&subjects[CHECKOUT_MUTEX]);
    rc = subject_open_queue(&subjects[CHECKOUT_LIDO], "lido", lido_url, 0, err);
    if (rc == LIDO_OK)
        rc = subject_open_queue(&subjects[CHECKOUT_LIDO_STATEMENTS], "lido/statements:128",
                                lido_url, STATEMENTS, err);
    if (rc != LIDO_OK)
        return rc;
    if (subject_zdb_version() == NULL) {
        checkout->n_subjects = CHECKOUT_SUBJECTS - 1;
        return LIDO_OK;
    }
    checkout->n_subjects = CHECKOUT_SUBJECTS;
    return subject_open_zdb(&subjects[CHECKOUT_ZDB], zdb_url, err);
}

static int write_plot(const struct checkout *checkout, const char *path,
                      struct lido_error *err)
{
    FILE *out = fopen(path, "we");
    bool is_bad = out == NULL;

    if (out != NULL) {
        checkout_plot(checkout, out);
        is_bad = ferror(out) != 0;
        is_bad |= fclose(out) != 0;
    }
    if (is_bad)
        return lido_fail(err, SQLITE_IOERR, "could not write %s: %s", path,
                         strerror(errno));
    return LIDO_OK;
}

static int measure_and_show(const struct options *options, struct lido_error *err)
{
    struct checkout checkout = { .n_rounds = options->rounds };
    struct scratch scratch = { "" };
    int rc;

    checkout.rounds = calloc(options->rounds, sizeof *checkout.rounds);
    checkout.scratch = calloc(options->rounds, sizeof *checkout.scratch);
    if (checkout.rounds == NULL || checkout.scratch == NULL)
        rc = lido_fail(err, SQLITE_NOMEM, "out of memory");
    else
        rc = scratch_open(&scratch, err);
    if (rc == LIDO_OK)
        rc = open_subjects(&checkout, &scratch, err);
    if (rc == LIDO_OK)
        rc = run(&checkout, options->target_ns, err);
    close_subjects(&checkout);
    scratch_close(&scratch);
    if (rc == LIDO_OK) {
        if (options->json)
            checkout_json(&checkout, stdout);
        else
            checkout_print(&checkout, stdout);
        if (options->plot != NULL)
            rc = write_plot(&checkout, options->plot, err);
    }
    free(checkout.scratch);
    free(checkout.rounds);
    return rc;
}

static void print_help(void)
{
    puts(
        "Usage: lido-bench checkout [OPTION]...\n"
        "\n"
        "Measures a checkout and check-in of lido's queue pool at 1, 2, 4 and 8 threads,\n"
        "beside the least that any shared pool can cost (one compare-and-swap and one\n"
        "store), a lock taken twice, and libzdb where the program was built with it.\n"
        "\n"
        "  -j, --json         JSON in Google Benchmark's shape instead of the table\n"
        "  -n, --rounds=N     how many rounds (31; 9 with --quick)\n"
        "  -p, --plot=FILE    also draw the medians into an HTML file\n"
        "  -q, --quick        shorter and fewer measurements: for a look, not for a claim\n"
        "  -h, --help         this text\n"
        "  -V, --version      which lido and which SQLite\n"
        "\n"
        "Exit codes: 0 measured (targets met or not), 1 failed, 2 wrong usage.");
}

/* The exit code if the program is done, or -1 to go on. */
static int read_options(int argc, char **argv, struct options *out)
{
    static const struct option known[] = {
        { "help", no_argument, NULL, 'h' },
        { "json", no_argument, NULL, 'j' },
        { "plot", required_argument, NULL, 'p' },
        { "quick", no_argument, NULL, 'q' },
        { "rounds", required_argument, NULL, 'n' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    bool is_quick = false;
    int letter;

    *out = (struct options){ .rounds = 0 };
    while ((letter = getopt_long(argc, argv, "hjn:p:qV", known, NULL)) != -1) {
        char *end;
        long rounds;

        switch (letter) {
        case 'h': print_help(); return EXIT_OK;
        case 'j': out->json = true; break;
        case 'n':
            rounds = strtol(optarg, &end, 10);
            if (end == optarg || *end != '\0' || rounds < 1 || rounds > MAX_ROUNDS) {
                fprintf(stderr, "lido-bench checkout: --rounds takes 1 to %d, not '%s'\n",
                        MAX_ROUNDS, optarg);
                return EXIT_USAGE;
            }
            out->rounds = (unsigned)rounds;
            break;
        case 'p': out->plot = optarg; break;
        case 'q': is_quick = true; break;
        case 'V': print_version(); return EXIT_OK;
        default: return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "lido-bench checkout: '%s' is not an option\n", argv[optind]);
        return EXIT_USAGE;
    }
    if (out->rounds == 0)
        out->rounds = is_quick ? 9 : 31;
    out->target_ns = is_quick ? 15e6 : 25e6;
    return -1;
}

int command_checkout(int argc, char **argv)
{
    struct options options;
    struct lido_error err = LIDO_ERROR_INIT;
    int code = read_options(argc, argv, &options);
    int rc;

    if (code >= 0)
        return code;
    rc = measure_and_show(&options, &err);
    if (rc != LIDO_OK) {
        fprintf(stderr, "lido-bench checkout: %s: %s\n", lido_status_name(rc), err.text);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}
