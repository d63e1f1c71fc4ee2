/* SPDX-License-Identifier: MIT */
/*
 * A file is the system's file behind a head of our own.  Memory mapping is not offered (version
 * 2 of the methods), so that each page that is read is a call.
 *
 * Threads: one; the counter is plain.
 */
#include "failing_vfs.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct file {
    sqlite3_file head;
    const char *name; /* without folders */
    sqlite3_file *real;
};

static sqlite3_vfs *real_vfs; /* constant once installed */
static sqlite3_vfs shim;

static enum failing_vfs what;
static int left; /* points up to the one meant; 0: none */
static bool goes_on, fired, is_quick;
static char call[80];

enum verdict { DO, DO_HALF, REFUSE, DO_AND_FAIL };

/* At each call.  `is_ending`: it lets something go. */
static enum verdict meet(const char *verb, const char *name, bool is_write, bool is_ending)
{
    bool only_writes = what == FAILING_VFS_TEAR || what == FAILING_VFS_FULL;

    if (left == 0 || (only_writes && !is_write) || (left > 1 && left-- > 1))
        return DO;
    if (!fired)
        snprintf(call, sizeof call, "%s %s", verb, name != NULL ? name : "(temporary)");
    fired = true;
    left = goes_on ? 1 : 0;
    switch (what) {
    case FAILING_VFS_DIE: raise(SIGKILL); abort();
    case FAILING_VFS_TEAR:
    case FAILING_VFS_FULL: return DO_HALF;
    case FAILING_VFS_FAIL: return is_ending ? DO_AND_FAIL : REFUSE;
    case FAILING_VFS_LATE: return DO_AND_FAIL;
    }
    abort();
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct file *)file)->real;
}

static enum verdict meet_file(const char *verb, sqlite3_file *file)
{
    return meet(verb, ((struct file *)file)->name, false, false);
}

static enum verdict meet_end(const char *verb, sqlite3_file *file)
{
    return meet(verb, ((struct file *)file)->name, false, true);
}

/* What a call answers that is done, as `rc` says, unless it is refused. */
static int answer(enum verdict verdict, int rc, int code)
{
    return verdict == DO || rc != SQLITE_OK ? rc : code;
}

/* --- a file ----------------------------------------------------------------------------- */

static int shim_close(sqlite3_file *file)
{
    enum verdict verdict = meet_end("close", file);

    return answer(verdict, real_of(file)->pMethods->xClose(real_of(file)),
                  SQLITE_IOERR_CLOSE);
}

static int shim_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 at)
{
    enum verdict verdict = meet_file("read", file);

    if (verdict == REFUSE)
        return SQLITE_IOERR_READ;
    return answer(verdict, real_of(file)->pMethods->xRead(real_of(file), bytes, size, at),
                  SQLITE_IOERR_READ);
}

static int shim_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
    enum verdict verdict = meet("write", ((struct file *)file)->name, true, false);
    int rc;

    if (verdict == REFUSE)
        return SQLITE_IOERR_WRITE;
    if (verdict == DO_HALF)
        size /= 2;
    rc = real_of(file)->pMethods->xWrite(real_of(file), bytes, size, at);
    if (verdict == DO_HALF && what == FAILING_VFS_TEAR) {
        raise(SIGKILL);
        abort();
    }
    return answer(verdict, rc, verdict == DO_HALF ? SQLITE_FULL : SQLITE_IOERR_WRITE);
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    enum verdict verdict = meet_file("truncate", file);

    if (verdict == REFUSE)
        return SQLITE_IOERR_TRUNCATE;
    return answer(verdict, real_of(file)->pMethods->xTruncate(real_of(file), size),
                  SQLITE_IOERR_TRUNCATE);
}

static int shim_sync(sqlite3_file *file, int flags)
{
    enum verdict verdict = meet_file("sync", file);

    if (verdict == REFUSE)
        return SQLITE_IOERR_FSYNC;
    return answer(verdict,
                  is_quick ? SQLITE_OK
                           : real_of(file)->pMethods->xSync(real_of(file), flags),
                  SQLITE_IOERR_FSYNC);
}

static int shim_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    enum verdict verdict = meet_file("size", file);

    if (verdict == REFUSE)
        return SQLITE_IOERR_FSTAT;
    return answer(verdict, real_of(file)->pMethods->xFileSize(real_of(file), size),
                  SQLITE_IOERR_FSTAT);
}

/* A lock that is taken and said not to be would stay for ever. */
static int shim_lock(sqlite3_file *file, int level)
{
    return meet_file("lock", file) == DO
               ? real_of(file)->pMethods->xLock(real_of(file), level)
               : SQLITE_IOERR_LOCK;
}

