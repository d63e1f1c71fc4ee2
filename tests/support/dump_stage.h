/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_DUMP_STAGE_H
#define LIDO_TESTS_DUMP_STAGE_H

/*
 * The stage of the tests of dump: a folder of their own, with the names of a database to dump,
 * of one to load into, and of the text between.
 *
 * Threads: one.
 */
#include "tests/support/dumped.h"
#include "tests/support/own_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/lido-dump-XXXXXX";
static char source[100], target[100], script[100];
static struct lido_dump_options options;
static struct lido_error err;

static inline void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(source, sizeof source, "%s/source.db", folder);
    snprintf(target, sizeof target, "%s/target.db", folder);
    snprintf(script, sizeof script, "%s/dump.sql", folder);
    options = (struct lido_dump_options)LIDO_DUMP_OPTIONS_INIT;
}

static inline void tear_down(void)
{
    unlink(source);
    unlink(target);
    unlink(script);
    own_folder_end(folder);
}

#endif
