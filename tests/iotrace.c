/* Preloaded into a process, it records what that process writes below a directory, and what it syncs.
 *
 * IOTRACE_DIR    the directory to watch
 * IOTRACE_FILE   where to record (without it nothing is recorded)
 * IOTRACE_DELAY  microseconds that every sync takes longer
 * IOTRACE_DROP   syncs of files whose path ends in this text are left out, as a disk that lies would do
 *
 * A record: u32 kind, u32 length of the path, i64 offset, i64 size, the path, then the written bytes (kind WRITE),
 * or the new path (kind RENAME, size = its length).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, SYNC, RENAME, UNLINK, CREATE };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *watched, *drop;
static long delay;
static int trace = -1;


__attribute__((constructor)) static void begin(void) {
    watched = getenv("IOTRACE_DIR");
    drop = getenv("IOTRACE_DROP");
    delay = getenv("IOTRACE_DELAY") ? atol(getenv("IOTRACE_DELAY")) : 0;
    const char *file = getenv("IOTRACE_FILE");
    if (file) trace = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND, 0600);
}

/* The path behind a descriptor, if it is watched. */
static int path_of(int fd, char *path) {
    if (!watched) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return strncmp(path, watched, strlen(watched)) == 0;
}

static void put(const void *data, size_t size) {
    while (size > 0) {
        ssize_t n = syscall(SYS_write, trace, data, size);
        if (n <= 0) abort();
        data = (const char *)data + n;
        size -= n;
    }
}

static void record(uint32_t kind, const char *path, int64_t offset, int64_t size, const void *data) {
    if (trace < 0) return;
    uint32_t head[2] = {kind, strlen(path)};
    int64_t where[2] = {offset, size};
    put(head, sizeof head);
    put(where, sizeof where);
    put(path, head[1]);
    if (data) put(data, size);
}

static int ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

/* The lock keeps the order of the records the order of the calls. */
static ssize_t traced_write(int fd, const void *data, size_t size, off64_t offset, int positioned) {
    char path[PATH_MAX];
    if (trace < 0 || !path_of(fd, path))
        return positioned ? syscall(SYS_pwrite64, fd, data, size, offset) : syscall(SYS_write, fd, data, size);
    pthread_mutex_lock(&lock);
    if (!positioned) {
        int flags = fcntl(fd, F_GETFL);
        offset = lseek64(fd, 0, flags & O_APPEND ? SEEK_END : SEEK_CUR);
    }
    ssize_t n = positioned ? syscall(SYS_pwrite64, fd, data, size, offset) : syscall(SYS_write, fd, data, size);
    if (n > 0) record(WRITE, path, offset, n, data);
    pthread_mutex_unlock(&lock);
    return n;
}

ssize_t write(int fd, const void *data, size_t size) { return traced_write(fd, data, size, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return traced_write(fd, data, size, offset, 1); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    return traced_write(fd, data, size, offset, 1);
}

static int traced_truncate(int fd, off64_t size) {
    char path[PATH_MAX];
    if (trace < 0 || !path_of(fd, path)) return syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_ftruncate, fd, size);
    if (result == 0) record(TRUNCATE, path, 0, size, NULL);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t size) { return traced_truncate(fd, size); }
int ftruncate64(int fd, off64_t size) { return traced_truncate(fd, size); }

static int traced_sync(int fd, long number) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(number, fd);
    if (delay) usleep(delay);
    if (drop && ends_with(path, drop)) return 0;
    if (trace < 0) return syscall(number, fd);
    pthread_mutex_lock(&lock);
    int result = syscall(number, fd);
    if (result == 0) record(SYNC, path, 0, 0, NULL);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd) { return traced_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return traced_sync(fd, SYS_fdatasync); }

static void record_open(int fd, int existed) {
    char path[PATH_MAX];
    if (fd < 0 || existed || trace < 0 || !path_of(fd, path)) return;
    pthread_mutex_lock(&lock);
    record(CREATE, path, 0, 0, NULL);
    pthread_mutex_unlock(&lock);
}

static int traced_open(int at, const char *path, int flags, mode_t mode) {
    struct stat status;
    int existed = !(flags & O_CREAT) || fstatat(at, path, &status, 0) == 0;
    int fd = syscall(SYS_openat, at, path, flags, mode);
    record_open(fd, existed);
    if (fd >= 0 && existed && (flags & O_TRUNC)) {
        char full[PATH_MAX];
        if (trace >= 0 && path_of(fd, full)) {
            pthread_mutex_lock(&lock);
            record(TRUNCATE, full, 0, 0, NULL);
            pthread_mutex_unlock(&lock);
        }
    }
    return fd;
}

#define OPEN(name, at, ...)                                                                                            \
    int name(__VA_ARGS__, int flags, ...) {                                                                            \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                                                      \
        va_end(rest);                                                                                                  \
        return traced_open(at, path, flags, mode);                                                                     \
    }

OPEN(open, AT_FDCWD, const char *path)
OPEN(open64, AT_FDCWD, const char *path)
OPEN(openat, directory, int directory, const char *path)
OPEN(openat64, directory, int directory, const char *path)

int rename(const char *from, const char *to) {
    if (trace < 0 || !watched || strncmp(from, watched, strlen(watched)) != 0)
        return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (result == 0) record(RENAME, from, 0, strlen(to), to);
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *path) {
    if (trace < 0 || !watched || strncmp(path, watched, strlen(watched)) != 0)
        return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (result == 0) record(UNLINK, path, 0, 0, NULL);
    pthread_mutex_unlock(&lock);
    return result;
}
