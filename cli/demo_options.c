/* SPDX-License-Identifier: MIT */
/*
 * The options of `lido demo`: read strictly, each complaint naming what stood there.
 *
 * Threads: one; getopt_long() is not reentrant.
 */
#include "cli/command.h"
#include "cli/demo.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

const char demo_help[] =
    "Usage: lido demo [options] DATABASE\n"
    "\n"
    "Shows lido at work on a copy of an SQLite database, and checks what it did.\n"
    "\n"
    "The copy gets a table of accounts. Threads check connections out of a pool, read "
    "rows\n"
    "of the tables that are there and move money between accounts, with one hook that "
    "turns\n"
    "foreign keys on in each connection and one that makes each transaction IMMEDIATE.\n"
    "Then many threads do nothing but write, by SQLite's busy timeout alone and by lido,\n"
    "and a table tells who waited how long.\n"
    "Afterwards all must add up. DATABASE itself is not changed, and no file is made "
    "beside\n"
    "it; if somebody uses it, or it needs recovery, it is refused.\n"
    "\n"
    "  --threads N         threads that share a pool, 1 to 256 (8)\n"
    "  --writers N         threads that all write, up to 256; 0: without that part (32)\n"
    "  --seconds S         how long each kind of pool, and each way to write, runs, 0.1 to "
    "3600 (1)\n"
    "  --transfers N       end each after N transfers instead\n"
    "  --pool KIND         null, queue, singleton_thread, static, assertion or all (all)\n"
    "  --timeout S         how long to wait until nobody uses DATABASE, in seconds (0)\n"
    "  --json              print one JSON document instead of tables\n"
    "  -q, --quiet         print nothing but complaints\n"
    "  --color WHEN        auto, always or never: nothing of it has one yet (auto)\n"
    "  --progress WHEN     auto, always or never: auto shows it on a terminal (auto)\n"
    "  --keep FILE         leave the copy as FILE, which must not exist yet\n"
    "  --seed N            of the random choices (1)\n"
    "  -h, --help          print this\n"
    "\n"
    "The queue pool keeps half as many connections as there are threads, and opens an "
    "eighth\n"
    "more under load, so that threads have to wait. In the assertion pool, which lends "
    "its\n"
    "one connection to one at a time, a refused thread tries again. The copy lies in "
    "$TMPDIR,\n"
    "or /tmp.\n"
    "\n"
    "Exit status: 0 all checks hold; 1 one does not, or the demo could not run; 2 wrong "
    "usage;\n"
    "4 the database is in use or needs recovery; 5 there is no such file or it is not a\n"
    "database; 130 interrupted by Ctrl-C.\n";

enum option_id {
    THREADS = 256,
    WRITERS,
    SECONDS,
    TRANSFERS,
    POOL,
    TIMEOUT,
    COLOR,
    PROGRESS,
    JSON,
    KEEP,
    SEED
};

static const struct option known[] = {
    { "threads", required_argument, NULL, THREADS },
    { "writers", required_argument, NULL, WRITERS },
    { "seconds", required_argument, NULL, SECONDS },
    { "transfers", required_argument, NULL, TRANSFERS },
    { "pool", required_argument, NULL, POOL },
    { "timeout", required_argument, NULL, TIMEOUT },
    { "color", required_argument, NULL, COLOR },
    { "quiet", no_argument, NULL, 'q' },
    { "progress", required_argument, NULL, PROGRESS },
    { "json", no_argument, NULL, JSON },
    { "keep", required_argument, NULL, KEEP },
    { "seed", required_argument, NULL, SEED },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

static int usage(const char *what, const char *text)
{
    cli_complain("demo: %s%s%s; see 'lido help demo'", what, text == NULL ? "" : " ",
                 text == NULL ? "" : text);
    return CLI_USAGE;
}

/* Decimal digits and nothing else, from least to most. */
static int parse_integer(const char *name, const char *text, int64_t least, int64_t most,
                         int64_t *out)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || strspn(text, "0123456789") != strlen(text) ||
        text[0] == '\0' || value < least || value > most) {
        cli_complain("demo: --%s wants a whole number from %lld to %lld, not '%s'", name,
                     (long long)least, (long long)most, text);
        return CLI_USAGE;
    }
    *out = value;
    return CLI_OK;
}

