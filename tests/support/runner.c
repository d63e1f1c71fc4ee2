/* SPDX-License-Identifier: MIT */
/*
 * A runner for Criterion's tests that believes the sanitizers.
 *
 * It takes the place of libcriterion at link time, under the same headers and for the same
 * test sources.  Criterion 2.4.1 lets a test pass after a leak, an undefined shift,
 * valgrind errors and an assertion that failed in tear-down, and cannot start under TSan at
 * all.  Here each test runs in a plain forked child that ends by exit(), so that what a
 * tool finds at exit makes that test fail:
 *
 *     runner --fork--> set-up, body, tear-down --exit()--> leak check --> status
 *                                                                           |
 *            passed if the status is the expected one, and nothing reported <-+
 *
 * `.signal` and `.exit_code` never excuse a finding: a sanitizer that aborts is told apart
 * from a test that aborts.  A run that runs nothing fails.  Theories are not there.
 *
 *     test-x [--filter PATTERN] [--list] [--no-fork]      PATTERN as for glob: pool/wait_*
 *
 * LIDO_TEST_TIMEOUT_SCALE multiplies every time-out, for slow tools.
 *
 * Threads: one; the tests in their own processes have as many as they like.
 */
#include "tests/support/runner.h"

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* For a test that names no time-out: a hang is better reported by name than by meson. */
#define DEFAULT_TIMEOUT_S 60.0

#define EXIT_USAGE 2

/* The linker's names for the two sections that Test() and TestSuite() fill. */
extern struct criterion_test *__start_cr_tst[] __attribute__((weak));
extern struct criterion_test *__stop_cr_tst[] __attribute__((weak));
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

struct runner {
    const char *filter; /* NULL: all */
    bool lists_only;
    bool forks;
    double timeout_scale;
    struct test_report *report; /* shared with the child that runs */
    unsigned passed, failed, skipped;
};

struct ending {
    int status; /* as of waitpid() */
    bool has_timed_out;
};

static const struct criterion_test_extra_data *find_suite(const char *name)
{
    for (struct criterion_suite **suite = __start_cr_sts; suite < __stop_cr_sts; suite++) {
        if (*suite != NULL && strcmp((*suite)->name, name) == 0)
            return (*suite)->data;
    }
    return NULL;
}

static bool is_disabled(const struct test_case *test_case)
{
    return test_case->test->data->disabled ||
           (test_case->suite != NULL && test_case->suite->disabled);
}

static double timeout_s(const struct runner *runner, const struct test_case *test_case)
{
    double timeout = test_case->test->data->timeout;

    if (timeout <= 0 && test_case->suite != NULL)
        timeout = test_case->suite->timeout;
    if (timeout <= 0)
        timeout = DEFAULT_TIMEOUT_S;
    return timeout * runner->timeout_scale;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* --- one test in its own process ------------------------------------------------------ */

/* Until the child ends, or the time is over and it is killed.  SIGCHLD is blocked. */
static struct ending await(pid_t child, double timeout)
{
    struct ending ending = { 0, false };
    double deadline = now_s() + timeout;
    sigset_t child_ends;

    sigemptyset(&child_ends);
    sigaddset(&child_ends, SIGCHLD);
    while (waitpid(child, &ending.status, WNOHANG) == 0) {
        double left = deadline - now_s();
        struct timespec wait;

        if (left <= 0) {
            ending.has_timed_out = true;
            kill(child, SIGKILL);
            waitpid(child, &ending.status, 0);
            break;
        }
        wait.tv_sec = (time_t)left;
        wait.tv_nsec = (long)((left - (double)wait.tv_sec) * 1e9);
        sigtimedwait(&child_ends, NULL, &wait);
    }
    return ending;
}

static struct ending run_forked(const struct runner *runner,
                                const struct test_case *test_case)
{
    struct ending ending = { 0, false };
    sigset_t child_ends, before;
    pid_t child;

    sigemptyset(&child_ends);
    sigaddset(&child_ends, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_ends, &before);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        test_run(test_case, runner->report);
        exit(0); /* not _exit(): leaks are looked for at exit */
    }
    if (child < 0) {
        perror("fork");
        exit(1);
    }
    ending = await(child, timeout_s(runner, test_case));
    sigprocmask(SIG_SETMASK, &before, NULL);
    return ending;
}

/* --- the verdict ---------------------------------------------------------------------- */

