/* SPDX-License-Identifier: MIT */
/*
 * How many stamped files of a name are left.
 *
 * The names alone say how old a file is: copying or touching one changes nothing.  A name
 * counts only if it is to the letter one that a backup of this target could have, and is an
 * ordinary file's; everything else in the folder is somebody else's.
 *
 * Two backups at once may come here in either order: neither removes what the other has named
 * after it, or with keep=1 both would be gone.  So for a moment there may be more.
 *
 * Threads: one for each target.  Two at once on one name may both try to remove a file: one of
 * them counts it.
 */
#include "housekeeping/target.h"

#include "base/alloc.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct stamped {
    char digits[14]; /* "YYYYmmdd-HHMM" */
    int number;      /* in its minute, from 1 */
};

static bool are_digits(const char *text, int count)
{
    for (int i = 0; i < count; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

/* Is it NAME.YYYYmmdd-HHMM or NAME.YYYYmmdd-HHMM-N, with N from 2 as a backup writes it? */
static bool parse(const char *entry, const char *name, struct stamped *out)
{
    const size_t length = strlen(name);
    const char *rest;

    if (strncmp(entry, name, length) != 0 || entry[length] != '.')
        return false;
    entry += length + 1;
    if (strlen(entry) < 13 || !are_digits(entry, 8) || entry[8] != '-' ||
        !are_digits(entry + 9, 4))
        return false;
    memcpy(out->digits, entry, 13);
    out->digits[13] = '\0';
    out->number = 1;
    rest = entry + 13;
    if (rest[0] == '\0')
        return true;
    if (rest[0] != '-' || rest[1] == '\0' || rest[1] == '0' || strlen(rest + 1) > 3 ||
        !are_digits(rest + 1, (int)strlen(rest + 1)))
        return false;
    out->number = (int)strtol(rest + 1, NULL, 10);
    return out->number >= 2;
}

static void full_name(char *out, size_t size, const struct lido__target *target,
                      const struct stamped *file, const char *end)
{
    char number[16] = "";

    if (file->number > 1)
        snprintf(number, sizeof number, "-%d", file->number);
    snprintf(out, size, "%s/%s.%s%s%s",
             strcmp(target->folder, "/") == 0 ? "" : target->folder, target->name,
             file->digits, number, end);
}

static int youngest_first(const void *a, const void *b)
{
    const struct stamped *one = a, *other = b;
    const int order = strcmp(other->digits, one->digits);

    return order != 0 ? order : other->number - one->number;
}

static bool is_in_use(const struct lido__target *target, const struct stamped *file)
{
    static const char *const ends[] = { "-journal", "-wal", "-shm" };
    char path[PATH_MAX + 512];
    struct stat status;

    for (int i = 0; i < 3; i++) {
        full_name(path, sizeof path, target, file, ends[i]);
        if (lstat(path, &status) == 0)
            return true;
    }
    return false;
}

/* All of them but the one just made; NULL and -1: memory or the folder failed. */
static struct stamped *list(const struct lido__target *target, int *count)
{
    struct stamped *files = NULL;
    struct dirent *entry;
    char path[PATH_MAX + 512];
    DIR *folder = opendir(target->folder);
    int room = 0;

    *count = folder != NULL ? 0 : -1;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the folder is this call's own */
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        struct stamped file;
        struct stat status;

        if (!parse(entry->d_name, target->name, &file))
            continue;
        full_name(path, sizeof path, target, &file, "");
        if (strcmp(path, target->path) == 0 || lstat(path, &status) != 0 ||
            !S_ISREG(status.st_mode))
            continue;
        if (*count == room) {
            struct stamped *more;

            room = room > 0 ? 2 * room : 16;
            more = sqlite3_realloc64(files, (size_t)room * sizeof *files);
            if (more == NULL) {
                *count = -1;
                break;
            }
            files = more;
        }
        files[(*count)++] = file;
    }
    if (folder != NULL)
        closedir(folder);
    return files;
}

int lido__target_last_number(const struct lido__target *target)
{
    int count, last = 0;
    struct stamped *files = list(target, &count);

    for (int i = 0; i < count; i++)
        if (strcmp(files[i].digits, target->stamp + 1) == 0 && files[i].number > last)
            last = files[i].number;
    lido__free(files);
    return last;
}

/* Has another backup made it since this one has its name?  A name of the future is the work of
   a clock that was ahead. */
static bool is_of_meanwhile(const struct stamped *file, const struct stamped *own,
                            const char *now)
{
    return youngest_first(file, own) < 0 && strcmp(file->digits, now) <= 0;
}

void lido__target_keep(const struct lido__target *target, int keep, int *removed,
                       int *not_removed)
{
    const time_t seconds = time(NULL);
    struct stamped own = { .number = 0 };
    int count, kept = 1; /* the one just made */
    struct stamped *files = list(target, &count);
    char now[sizeof own.digits];
    struct tm parts;

    gmtime_r(&seconds, &parts);
    strftime(now, sizeof now, "%Y%m%d-%H%M", &parts);
    parse(strrchr(target->path, '/') + 1, target->name, &own);
    *removed = 0;
    *not_removed = count < 0 ? 1 : 0;
    if (count > 0)
        qsort(files, (size_t)count, sizeof *files, youngest_first);
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX + 512];

        if (kept < keep || is_of_meanwhile(&files[i], &own, now)) {
            kept++;
            continue;
        }
        full_name(path, sizeof path, target, &files[i], "");
        if (!is_in_use(target, &files[i]) && unlink(path) == 0)
            ++*removed;
        else
            ++*not_removed;
    }
    lido__free(files);
}
