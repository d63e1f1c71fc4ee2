/* SPDX-License-Identifier: MIT */
#ifndef LIDO_CLI_PROCESS_SQLITES_H
#define LIDO_CLI_PROCESS_SQLITES_H

/* How many copies of SQLite this process has loaded, as far as its libraries show them: two do
   not know of each other's locks, and lose them.  `where` gets the names of their files. */
int process_sqlites(char *where, unsigned long size);

#endif