static int shim_unlock(sqlite3_file *file, int level)
{
    enum verdict verdict = meet_end("unlock", file);

    return answer(verdict, real_of(file)->pMethods->xUnlock(real_of(file), level),
                  SQLITE_IOERR_UNLOCK);
}

static int shim_check_reserved(sqlite3_file *file, int *is_reserved)
{
    enum verdict verdict = meet_file("check", file);

    if (verdict == REFUSE)
        return SQLITE_IOERR_CHECKRESERVEDLOCK;
    return answer(verdict,
                  real_of(file)->pMethods->xCheckReservedLock(real_of(file), is_reserved),
                  SQLITE_IOERR_CHECKRESERVEDLOCK);
}

static int shim_control(sqlite3_file *file, int op, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int shim_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int shim_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int shim_shm_map(sqlite3_file *file, int page, int size, int extend,
                        void volatile **memory)
{
    if (meet_file("shm map", file) == DO)
        return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, memory);
    *memory = NULL;
    return SQLITE_IOERR_SHMMAP;
}

static int shim_shm_lock(sqlite3_file *file, int first, int count, int flags)
{
    bool is_ending = (flags & SQLITE_SHM_UNLOCK) != 0;
    enum verdict verdict =
        is_ending ? meet_end("shm unlock", file) : meet_file("shm lock", file);

    if (verdict != DO && !is_ending)
        return SQLITE_IOERR_SHMLOCK;
    return answer(verdict,
                  real_of(file)->pMethods->xShmLock(real_of(file), first, count, flags),
                  SQLITE_IOERR_SHMLOCK);
}

static void shim_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shim_shm_unmap(sqlite3_file *file, int deletes)
{
    enum verdict verdict = meet_end("shm unmap", file);

    return answer(verdict, real_of(file)->pMethods->xShmUnmap(real_of(file), deletes),
                  SQLITE_IOERR_SHMMAP);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_file_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_reserved,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector_size,
    .xDeviceCharacteristics = shim_characteristics,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

/* --- folders ---------------------------------------------------------------------------- */

static const char *last_part(const char *path)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;

    return slash != NULL ? slash + 1 : path;
}

/* One that is opened and said not to be would be lost: an open is refused, also late. */
static int shim_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file_, int flags,
                     int *out_flags)
{
    struct file *file = (struct file *)file_;
    int rc;

    (void)vfs;
    file->head.pMethods = NULL;
    file->name = last_part(path);
    file->real = (sqlite3_file *)(file + 1);
    if (meet("open", file->name, false, false) != DO)
        return SQLITE_CANTOPEN;
    rc = real_vfs->xOpen(real_vfs, path, file->real, flags, out_flags);
    if (file->real->pMethods != NULL)
        file->head.pMethods = &methods;
    return rc;
}

static int shim_delete(sqlite3_vfs *vfs, const char *path, int syncs_folder)
{
    enum verdict verdict = meet("delete", last_part(path), false, false);

    (void)vfs;
    if (verdict == REFUSE)
        return SQLITE_IOERR_DELETE;
    /* What unix answers when the file is gone, and the folder cannot be synced. */
    return answer(verdict, real_vfs->xDelete(real_vfs, path, syncs_folder && !is_quick),
                  SQLITE_IOERR_DIR_FSYNC);
}

static int shim_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
    enum verdict verdict = meet("access", last_part(path), false, false);

    (void)vfs;
    if (verdict == REFUSE)
        return SQLITE_IOERR_ACCESS;
    return answer(verdict, real_vfs->xAccess(real_vfs, path, flags, out),
                  SQLITE_IOERR_ACCESS);
}

/* --- the test's ------------------------------------------------------------------------- */

void failing_vfs_install(void)
{
    if (real_vfs != NULL)
        return;
    real_vfs = sqlite3_vfs_find(NULL);
    if (real_vfs == NULL)
        abort();
    shim = *real_vfs; /* what is not replaced asks the system, not this struct */
    shim.zName = "failing";
    shim.iVersion = 2;
    shim.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    shim.pNext = NULL;
    shim.xOpen = shim_open;
    shim.xDelete = shim_delete;
    shim.xAccess = shim_access;
    if (sqlite3_vfs_register(&shim, 0) != SQLITE_OK)
        abort();
}

static void arm(int nth, enum failing_vfs how, bool all_after)
{
    left = nth;
    what = how;
    goes_on = all_after;
    fired = false;
    call[0] = '\0';
}

void failing_vfs_arm(int nth, enum failing_vfs how)
{
    arm(nth, how, false);
}

void failing_vfs_arm_from(int nth, enum failing_vfs how)
{
    arm(nth, how, true);
}

void failing_vfs_hurry(void)
{
    is_quick = true;
}

bool failing_vfs_fired(void)
{
    return fired;
}

const char *failing_vfs_call(void)
{
    return call;
}
