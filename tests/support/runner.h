/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_RUNNER_H
#define LIDO_TESTS_RUNNER_H

/*
 * The stand-in for Criterion's runner, in two halves: runner.c starts tests and judges
 * them, runner_inside.c is what a test meets while it runs.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* One run of one test: a parameterized test has a case for each parameter. */
struct test_case {
    const struct criterion_test *test;
    const struct criterion_test_extra_data *suite; /* NULL: the suite has no declaration */
    void *param;                                   /* NULL: not parameterized */
};

/* What a test reports.  In memory shared with its forked children: an assertion that fails
   in a child of a child counts as well. */
struct test_report {
    atomic_bool has_failed; /* an assertion did not hold */
    atomic_bool is_skipped;
    atomic_bool has_finding; /* a sanitizer is about to end the process */
};

/* Runs a test to its end in this process.  `report` is all zero before. */
void test_run(const struct test_case *test_case, struct test_report *report);

#endif
