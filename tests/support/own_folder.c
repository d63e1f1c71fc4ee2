/* SPDX-License-Identifier: MIT */
/*
 * The end of a test's own folder: nothing stays in /tmp, and what was left is no secret.
 *
 * Links are removed and not followed.
 *
 * Threads: any.
 */
#include "own_folder.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int tell_and_remove(const char *path, const struct stat *status, int type,
                           struct FTW *where)
{
    (void)status, (void)type;
    if (where->level > 0)
        fprintf(stderr, "was left: %s\n", path);
    remove(path);
    return 0;
}

void own_folder_end(const char *folder)
{
    if (rmdir(folder) == 0 || errno == ENOENT)
        return; /* or a test that is skipped has ended it itself */
    fprintf(stderr, "%s: %s\n", folder, strerror(errno));
    nftw(folder, tell_and_remove, 10, FTW_DEPTH | FTW_PHYS);
    abort();
}
