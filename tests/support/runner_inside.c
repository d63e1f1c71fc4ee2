/* SPDX-License-Identifier: MIT */
/*
 * Inside a test: the functions that Criterion's macros call.
 *
 * Test() makes a trampoline that calls set-up, body and tear-down, in this order.  Each is
 * a phase: a failed cr_assert() leaves the phase by a jump.  A set-up that is left takes
 * body and tear-down with it; a body that is left is still torn down, so that what it
 * opened is not reported as a leak on top.
 *
 * A jump leads only into frames of the thread that jumps.  From another thread a failed
 * cr_assert() ends the process instead, where Criterion itself would jump across stacks.
 *
 * Threads: asserts from any; the phases on the one that runs the test.
 */
#include "tests/support/runner.h"

#include <criterion/logging.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Criterion's declarations do not say so. */
#define PRINTF_LIKE(format_, first_) __attribute__((format(printf, format_, first_)))

struct criterion_options criterion_options; /* the macros look into it */

/* Set before the first phase, then constant. */
static const struct test_case *current;
static struct test_report *report;
static pthread_t runs_phases;

static jmp_buf end_of_phase;

/* A sanitizer's runtime calls this before it ends the process, whatever it ends it by. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void note_finding(void)
{
    atomic_store(&report->has_finding, true);
}

void test_run(const struct test_case *test_case, struct test_report *where)
{
    current = test_case;
    report = where;
    runs_phases = pthread_self();
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(note_finding);
    current->test->test();
}

static _Noreturn void leave_phase(void)
{
    if (pthread_equal(pthread_self(), runs_phases))
        longjmp(end_of_phase, 1);
    fflush(NULL);
    _exit(1);
}

static bool has_ended(void)
{
    return atomic_load(&report->has_failed) || atomic_load(&report->is_skipped);
}

/* --- phases ------------------------------------------------------------------------ */

static bool is_set_up;

static void call(void (*fixture)(void))
{
    if (fixture != NULL)
        fixture();
}

void criterion_internal_test_setup(void)
{
    if (setjmp(end_of_phase) != 0)
        return;
    if (current->suite != NULL)
        call(current->suite->init);
    call(current->test->data->init);
    is_set_up = !has_ended();
}

void criterion_internal_test_main(void (*body)(void))
{
    if (!is_set_up || setjmp(end_of_phase) != 0)
        return;
    if (current->test->data->kind_ == CR_TEST_PARAMETERIZED)
        ((void (*)(void *))body)(current->param);
    else
        body();
}

void criterion_internal_test_teardown(void)
{
    if (!is_set_up || setjmp(end_of_phase) != 0)
        return;
    call(current->test->data->fini);
    if (current->suite != NULL)
        call(current->suite->fini);
}

/* --- ends of a test ----------------------------------------------------------------- */

void criterion_continue_test(void)
{
    atomic_store(&report->has_failed, true);
}

void criterion_abort_test(void)
{
    criterion_continue_test();
    leave_phase();
}

PRINTF_LIKE(1, 0) static void print_line(const char *format, va_list args)
{
    fputs("    ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

PRINTF_LIKE(1, 2) void criterion_skip_test(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line(format, args);
    va_end(args);
    atomic_store(&report->is_skipped, true);
    leave_phase();
}

PRINTF_LIKE(1, 2) void criterion_test_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line(format, args);
    va_end(args);
    criterion_abort_test();
}

/* --- what an assertion says ----------------------------------------------------------- */

/* The first text behind the index is the expression, or empty. */
char *cr_translate_assert_msg(int message, ...)
{
    static const char *const complaints[] = {
        [CRITERION_ASSERT_MSG_FAIL] = "failed",
        [CRITERION_ASSERT_MSG_EXPR_FALSE] = "is false",
        [CRITERION_ASSERT_MSG_EXPR_AS_STRINGS_FALSE] = "is false, as strings",
        [CRITERION_ASSERT_MSG_IS_NULL] = "is NULL",
        [CRITERION_ASSERT_MSG_IS_NOT_NULL] = "is not NULL",
        [CRITERION_ASSERT_MSG_IS_EMPTY] = "is empty",
        [CRITERION_ASSERT_MSG_IS_NOT_EMPTY] = "is not empty",
    };
    const char *complaint = NULL;
    char *text = NULL;
    va_list args;

    if (message >= 0 && (size_t)message < sizeof complaints / sizeof *complaints)
        complaint = complaints[message];
    va_start(args, message);
    if (asprintf(&text, "%s %s", va_arg(args, const char *),
                 complaint == NULL ? "does not hold" : complaint) < 0)
        text = NULL;
    va_end(args);
    return text;
}

void criterion_send_assert(struct criterion_assert_stats *assertion)
{
    if (!assertion->passed)
        fprintf(stderr, "    %s:%u: %s\n", assertion->file, assertion->line,
                assertion->message);
}

void cri_asserts_passed_incr(void)
{
}

PRINTF_LIKE(2, 3) void cr_log(enum criterion_severity severity, const char *format, ...)
{
    va_list args;

    (void)severity;
    va_start(args, format);
    print_line(format, args);
    va_end(args);
}

PRINTF_LIKE(2, 0) int cr_vasprintf(char **out, const char *format, va_list args)
{
    return vasprintf(out, format, args);
}

PRINTF_LIKE(2, 3) int cr_asprintf(char **out, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vasprintf(out, format, args);
    va_end(args);
    return length;
}

void cr_asprintf_free(char *text)
{
    free(text);
}

/* Criterion's allocator shares memory between processes; a fork needs none of that. */
void *cr_malloc(size_t size)
{
    return malloc(size);
}

void *cr_calloc(size_t count, size_t size)
{
    return calloc(count, size);
}

void *cr_realloc(void *memory, size_t size)
{
    return realloc(memory, size);
}

void cr_free(void *memory)
{
    free(memory);
}
