/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_VERDICT_H
#define LIDO_CLI_VERDICT_H

/*
 * A verdict of lido_check(), as the commands that ask for one answer it.
 */
#include "cli/command.h"

/* The exit status: 0 sound, 1 a part could not be checked, 3 problems, 4 locked or to be
   recovered, 5 missing or not a database. */
int verdict_exit(int verdict);

/* Prints "PATH: VERDICT", and behind it why, to stdout. */
void verdict_print(const char *path, const struct lido_check *check);
/* The members "path", "verdict" and "reason". */
void verdict_json(struct json *json, const char *path, const struct lido_check *check);

#endif