static bool ends_as_expected(const struct test_case *test_case, int status)
{
    const struct criterion_test_extra_data *expected = test_case->test->data;

    if (expected->signal != 0)
        return WIFSIGNALED(status) && WTERMSIG(status) == expected->signal;
    return WIFEXITED(status) && WEXITSTATUS(status) == expected->exit_code;
}

/* Why it failed, in a few words; NULL if it did not. */
static const char *find_fault(const struct runner *runner,
                              const struct test_case *test_case, struct ending ending,
                              char *text, size_t size)
{
    if (ending.has_timed_out)
        return "timed out";
    if (atomic_load(&runner->report->has_finding))
        return "a sanitizer found something";
    if (atomic_load(&runner->report->has_failed))
        return "an assertion failed";
    if (atomic_load(&runner->report->is_skipped) && ending.status == 0)
        return NULL;
    if (ends_as_expected(test_case, ending.status))
        return NULL;
    if (WIFSIGNALED(ending.status))
        snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(ending.status),
                 strsignal(WTERMSIG(ending.status)));
    else
        snprintf(text, size, "exit status %d", WEXITSTATUS(ending.status));
    return text;
}

static void run_case(struct runner *runner, const struct test_case *test_case,
                     size_t number)
{
    const struct criterion_test *test = test_case->test;
    struct ending ending = { 0, false };
    const char *fault;
    char text[80];

    memset(runner->report, 0, sizeof *runner->report);
    if (runner->forks)
        ending = run_forked(runner, test_case);
    else
        test_run(test_case, runner->report);

    fault = find_fault(runner, test_case, ending, text, sizeof text);
    if (fault != NULL) {
        runner->failed++;
        fprintf(stderr, "[FAIL] %s/%s case %zu: %s\n", test->category, test->name, number,
                fault);
    } else if (atomic_load(&runner->report->is_skipped)) {
        runner->skipped++;
        fprintf(stderr, "[SKIP] %s/%s\n", test->category, test->name);
    } else {
        runner->passed++;
    }
}

/* --- all tests ------------------------------------------------------------------------ */

static void run_test(struct runner *runner, const struct criterion_test *test)
{
    struct test_case test_case = { test, find_suite(test->category), NULL };
    struct criterion_test_params params = { 0 };

    if (runner->filter != NULL && fnmatch(runner->filter, test->data->identifier_, 0) != 0)
        return;
    if (runner->lists_only) {
        puts(test->data->identifier_);
        runner->passed++;
        return;
    }
    if (is_disabled(&test_case)) {
        runner->skipped++;
        return;
    }
    if (test->data->kind_ != CR_TEST_PARAMETERIZED) {
        run_case(runner, &test_case, 0);
        return;
    }
    params = test->data->param_();
    for (size_t i = 0; i < params.length; i++) {
        test_case.param = (char *)params.params + i * params.size;
        run_case(runner, &test_case, i);
    }
    if (params.cleanup != NULL)
        params.cleanup(&params);
}

static bool read_arguments(struct runner *runner, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
            runner->filter = argv[++i];
        else if (strncmp(argv[i], "--filter=", strlen("--filter=")) == 0)
            runner->filter = argv[i] + strlen("--filter=");
        else if (strcmp(argv[i], "--list") == 0)
            runner->lists_only = true;
        else if (strcmp(argv[i], "--no-fork") == 0)
            runner->forks = false;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct runner runner = { .forks = true, .timeout_scale = 1 };
    const char *scale = getenv("LIDO_TEST_TIMEOUT_SCALE");

    if (!read_arguments(&runner, argc, argv)) {
        fprintf(stderr, "usage: %s [--filter PATTERN] [--list] [--no-fork]\n", argv[0]);
        return EXIT_USAGE;
    }
    if (scale != NULL && strtod(scale, NULL) > 0)
        runner.timeout_scale = strtod(scale, NULL);
    runner.report = mmap(NULL, sizeof *runner.report, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (runner.report == MAP_FAILED) {
        perror("mmap");
        return 1;
    }

    for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++) {
        if (*test != NULL)
            run_test(&runner, *test);
    }
    if (runner.passed + runner.failed + runner.skipped == 0) {
        fprintf(stderr, "no test matches%s%s\n", runner.filter == NULL ? "" : " ",
                runner.filter == NULL ? "" : runner.filter);
        return 1;
    }
    if (!runner.lists_only)
        printf("%u tests passed, %u failed, %u skipped\n", runner.passed, runner.failed,
               runner.skipped);
    return runner.failed == 0 ? 0 : 1;
}
