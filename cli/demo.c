/* SPDX-License-Identifier: MIT */
/*
 * `lido demo`: from the original to the report.
 *
 *     find the original -> copy it -> prepare the copy
 *         -> run each kind of pool -> let many write, in both ways
 *         -> check the copy -> check the original -> keep or remove the copy -> report
 *
 * Whatever fails on the way, and whatever signal comes, the temporary files go.
 *
 * Threads: one, but for those that demo_run starts and joins.
 */
#include "cli/demo.h"

#include "cli/interrupt.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void demo_flatten(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n' || *text == '\r')
            *text = ' ';
    }
}

int demo_fail(struct demo_error *error, int answer, const char *format, ...)
{
    va_list args;

    if (error->answer != CLI_OK)
        return error->answer;
    error->answer = answer;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    demo_flatten(error->text);
    return answer;
}

int demo_interrupted(struct demo_error *error)
{
    int number = interrupt_signal();

    return number == 0 ? CLI_OK
                       : demo_fail(error, CLI_SIGNALLED + number,
                                   "interrupted; the temporary "
                                   "files are removed");
}

int demo_sqlite_interrupt(void *unused)
{
    (void)unused;
    return interrupt_signal() != 0;
}

/* The parts that leave something behind, in the order in which they are made. */
struct stage {
    struct demo_original original;
    struct demo_copy copy;
    struct demo_result results[DEMO_KINDS];
    size_t n_results;
    struct demo_writers writers;
    struct demo_checks checks;
    struct progress progress;
};

static int run_all(struct stage *stage, const struct demo_options *options,
                   struct demo_error *error)
{
    int64_t transfers = 0;
    int answer = CLI_OK;

    for (size_t k = 0; answer == CLI_OK && options->kinds[k] != NULL; k++) {
        struct demo_result *result = &stage->results[k];

        stage->n_results = k + 1;
        answer = demo_run_kind(result, options->kinds[k], options, &stage->copy,
                               &stage->checks, &stage->progress, error);
        transfers += result->transfers;
    }
    if (answer == CLI_OK && options->writers > 0)
        answer = demo_writers_run(&stage->writers, options, &stage->copy, &stage->checks,
                                  &stage->progress, error);
    for (int way = 0; way < DEMO_WAYS; way++)
        transfers += stage->writers.ways[way].sum.commits;
    if (answer == CLI_OK)
        answer = demo_check_copy(&stage->checks, &stage->copy, transfers, error);
    return answer;
}

static int run(struct stage *stage, const struct demo_options *options,
               struct demo_error *error)
{
    char difference[128] = "";
    bool is_untouched;
    int answer =
        demo_original_find(&stage->original, options->database, options->timeout, error);

    if (answer == CLI_OK)
        answer = demo_copy_make(&stage->copy, &stage->original, &stage->progress, error);
    if (answer == CLI_OK)
        answer = demo_tables_prepare(&stage->copy, error);
    if (answer == CLI_OK)
        answer = run_all(stage, options, error);
    if (answer != CLI_OK)
        return answer;
    is_untouched =
        demo_original_is_untouched(&stage->original, difference, sizeof difference);
    demo_checks_add(&stage->checks, NULL, "the original is untouched", is_untouched, "%s",
                    difference);
    /* Only now: the kept file may stand beside the original, where nothing new may be. */
    return options->keep == NULL ? CLI_OK
                                 : demo_copy_keep(&stage->copy, options->keep, error);
}

static bool all_hold(const struct demo_checks *checks)
{
    for (size_t i = 0; i < checks->n; i++) {
        if (!checks->list[i].holds)
            return false;
    }
    return true;
}

int demo_main(int argc, char **argv)
{
    struct demo_error error = { .answer = CLI_OK };
    struct demo_options options;
    struct stage stage;
    int answer = demo_options_parse(&options, argc, argv);

    if (answer != CLI_OK)
        return answer;
    if (options.wants_help) {
        fputs(demo_help, stdout);
        return cli_finish(CLI_OK);
    }
    interrupt_hold();
    memset(&stage, 0, sizeof stage);
    progress_init(&stage.progress, stderr,
                  options.is_quiet ? PROGRESS_NEVER : options.progress);
    answer = run(&stage, &options, &error);
    progress_clear(&stage.progress);
    if (answer == CLI_OK) {
        const struct demo_story story = {
            .options = &options,
            .original = &stage.original,
            .copy = &stage.copy,
            .results = stage.results,
            .n_results = stage.n_results,
            .writers = &stage.writers,
            .checks = &stage.checks,
            .holds = all_hold(&stage.checks),
        };

        if (options.is_json && !options.is_quiet)
            demo_report_json(&story);
        else if (!options.is_quiet)
            demo_report_text(&story);
        else if (!story.holds)
            cli_complain("demo: a check does not hold");
        answer = story.holds ? CLI_OK : CLI_FAILED;
    } else {
        demo_report_error(&options, &error);
    }
    for (size_t k = 0; k < stage.n_results; k++)
        demo_result_fini(&stage.results[k]);
    demo_writers_fini(&stage.writers);
    demo_copy_fini(&stage.copy);
    demo_original_fini(&stage.original);
    return cli_finish(answer);
}
