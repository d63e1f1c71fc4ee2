/* SPDX-License-Identifier: MIT */
#ifndef LIDO_BENCH_COMMAND_H
#define LIDO_BENCH_COMMAND_H

/*
 * A sub-command: gets what stands after its name (argv[0] is the name), answers one of the
 * exit codes.
 */
#define EXIT_OK     0
#define EXIT_FAILED 1
#define EXIT_USAGE  2

int command_checkout(int argc, char **argv);
int command_housekeeping(int argc, char **argv);
int command_statement(int argc, char **argv);
int command_tune(int argc, char **argv);
int command_write(int argc, char **argv);

/* What --version prints, for all of them. */
void print_version(void);

#endif
