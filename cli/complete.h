/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_COMPLETE_H
#define LIDO_CLI_COMPLETE_H

/*
 * What may come next on a command line, for the shells' completions.
 */
#include "cli/command.h"

/* Prints to stdout how the last of the `n` words behind "lido" may go on, for a command line
   that ends there: a line each, "WORD" or "WORD<TAB>DESCRIPTION"; ":files" stands for the names
   of files. */
void complete_print(const struct command *const *commands, size_t n_commands, int n,
                    char **words);

#endif
