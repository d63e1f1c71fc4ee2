/* SPDX-License-Identifier: MIT */
/*
 * Who may read a backup where access lists say who may read the database.
 */
#include "tests/support/backup_stage.h"

#include <errno.h>
#include <sys/xattr.h>

TestSuite(backup_access, .init = set_up, .fini = tear_down, .timeout = 60);

#define ACL_OF_FILE   "system.posix_acl_access"
#define ACL_OF_FOLDER "system.posix_acl_default"

enum { OWNER = 1, USER = 2, GROUP = 4, MASK = 16, OTHERS = 32 };
enum { READ = 4, WRITE = 2 };

struct entry {
    uint16_t who, may;
    uint32_t id;
};

/* As the kernel has it on these machines, least byte first: one user may read, the group may
   not, and the most that anybody of them may is to read. */
static const struct {
    uint32_t version;
    struct entry entries[5];
} one_user = { 2,
               { { OWNER, READ | WRITE, UINT32_MAX },
                 { USER, READ, 4711 },
                 { GROUP, 0, UINT32_MAX },
                 { MASK, READ, UINT32_MAX },
                 { OTHERS, 0, UINT32_MAX } } };

static void set_list(const char *path, const char *name)
{
    if (setxattr(path, name, &one_user, sizeof one_user, 0) != 0) {
        cr_assert_eq(errno, ENOTSUP);
        cr_skip_test("the file system has no access lists");
    }
}

static int is_refused;

int __real_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags);
int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags);
int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
    if (!is_refused)
        return __real_fsetxattr(fd, name, value, size, flags);
    errno = ENOTSUP;
    return -1;
}

static ssize_t size_of_list(const char *path)
{
    char bytes[256];

    return getxattr(path, ACL_OF_FILE, bytes, sizeof bytes);
}

Test(backup_access, is_that_of_the_list_of_the_database)
{
    char bytes[sizeof one_user];

    set_list("a.db", ACL_OF_FILE);
    cr_assert_eq(mode_of("a.db"), 0640, "the mask stands where the group's bits are");
    options.replace = 1;
    for (int method = LIDO_BACKUP_ONLINE; method <= LIDO_BACKUP_COPY; method++) {
        options.method = method;
        cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
        cr_assert_eq(size_of_list("copy.db"), (ssize_t)sizeof one_user);
        getxattr("copy.db", ACL_OF_FILE, bytes, sizeof bytes);
        cr_expect_eq(memcmp(bytes, &one_user, sizeof bytes), 0);
        cr_expect_eq(mode_of("copy.db"), 0640);
    }
}

Test(backup_access, is_its_owners_alone_where_the_list_cannot_be_given)
{
    set_list("a.db", ACL_OF_FILE);
    is_refused = 1;
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(mode_of("copy.db"), 0600, "%o", mode_of("copy.db"));
    cr_expect_lt(size_of_list("copy.db"), 0);
}

/* The folder would give its list to what is made in it; the database has none. */
Test(backup_access, is_not_that_of_the_folder)
{
    cr_assert_eq(chmod("a.db", 0640), 0);
    set_list(".", ACL_OF_FOLDER);
    cr_assert_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_lt(size_of_list("copy.db"), 0);
    cr_expect_eq(mode_of("copy.db"), 0640);
}

/* Who moved the database and put another file there may let others read that. */
Test(backup_access, is_not_that_of_a_file_that_took_the_name)
{
    cr_assert_eq(chmod("a.db", 0600), 0);
    cr_assert_eq(rename("a.db", "b.db"), 0);
    write_file("a.db", "other");
    cr_assert_eq(chmod("a.db", 0644), 0);
    cr_expect_eq(backup("copy.db"), LIDO_OK, "%s", err.text);
    cr_expect_eq(mode_of("copy.db"), 0600);
    cr_assert_eq(rename("b.db", "a.db"), 0);
    expect_whole("copy.db");
}
