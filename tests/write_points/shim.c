/* Counts what a program changes on disk below one folder, and kills it or fails there.
 *
 * Preloaded into a process (LD_PRELOAD), it stands before the C library's calls, so that it sees
 * Python's files and those of libraries alike. A point is a call that changes the folder: opening a
 * file for writing, write, fsync, truncate, rename, link, unlink, mkdir, rmdir. At the point that
 * was asked for it kills the process (a write has done its first half by then), or the call fails:
 * once with EIO, and with ENOSPC that one and all that need space from then on, as on a full disk.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES = 1 << 16, KILL = -1 };
enum { FREES, NEEDS_SPACE };

static char root[PATH_MAX];
static size_t root_length;
static long points, fatal;
static int way, log_file = -1;
static unsigned char ours[FILES];

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Count from 0 below `folder`; at point `at` (from 1; 0: none) kill (-1) or fail with this errno. */
void write_points_begin(const char *folder, long at, int how, const char *log)
{
    points = 0;
    fatal = at;
    way = how;
    log_file = *log ? REAL(open64)(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    root_length = strlen(folder);
    memcpy(root, folder, root_length + 1);
}

static int below_root(int folder, const char *path, char *found)
{
    char start[PATH_MAX] = "", link[64];
    if (!root_length)
        return 0;
    if (*path != '/' && folder == AT_FDCWD) {
        if (!getcwd(start, sizeof start))
            return 0;
    } else if (*path != '/') {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, start, sizeof start - 1);
        if (length < 0)
            return 0;
        start[length] = 0;
    }
    int length = snprintf(found, PATH_MAX, "%s%s%s", start, *start ? "/" : "", path);
    return length < PATH_MAX && !strncmp(found, root, root_length) &&
           (found[root_length] == '/' || !found[root_length]);
}

/* Returns 1 where the call is to fail now, with errno set; of a write that is killed, 2. */
static int point(const char *call, const char *path, int needs)
{
    long number = __atomic_add_fetch(&points, 1, __ATOMIC_SEQ_CST);
    if (log_file >= 0)
        dprintf(log_file, "%s %s\n", call, path);
    if (!fatal || number < fatal)
        return 0;
    if (number == fatal && way == KILL) {
        if (!strcmp(call, "write"))
            return 2;
        kill(getpid(), SIGKILL);
        pause();
    }
    if (number == fatal || (way == ENOSPC && needs == NEEDS_SPACE)) {
        errno = way;
        return 1;
    }
    return 0;
}

static int refused(const char *call, int folder, const char *path, int needs)
{
    char found[PATH_MAX];
    return below_root(folder, path, found) && point(call, found, needs);
}

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC); }

static int noted(int file, int folder, const char *path, int flags)
{
    char found[PATH_MAX];
    if (file >= 0 && file < FILES)
        ours[file] = writes(flags) && below_root(folder, path, found);
    return file;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                  \
        va_end(more);                                                                              \
        if (writes(flags) && refused("open", AT_FDCWD, path, NEEDS_SPACE))                         \
            return -1;                                                                             \
        return noted(REAL(name)(path, flags, mode), AT_FDCWD, path, flags);                        \
    }
OPEN(open)
OPEN(open64)

#define OPEN_AT(name)                                                                              \
    int name(int folder, const char *path, int flags, ...)                                         \
    {                                                                                              \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                  \
        va_end(more);                                                                              \
        if (writes(flags) && refused("open", folder, path, NEEDS_SPACE))                           \
            return -1;                                                                             \
        return noted(REAL(name)(folder, path, flags, mode), folder, path, flags);                  \
    }
OPEN_AT(openat)
OPEN_AT(openat64)

#define FOPEN(name)                                                                                \
    FILE *name(const char *path, const char *mode)                                                 \
    {                                                                                              \
        int changes = strpbrk(mode, "wa+") != NULL;                                                \
        if (changes && refused("open", AT_FDCWD, path, NEEDS_SPACE))                               \
            return NULL;                                                                           \
        return REAL(name)(path, mode);                                                             \
    }
FOPEN(fopen)
FOPEN(fopen64)

int close(int file)
{
    if (file >= 0 && file < FILES)
        ours[file] = 0;
    return REAL(close)(file);
}

static int our(int file) { return file >= 0 && file < FILES && ours[file]; }

static int write_refused(int file)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return point("write", path, NEEDS_SPACE);
}

ssize_t write(int file, const void *data, size_t size)
{
    int how = our(file) ? write_refused(file) : 0;
    if (how == 2) {
        REAL(write)(file, data, size / 2);
        kill(getpid(), SIGKILL);
        pause();
    }
    return how ? -1 : REAL(write)(file, data, size);
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    int how = our(file) ? write_refused(file) : 0;
    if (how == 2) {
        kill(getpid(), SIGKILL);
        pause();
    }
    return how ? -1 : REAL(writev)(file, parts, count);
}

#define PWRITE(name, offset_type)                                                                  \
    ssize_t name(int file, const void *data, size_t size, offset_type offset)                      \
    {                                                                                              \
        int how = our(file) ? write_refused(file) : 0;                                             \
        if (how == 2) {                                                                            \
            REAL(name)(file, data, size / 2, offset);                                              \
            kill(getpid(), SIGKILL);                                                               \
            pause();                                                                               \
        }                                                                                          \
        return how ? -1 : REAL(name)(file, data, size, offset);                                    \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define OF_FILE(name, declared, given, needs)                                                      \
    int name declared                                                                              \
    {                                                                                              \
        return our(file) && point(#name, "", needs) ? -1 : REAL(name) given;                       \
    }
OF_FILE(fsync, (int file), (file), FREES)
OF_FILE(fdatasync, (int file), (file), FREES)
OF_FILE(ftruncate, (int file, off_t size), (file, size), FREES)
OF_FILE(ftruncate64, (int file, off64_t size), (file, size), FREES)

#define OF_PATH(name, declared, given, folder, path, needs)                                        \
    int name declared { return refused(#name, folder, path, needs) ? -1 : REAL(name) given; }
OF_PATH(mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, NEEDS_SPACE)
OF_PATH(mkdirat, (int f, const char *path, mode_t mode), (f, path, mode), f, path, NEEDS_SPACE)
OF_PATH(rmdir, (const char *path), (path), AT_FDCWD, path, FREES)
OF_PATH(unlink, (const char *path), (path), AT_FDCWD, path, FREES)
OF_PATH(unlinkat, (int f, const char *path, int flags), (f, path, flags), f, path, FREES)
OF_PATH(rename, (const char *from, const char *to), (from, to), AT_FDCWD, to, FREES)
OF_PATH(renameat, (int f, const char *from, int t, const char *to), (f, from, t, to), t, to, FREES)
OF_PATH(renameat2, (int f, const char *from, int t, const char *to, unsigned flags),
        (f, from, t, to, flags), t, to, FREES)
OF_PATH(link, (const char *from, const char *to), (from, to), AT_FDCWD, to, NEEDS_SPACE)
OF_PATH(symlink, (const char *from, const char *to), (from, to), AT_FDCWD, to, NEEDS_SPACE)
OF_PATH(truncate, (const char *path, off_t size), (path, size), AT_FDCWD, path, FREES)
OF_PATH(chmod, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, FREES)
