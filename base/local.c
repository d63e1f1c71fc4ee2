/* SPDX-License-Identifier: MIT */
/*
 * Which file systems are not of this machine.
 *
 * Linux tells a number for each, and no more, so there is a list.  What is not in it is taken
 * for local: file systems of disks are many, and new ones come.  FUSE and 9P are in it although
 * some of what they show is local: from here it cannot be told, and whether record locks work
 * is up to a program behind them.  Where systems mark what is local the mark decides.
 *
 * Threads: any; nothing here changes.
 */
#include "base/local.h"

#include <stddef.h>

#if defined(__linux__)
#include <stdint.h>
#include <sys/vfs.h>

/* From statfs(2) and the kernel's uapi/linux/magic.h; of those outside, from their sources. */
static const struct {
    uint32_t magic;
    const char *name;
} elsewhere[] = {
    { 0x00006969, "NFS" },    { 0x0000517b, "SMB" },    { 0xff534d42, "CIFS" },
    { 0xfe534d42, "SMB2" },   { 0x65735546, "FUSE" },   { 0x01021997, "9P" },
    { 0x5346414f, "AFS" },    { 0x6b414653, "AFS" },    { 0x00c36400, "Ceph" },
    { 0x73757245, "Coda" },   { 0x0000564c, "NCP" },    { 0x01161970, "GFS2" },
    { 0x7461636f, "OCFS2" },  { 0x0bd00bd0, "Lustre" }, { 0x47504653, "GPFS" },
    { 0x19830326, "BeeGFS" }, { 0xaad7aaea, "PanFS" },  { 0x786f4256, "vboxsf" },
    { 0xbacbacbc, "vmhgfs" },
};

const char *lido__file_elsewhere(int fd)
{
    struct statfs found;

    if (fstatfs(fd, &found) != 0)
        return "";
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        if (elsewhere[i].magic == (uint32_t)found.f_type)
            return elsewhere[i].name;
    return NULL;
}
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__)
#include <sys/param.h>

#include <sys/mount.h>

const char *lido__file_elsewhere(int fd)
{
    struct statfs found;

    return fstatfs(fd, &found) == 0 && (found.f_flags & MNT_LOCAL) != 0 ? NULL : "";
}
#else
#include <sys/statvfs.h>

const char *lido__file_elsewhere(int fd)
{
    struct statvfs found;

    if (fstatvfs(fd, &found) != 0)
        return "";
#if defined(ST_LOCAL) /* NetBSD */
    return (found.f_flag & ST_LOCAL) != 0 ? NULL : "";
#else
    return NULL;
#endif
}
#endif
