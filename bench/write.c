/* SPDX-License-Identifier: MIT */
/*
 * lido-bench write: what threads and processes that write one file wait for each other.
 *
 * Threads: one.  This process never uses SQLite: those that it forks do.
 */
#include "write.h"
#include "command.h"
#include "plot.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IN_MEMORY      "/dev/shm"
#define MOST_SECONDS   600
#define WINDOW_S       5
#define QUICK_WINDOW_S 1.7

struct options {
    int is_json, is_all, is_quick;
    const char *plot, *folder; /* NULL: none, the default */
    double seconds;
    int is_alone; /* write_alone() instead of all */
    enum write_kind kind;
    uint64_t transactions;
};

static void print_help(void)
{
    puts("Usage: lido-bench write [OPTION]...\n"
         "\n"
         "Measures BEGIN IMMEDIATE, an UPDATE of one row and COMMIT, by up to 32 threads "
         "and by\n"
         "4 processes on one file: through lido's write gate, and through SQLite's busy "
         "timeout.\n"
         "The database is in memory, and a sync costs nothing (normal, full) or 1 ms "
         "(full1ms).\n"
         "\n"
         "  -a, --all          also each number of threads from 1 to 64, each way to sync, "
         "and a\n"
         "                     strict gate (10 minutes more)\n"
         "  -d, --folder=DIR   where the databases are (/dev/shm)\n"
         "  -j, --json         JSON instead of the tables\n"
         "  -p, --plot=FILE    also draw the latencies into an HTML file\n"
         "  -q, --quick        shorter windows: for a look; targets within the spread are\n"
         "                     \"undecided\"\n"
         "  -s, --seconds=S    how long each is measured (5; 1.7 with --quick)\n"
         "      --alone=WHAT,N only N transactions by one thread of busy, gate or no_gate, "
         "and\n"
         "                     nothing printed: to count instructions\n"
         "  -h, --help         this text\n"
         "  -V, --version      which lido and which SQLite\n"
         "\n"
         "Exit codes: 0 measured (targets met or not), 1 failed, 2 wrong usage.");
}

/* False, with a complaint, if it is none. */
static int read_seconds(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    if (end != text && *end == '\0' && *out >= 0.05 && *out <= MOST_SECONDS)
        return 1;
    fprintf(stderr, "lido-bench write: --seconds takes 0.05 to %d, not '%s'\n",
            MOST_SECONDS, text);
    return 0;
}

static int read_alone(const char *text, struct options *out)
{
    static const struct {
        const char *name;
        enum write_kind kind;
    } known[] = { { "busy,", WRITE_BARE },
                  { "gate,", WRITE_GATE },
                  { "no_gate,", WRITE_UNGATED } };

    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t length = strlen(known[i].name);
        char *end;

        if (strncmp(text, known[i].name, length) != 0)
            continue;
        out->is_alone = 1;
        out->kind = known[i].kind;
        out->transactions = strtoull(text + length, &end, 10);
        if (*end == '\0' && out->transactions > 0)
            return 1;
    }
    fprintf(stderr,
            "lido-bench write: --alone takes busy,N or gate,N or no_gate,N, not '%s'\n",
            text);
    return 0;
}

/* The exit code if the program is done, or -1 to go on. */
static int read_options(int argc, char **argv, struct options *out)
{
    static const struct option known[] = {
        { "all", no_argument, NULL, 'a' },
        { "alone", required_argument, NULL, 1 },
        { "folder", required_argument, NULL, 'd' },
        { "help", no_argument, NULL, 'h' },
        { "json", no_argument, NULL, 'j' },
        { "plot", required_argument, NULL, 'p' },
        { "quick", no_argument, NULL, 'q' },
        { "seconds", required_argument, NULL, 's' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    int letter;

    *out = (struct options){ .seconds = 0 };
    while ((letter = getopt_long(argc, argv, "ad:hjp:qs:V", known, NULL)) != -1) {
        switch (letter) {
        case 1:
            if (!read_alone(optarg, out))
                return EXIT_USAGE;
            break;
        case 'a': out->is_all = 1; break;
        case 'd': out->folder = optarg; break;
        case 'h': print_help(); return EXIT_OK;
        case 'j': out->is_json = 1; break;
        case 'p': out->plot = optarg; break;
        case 'q': out->is_quick = 1; break;
        case 's':
            if (!read_seconds(optarg, &out->seconds))
                return EXIT_USAGE;
            break;
        case 'V': print_version(); return EXIT_OK;
        default: return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "lido-bench write: '%s' is not an option\n", argv[optind]);
        return EXIT_USAGE;
    }
    if (out->seconds == 0)
        out->seconds = out->is_quick ? QUICK_WINDOW_S : WINDOW_S;
    return -1;
}

static int run_alone(const struct options *options, const struct scratch *scratch,
                     struct lido_error *err)
{
    char path[SCRATCH_PATH + 16], path_of_url[3 * SCRATCH_PATH];
    int rc = scratch_url(scratch, "alone.db", path_of_url, err);

    snprintf(path, sizeof path, "%s/alone.db", scratch->path);
    if (rc == LIDO_OK)
        rc = write_alone(options->kind, options->transactions, path, path_of_url, err);
    return rc;
}

static int run_and_show(const struct options *options, const struct scratch *scratch,
                        struct lido_error *err)
{
    struct write_run run = { .window_ns = (int64_t)(options->seconds * 1e9),
                             .is_quick = options->is_quick };
    int rc = LIDO_OK;

    run.cells = calloc(WRITE_CELLS, sizeof *run.cells);
    if (run.cells == NULL)
        rc = lido_fail(err, SQLITE_NOMEM, "out of memory");
    if (rc == LIDO_OK)
        rc = write_run_cells(&run, options->is_all, scratch, err);
    if (rc == LIDO_OK)
        rc = write_run_kills(&run, scratch, err);
    if (rc == LIDO_OK && options->is_json)
        write_json(&run, stdout);
    else if (rc == LIDO_OK)
        write_print(&run, stdout);
    if (rc == LIDO_OK && options->plot != NULL)
        rc = plot_file(options->plot, write_plot, &run, err);
    for (unsigned i = 0; i < run.n_cells; i++)
        write_cell_close(&run.cells[i]);
    free(run.cells);
    return rc;
}

int command_write(int argc, char **argv)
{
    struct options options;
    struct scratch scratch = { "" };
    struct lido_error err = LIDO_ERROR_INIT;
    int code = read_options(argc, argv, &options), rc;

    if (code >= 0)
        return code;
    if (options.folder == NULL && access(IN_MEMORY, W_OK) == 0)
        options.folder = IN_MEMORY;
    rc = scratch_open_in(&scratch, options.folder, &err);
    if (rc == LIDO_OK)
        rc = options.is_alone ? run_alone(&options, &scratch, &err)
                              : run_and_show(&options, &scratch, &err);
    scratch_close(&scratch);
    if (rc == LIDO_OK)
        return EXIT_OK;
    fprintf(stderr, "lido-bench write: %s: %s\n", lido_status_name(rc), err.text);
    return EXIT_FAILED;
}
