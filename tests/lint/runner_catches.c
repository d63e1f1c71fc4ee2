/* SPDX-License-Identifier: MIT */
/*
 * Seeded bugs for tests/support/runner.c: all of `good` must pass, each of `bad` must fail.
 * runner_catches.sh knows which tool it takes to see each.
 *
 * Threads: as each test says.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int shared_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both_run;

static void run_two(void *(*work)(void *))
{
    pthread_t first, second;

    pthread_barrier_init(&both_run, NULL, 2);
    pthread_create(&first, NULL, work, NULL);
    pthread_create(&second, NULL, work, NULL);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    pthread_barrier_destroy(&both_run);
}

static void *count_locked(void *unused)
{
    pthread_barrier_wait(&both_run);
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&lock);
        shared_count++;
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

static void *count_racing(void *unused)
{
    pthread_barrier_wait(&both_run);
    for (int i = 0; i < 1000; i++)
        shared_count++;
    return unused;
}

static void *fail_in_thread(void *unused)
{
    cr_assert(shared_count == -1);
    return unused;
}

static void fail_in_fixture(void)
{
    cr_assert(shared_count == -1);
}

static void write_behind(size_t size)
{
    volatile char *volatile memory = malloc(size);

    cr_assert_not_null((void *)memory);
    memory[size] = 1;
    free((void *)memory);
}

/* --- good ----------------------------------------------------------------------------- */

Test(good, an_assertion_holds)
{
    cr_assert_eq(1, 1);
    cr_expect_str_eq("a", "a");
    cr_expect(all(eq(int, 1, 1), not(zero(int, 1)), any(eq(int, 1, 2), ge(int, 2, 2))));
}

Test(good, two_threads_with_a_lock)
{
    run_two(count_locked);
    cr_assert_eq(shared_count, 2000);
}

Test(good, the_expected_signal, .signal = SIGABRT)
{
    abort();
}

Test(good, the_expected_exit_status, .exit_code = 3)
{
    exit(3);
}

Test(good, a_forked_child_that_returns)
{
    int status = 0;
    pid_t child = fork();

    if (child != 0) {
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert_eq(status, 0);
    }
}

Test(good, skipped)
{
    cr_skip("on purpose");
}

Test(good, disabled, .disabled = true)
{
    abort();
}

ParameterizedTestParameters(good, parameters)
{
    static int values[] = { 1, 2, 3 };

    return cr_make_param_array(int, values, 3);
}

ParameterizedTest(int *value, good, parameters)
{
    cr_assert_leq(*value, 3);
}

/* --- bad, whatever the build ------------------------------------------------------------
 */

Test(bad, failed_assert)
{
    cr_assert_eq(1, 2, "%d is not %d", 1, 2);
}

Test(bad, failed_expect)
{
    cr_expect_null("text");
}

Test(bad, failed_term)
{
    char *text = (char *)"text";

    cr_expect(all(eq(int, 1, 1), eq(str, text, (char *)"other")), "the terms differ");
}

Test(bad, failed_expect_behind_exit)
{
    cr_expect(shared_count == -1);
    exit(0);
}

Test(bad, assert_in_thread)
{
    run_two(count_locked);
    run_two(fail_in_thread);
}

Test(bad, assert_in_child)
{
    pid_t child = fork();

    if (child == 0)
        cr_assert(shared_count == -1);
    waitpid(child, NULL, 0);
}

Test(bad, assert_in_init, .init = fail_in_fixture)
{
}

Test(bad, assert_in_fini, .fini = fail_in_fixture)
{
}

Test(bad, crash)
{
    raise(SIGSEGV);
}

Test(bad, timeout, .timeout = 0.2)
{
    for (;;)
        pause();
}

Test(bad, wrong_exit_status, .exit_code = 3)
{
    exit(4);
}

Test(bad, no_exit, .exit_code = 3)
{
}

Test(bad, no_signal, .signal = SIGABRT)
{
}

/* --- bad, if the tool is there -------------------------------------------------------- */

Test(bad, leak)
{
    char *volatile memory = malloc(100);

    cr_assert_not_null(memory);
    memory = NULL;
}

Test(bad, overflow)
{
    write_behind(8);
}

Test(bad, overflow_behind_expected_signal, .signal = SIGABRT)
{
    write_behind(8);
    abort();
}

Test(bad, undefined)
{
    volatile int most = 0x7fffffff;

    most = most + 1;
}

Test(bad, undefined_behind_expected_exit, .exit_code = 1)
{
    volatile int most = 0x7fffffff;

    most = most + 1;
    exit(1);
}

Test(bad, race)
{
    run_two(count_racing);
}

Test(bad, uninitialised)
{
    char *volatile memory = malloc(8); /* volatile: else the compiler finds it */

    cr_assert_not_null(memory);
    if (memory[4] == 'x')
        cr_log_info("by chance");
    free(memory);
}
