/* SPDX-License-Identifier: MIT */
/*
 * lido-bench housekeeping: how fast jobs are beside the sqlite3 shell and SQLite alone, how
 * they get along with a writer, and how much memory they need.
 *
 * Threads: one; housekeeping_writers.c starts another.
 */
#include "housekeeping.h"
#include "command.h"

#include <getopt.h>
#include <stdlib.h>

#define MOST_MB 100000

struct options {
    bool is_json;
    const char *folder, *shell, *job;
    unsigned rounds, backup_mb, rows_mb, big_mb;
};

static void print_help(void)
{
    puts(
        "Usage: lido-bench housekeeping [OPTION]...\n"
        "\n"
        "Measures backup, dump, load and copy, each in a process of its own, beside the "
        "sqlite3\n"
        "shell and a bare INSERT ... SELECT; backups of a database that is written once a\n"
        "millisecond; and the most memory of jobs on a small and on a big database.\n"
        "\n"
        "  -b, --big=MB       the big one for memory; the small one has 10 (100; 1000 "
        "takes "
        "some\n"
        "                     minutes and 3 GB of room)\n"
        "  -d, --folder=DIR   where the databases are ($TMPDIR, or /tmp)\n"
        "  -j, --json         JSON instead of the tables\n"
        "  -n, --rounds=N     how many rounds (7; 3 with --quick)\n"
        "  -q, --quick        fewer rounds of smaller databases: for a look, not for a "
        "claim\n"
        "  -r, --rows=MB      what is dumped, loaded and copied (50; 10 with --quick)\n"
        "  -s, --size=MB      what is backed up (200; 40 with --quick)\n"
        "      --shell=PATH   the shell to compare with (sqlite3)\n"
        "      --job=JOB FROM INTO\n"
        "                     only that job, and its time in ns and most memory in KB: to "
        "profile;\n"
        "                     backup, backup_checked, bare_copy, bare_copy_in_file, check, "
        "copy,\n"
        "                     dump, load\n"
        "  -h, --help         this text\n"
        "  -V, --version      which lido and which SQLite\n"
        "\n"
        "Exit codes: 0 measured (targets met or not), 1 failed, 2 wrong usage.");
}

/* False, with a complaint, if it is none. */
static bool read_number(const char *option, const char *text, long most, unsigned *out)
{
    char *end;
    const long number = strtol(text, &end, 10);

    *out = (unsigned)number;
    if (end != text && *end == '\0' && number >= 1 && number <= most)
        return true;
    fprintf(stderr, "lido-bench housekeeping: --%s takes 1 to %ld, not '%s'\n", option,
            most, text);
    return false;
}

static void fill_defaults(struct options *out, bool is_quick)
{
    if (out->rounds == 0)
        out->rounds = is_quick ? 3 : 7;
    if (out->backup_mb == 0)
        out->backup_mb = is_quick ? 40 : 200;
    if (out->rows_mb == 0)
        out->rows_mb = is_quick ? 10 : 50;
    if (out->big_mb == 0)
        out->big_mb = is_quick ? 20 : 100;
}

/* The exit code if the program is done, or -1 to go on. */
static int read_options(int argc, char **argv, struct options *out)
{
    static const struct option known[] = {
        { "big", required_argument, NULL, 'b' },
        { "folder", required_argument, NULL, 'd' },
        { "help", no_argument, NULL, 'h' },
        { "job", required_argument, NULL, 1 },
        { "json", no_argument, NULL, 'j' },
        { "quick", no_argument, NULL, 'q' },
        { "rounds", required_argument, NULL, 'n' },
        { "rows", required_argument, NULL, 'r' },
        { "shell", required_argument, NULL, 2 },
        { "size", required_argument, NULL, 's' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    bool is_quick = false, is_good = true;
    int letter;

    *out = (struct options){ .shell = "sqlite3" };
    while (is_good &&
           (letter = getopt_long(argc, argv, "b:d:hjn:qr:s:V", known, NULL)) != -1) {
        switch (letter) {
        case 1: out->job = optarg; break;
        case 2: out->shell = optarg; break;
        case 'b': is_good = read_number("big", optarg, MOST_MB, &out->big_mb); break;
        case 'd': out->folder = optarg; break;
        case 'h': print_help(); return EXIT_OK;
        case 'j': out->is_json = true; break;
        case 'n':
            is_good = read_number("rounds", optarg, HOUSEKEEPING_ROUNDS, &out->rounds);
            break;
        case 'q': is_quick = true; break;
        case 'r': is_good = read_number("rows", optarg, MOST_MB, &out->rows_mb); break;
        case 's': is_good = read_number("size", optarg, MOST_MB, &out->backup_mb); break;
        case 'V': print_version(); return EXIT_OK;
        default: return EXIT_USAGE;
        }
    }
    if (!is_good)
        return EXIT_USAGE;
    if (argc - optind != (out->job != NULL ? 2 : 0)) {
        fprintf(stderr,
                out->job != NULL
                    ? "lido-bench housekeeping: --job=%s takes two files behind it\n"
                    : "lido-bench housekeeping: '%s' is not an option\n",
                out->job != NULL ? out->job : argv[optind]);
        return EXIT_USAGE;
    }
    fill_defaults(out, is_quick);
    return -1;
}

static int run_and_show(const struct options *options, const struct scratch *scratch,
                        struct lido_error *err)
{
    struct housekeeping_run *run = calloc(1, sizeof *run);
    int rc;

    if (run == NULL)
        return lido_fail(err, SQLITE_NOMEM, "out of memory");
    run->shell = options->shell;
    run->rounds = options->rounds;
    run->backup_mb = options->backup_mb;
    run->rows_mb = options->rows_mb;
    run->small_mb = 10;
    run->big_mb = options->big_mb;
    rc = housekeeping_measure(run, scratch, err);
    if (rc == LIDO_OK && options->is_json)
        housekeeping_json(run, stdout);
    else if (rc == LIDO_OK)
        housekeeping_print(run, stdout);
    free(run);
    return rc;
}

int command_housekeeping(int argc, char **argv)
{
    struct options options;
    struct scratch scratch = { "" };
    struct lido_error err = LIDO_ERROR_INIT;
    int code = read_options(argc, argv, &options), rc;

    if (code >= 0)
        return code;
    if (options.job != NULL)
        return housekeeping_job(options.job, argv[optind], argv[optind + 1]);
    rc = scratch_open_in(&scratch, options.folder, &err);
    if (rc == LIDO_OK)
        rc = run_and_show(&options, &scratch, &err);
    scratch_close(&scratch);
    if (rc == LIDO_OK)
        return EXIT_OK;
    fprintf(stderr, "lido-bench housekeeping: %s: %s\n", lido_status_name(rc), err.text);
    return EXIT_FAILED;
}
