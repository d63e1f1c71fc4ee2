/* SPDX-License-Identifier: MIT */
/*
 * Who may read the file: nobody who may not read its source.
 *
 * A file has an owner, a mode and perhaps an access list.  With a list the group's bits of the
 * mode are the most that any entry of it may do, and not what the group may: with the mode
 * alone the group could read what the list keeps from it.  So either the list is given too, or
 * the file is its owner's alone.  And a file that is made in a folder with a default list has
 * one that nobody asked for, which a mode would bring to life: that is taken away first.
 *
 * The source is asked by its name, between which and its mode others may change it: what is
 * given is one or the other, never both together.
 *
 * Threads: one for each target.
 */
#include "housekeeping/target.h"

#include <errno.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/xattr.h>

#define ACL "system.posix_acl_access"

void lido__target_know_access(struct lido__target *target, const char *source_path)
{
    const ssize_t size = getxattr(source_path, ACL, target->acl, sizeof target->acl);

    target->acl_size = size > 0 ? (size_t)size : 0;
    target->is_acl_known = size >= 0 || errno == ENODATA || errno == ENOTSUP;
}

static bool give_list(const struct lido__target *target, int file)
{
    if (fremovexattr(file, ACL) != 0 && errno != ENODATA && errno != ENOTSUP)
        return false;
    return target->acl_size == 0 ||
           fsetxattr(file, ACL, target->acl, target->acl_size, 0) == 0;
}
#else
void lido__target_know_access(struct lido__target *target, const char *source_path)
{
    (void)source_path;
    target->is_acl_known = true;
}

static bool give_list(const struct lido__target *target, int file)
{
    (void)target, (void)file;
    return true;
}
#endif

/* Another owner or group would make group and others different ones from the source's. */
int lido__target_give_access(const struct lido__target *target, int file)
{
    const struct stat *source = &target->source;
    struct stat now;
    bool is_same;

    if (fstat(file, &now) != 0)
        return -1;
    is_same = (now.st_uid == source->st_uid && now.st_gid == source->st_gid) ||
              fchown(file, source->st_uid, source->st_gid) == 0;
    is_same = is_same && target->is_acl_known && give_list(target, file);
    return fchmod(file, source->st_mode & (is_same ? 0777 : 0700));
}
