/* SPDX-License-Identifier: MIT */
/*
 * The fuzzer of check over its corpus and a fixed number of changes: it aborts where something
 * is wrong.
 */
#include "tests/fuzz/drive.h"
#include "tests/fuzz/fuzz_check.c"

#include <criterion/criterion.h>

#ifndef COUNT
#define COUNT 3000
#endif

TestSuite(housekeeping_fuzz_check, .timeout = 110);

Test(housekeeping_fuzz_check, some_thousand_changes)
{
    cr_expect_gt(drive(LIDO_SOURCE_ROOT "/tests/fuzz/corpus/check", COUNT, 11,
                       LLVMFuzzerTestOneInput),
                 3);
}