static int parse_seconds(const char *name, const char *text, double least, double most,
                         double *out)
{
    char *end;
    double value = strtod(text, &end);

    if (text[0] == '\0' || *end != '\0' || strspn(text, "0123456789.") != strlen(text) ||
        !(value >= least && value <= most)) {
        cli_complain("demo: --%s wants a number from %g to %.0f, not '%s'", name, least,
                     most, text);
        return CLI_USAGE;
    }
    *out = value;
    return CLI_OK;
}

static int parse_kinds(const char *text, const char **kinds)
{
    static const char *const all[DEMO_KINDS] = { "null", "queue", "singleton_thread",
                                                 "static", "assertion" };
    bool wants_all = strcmp(text, "all") == 0;
    size_t n = 0;

    memset(kinds, 0, (DEMO_KINDS + 1) * sizeof *kinds);
    for (size_t i = 0; i < DEMO_KINDS; i++)
        if (wants_all || strcmp(text, all[i]) == 0)
            kinds[n++] = all[i];
    if (n > 0)
        return CLI_OK;
    cli_complain("demo: --pool wants null, queue, singleton_thread, static, assertion or "
                 "all, not '%s'",
                 text);
    return CLI_USAGE;
}

static int parse_when(const char *name, const char *text, enum progress_when *out)
{
    if (strcmp(text, "auto") == 0) {
        *out = PROGRESS_AUTO;
    } else if (strcmp(text, "always") == 0) {
        *out = PROGRESS_ALWAYS;
    } else if (strcmp(text, "never") == 0) {
        *out = PROGRESS_NEVER;
    } else {
        cli_complain("demo: --%s wants auto, always or never, not '%s'", name, text);
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int parse_one(struct demo_options *options, int id, bool *has_seconds)
{
    enum progress_when color;
    int64_t number = 0;
    int rc = CLI_OK;

    switch (id) {
    case THREADS:
        rc = parse_integer("threads", optarg, 1, DEMO_MAX_THREADS, &number);
        options->threads = (int)number;
        break;
    case WRITERS:
        rc = parse_integer("writers", optarg, 0, DEMO_MAX_THREADS, &number);
        options->writers = (int)number;
        break;
    case SECONDS:
        *has_seconds = true;
        rc = parse_seconds("seconds", optarg, 0.1, 3600, &options->seconds);
        break;
    case TRANSFERS:
        rc = parse_integer("transfers", optarg, 1, 1000000000, &options->transfers);
        break;
    case POOL: rc = parse_kinds(optarg, options->kinds); break;
    case TIMEOUT: rc = parse_seconds("timeout", optarg, 0, 1e6, &options->timeout); break;
    case COLOR: rc = parse_when("color", optarg, &color); break;
    case PROGRESS: rc = parse_when("progress", optarg, &options->progress); break;
    case 'q': options->is_quiet = true; break;
    case JSON: options->is_json = true; break;
    case KEEP: options->keep = optarg; break;
    case SEED:
        rc = parse_integer("seed", optarg, 0, INT64_MAX, &number);
        options->seed = (uint64_t)number;
        break;
    default: options->wants_help = true; break;
    }
    return rc;
}

int demo_options_parse(struct demo_options *options, int argc, char **argv)
{
    static const char letters[] = ":hq";
    char refused[REFUSED_ROOM];
    bool has_seconds = false;
    struct stat there;
    int id, rc;

    memset(options, 0, sizeof *options);
    options->threads = 8;
    options->writers = 32;
    options->seconds = 1;
    options->seed = 1;
    parse_kinds("all", options->kinds);
    optind = 1;
    opterr = 0;
    while ((id = getopt_long(argc, argv, letters, known, NULL)) != -1) {
        if (id == ':')
            return usage("a value is missing behind", argv[optind - 1]);
        if (id == '?')
            return usage(command_refused(argv, letters, refused), NULL);
        rc = parse_one(options, id, &has_seconds);
        if (rc != CLI_OK)
            return rc;
        if (options->wants_help)
            return CLI_OK;
    }
    if (optind == argc)
        return usage("it wants the name of a database", NULL);
    if (optind + 1 < argc)
        return usage("it wants one database, and there is also", argv[optind + 1]);
    if (has_seconds && options->transfers > 0)
        return usage("--seconds and --transfers exclude each other", NULL);
    if (options->keep != NULL && lstat(options->keep, &there) == 0) {
        cli_complain("demo: --keep makes a new file, and '%s' is there already",
                     options->keep);
        return CLI_USAGE;
    }
    options->database = argv[optind];
    return CLI_OK;
}
