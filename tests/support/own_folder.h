/* SPDX-License-Identifier: MIT */
#ifndef LIDO_TESTS_OWN_FOLDER_H
#define LIDO_TESTS_OWN_FOLDER_H

/*
 * The end of a folder that a test made for itself.
 *
 * A tear-down that expects rmdir() to succeed expects it in vain: Criterion counts no failure
 * there.  It does count a tear-down that aborts.
 *
 * Threads: any.
 */

/* Removes a folder that is to be empty.  If it is not: says what is in it, removes all of that,
   and aborts. */
void own_folder_end(const char *folder);

#endif
