/*
 * A disk that can lose power, be full, or fail, and a clock that can jump: loaded in front of libc with LD_PRELOAD.
 *
 * DISK_DIRECTORY   everything below this absolute path is watched; the rest is passed through.
 * DISK_LOG         power loss: where what was not synced yet is written down (see power.rs for the format).
 * DISK_GRAVES      power loss: a directory on the same file system that keeps files which were removed or replaced.
 * DISK_LIES        set: syncing promises nothing (so that the suites can show that they would see it).
 * DISK_FAULT       a file; while it says "full", writes fail with ENOSPC; while it says "broken", syncs fail with EIO; while it
 *                  says "denied", nothing can be created (EACCES).
 * DISK_CLOCK       a file that holds milliseconds to add to the time of day.
 *
 * With DISK_LOG nothing is really synced: the log says what would have survived. A file's bytes survive when the file was synced
 * (fsync, fdatasync), a name survives when its directory was. sync_file_range promises nothing, so it counts for nothing.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 4096

struct record {
    uint8_t kind;
    uint8_t unused[3];
    uint32_t data_bytes;
    uint16_t first_bytes;
    uint16_t second_bytes;
    uint32_t unused_too;
    uint64_t inode;
    uint64_t offset;
    uint64_t length;
    uint64_t size_before;
};

enum {
    WRITE = 'w',   /* inode, offset, length, size_before; data: the bytes that were there */
    SYNC = 's',    /* inode */
    NAMES = 'd',   /* first: the directory whose names were synced */
    CREATE = 'c',  /* first: the name */
    REMOVE = 'u',  /* first: the name; second: its grave */
    RENAME = 'r',  /* first: old name; second: new name; data: the grave of what had the new name */
    MAKE = 'm',    /* first: the directory */
    UNMAKE = 'x',  /* first: the directory */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *directory, *graves, *fault_file, *clock_file;
static size_t directory_length;
static int journal = -1, lies;
static unsigned long grave_count;

#define NEXT(name) ((__typeof__(&name))next_symbol(#name))

static void *next_symbol(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void) {
    directory = getenv("DISK_DIRECTORY");
    graves = getenv("DISK_GRAVES");
    fault_file = getenv("DISK_FAULT");
    clock_file = getenv("DISK_CLOCK");
    lies = getenv("DISK_LIES") != NULL;
    directory_length = directory ? strlen(directory) : 0;
    const char *log = getenv("DISK_LOG");
    if (directory && log && graves)
        journal = (int)syscall(SYS_openat, AT_FDCWD, log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
}

static int below(const char *path) {
    return directory && !strncmp(path, directory, directory_length) &&
           (path[directory_length] == '/' || path[directory_length] == 0);
}

/* What a small file says. */
static void read_small(const char *path, char *text, size_t bytes) {
    text[0] = 0;
    long file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return;
    long got = syscall(SYS_read, file, text, bytes - 1);
    text[got > 0 ? got : 0] = 0;
    syscall(SYS_close, file);
}

static int fault(const char *which) {
    if (!fault_file) return 0;
    char text[32];
    int before = errno;
    read_small(fault_file, text, sizeof text);
    errno = before;
    return !strncmp(text, which, strlen(which));
}

static int fd_path(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_BYTES - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return 1;
}

/* The absolute path of a name; 0 when it is not watched. */
static int watched_name(int at, const char *name, char *path) {
    if (!directory) return 0;
    int before = errno;
    if (name[0] == '/') {
        snprintf(path, PATH_BYTES, "%s", name);
    } else {
        char base[PATH_BYTES];
        if (at == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else if (!fd_path(at, base)) {
            return 0;
        }
        if (snprintf(path, PATH_BYTES, "%s/%s", base, name) >= PATH_BYTES) return 0;
    }
    errno = before;
    return below(path);
}

/* Whether a descriptor is of a watched file or directory. */
static int watched_fd(int fd, struct stat *about, char *path) {
    if (!directory || fd < 0 || fd == journal) return 0;
    int before = errno;
    int watched = syscall(SYS_fstat, fd, about) == 0 && (S_ISREG(about->st_mode) || S_ISDIR(about->st_mode)) &&
                  fd_path(fd, path) && (below(path) || (graves && !strncmp(path, graves, strlen(graves))));
    errno = before;
    return watched;
}

static void note(struct record *record, const char *first, const char *second, const void *data) {
    record->first_bytes = first ? (uint16_t)strlen(first) : 0;
    record->second_bytes = second ? (uint16_t)strlen(second) : 0;
    struct iovec parts[4] = {
        {record, sizeof *record},
        {(void *)first, record->first_bytes},
        {(void *)second, record->second_bytes},
        {(void *)data, record->data_bytes},
    };
    int before = errno;
    if (syscall(SYS_writev, journal, parts, 4) < 0) abort();
    errno = before;
}

/* Writes down what is in [offset, offset + length) before it is replaced. */
static void keep_bytes(int fd, const struct stat *about, uint64_t offset, uint64_t length) {
    struct record record = {.kind = WRITE, .inode = about->st_ino, .offset = offset, .length = length};
    record.size_before = (uint64_t)about->st_size;
    char *old = NULL;
    if (offset < record.size_before && length > 0) {
        uint64_t bytes = record.size_before - offset;
        if (bytes > length) bytes = length;
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        long reader = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
        old = malloc(bytes);
        if (!old || reader < 0) abort();
        uint64_t have = 0;
        while (have < bytes) {
            long got = syscall(SYS_pread64, reader, old + have, bytes - have, offset + have);
            if (got <= 0) break;
            have += (uint64_t)got;
        }
        syscall(SYS_close, reader);
        record.data_bytes = (uint32_t)have;
    }
    note(&record, NULL, NULL, old);
    free(old);
}

static off_t position(int fd, const struct stat *about) {
    long flags = syscall(SYS_fcntl, fd, F_GETFL);
    return (flags & O_APPEND) ? about->st_size : (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
}

/* Keeps the file that a name stands for; the grave's path, or "" when there was no file. */
static void bury(const char *path, char *grave) {
    int before = errno;
    snprintf(grave, PATH_BYTES, "%s/%d-%lu", graves, (int)getpid(), grave_count++);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, grave, 0) != 0) grave[0] = 0;
    errno = before;
}

/* ---- writing ---- */

static int denied(void) {
    if (!fault("denied")) return 0;
    errno = EACCES;
    return 1;
}

static int full(void) {
    if (!fault("full")) return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    struct stat about;
    char path[PATH_BYTES];
    if (!watched_fd(fd, &about, path)) return syscall(SYS_write, fd, bytes, count);
    if (full()) return -1;
    if (journal < 0) return syscall(SYS_write, fd, bytes, count);
    pthread_mutex_lock(&lock);
    syscall(SYS_fstat, fd, &about);
    keep_bytes(fd, &about, (uint64_t)position(fd, &about), count);
    ssize_t done = syscall(SYS_write, fd, bytes, count);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    struct stat about;
    char path[PATH_BYTES];
    if (!watched_fd(fd, &about, path)) return syscall(SYS_writev, fd, parts, count);
    if (full()) return -1;
    if (journal < 0) return syscall(SYS_writev, fd, parts, count);
    size_t bytes = 0;
    for (int part = 0; part < count; part++) bytes += parts[part].iov_len;
    pthread_mutex_lock(&lock);
    syscall(SYS_fstat, fd, &about);
    keep_bytes(fd, &about, (uint64_t)position(fd, &about), bytes);
    ssize_t done = syscall(SYS_writev, fd, parts, count);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    struct stat about;
    char path[PATH_BYTES];
    if (!watched_fd(fd, &about, path)) return syscall(SYS_pwrite64, fd, bytes, count, offset);
    if (full()) return -1;
    if (journal < 0) return syscall(SYS_pwrite64, fd, bytes, count, offset);
    pthread_mutex_lock(&lock);
    syscall(SYS_fstat, fd, &about);
    keep_bytes(fd, &about, (uint64_t)offset, count);
    ssize_t done = syscall(SYS_pwrite64, fd, bytes, count, offset);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite64(fd, bytes, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
    ssize_t total = 0;
    for (int part = 0; part < count; part++) {
        ssize_t done = pwrite64(fd, parts[part].iov_base, parts[part].iov_len, offset + total);
        if (done < 0) return total ? total : done;
        total += done;
        if ((size_t)done < parts[part].iov_len) break;
    }
    return total;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev64(fd, parts, count, offset);
}

int ftruncate64(int fd, off_t length) {
    struct stat about;
    char path[PATH_BYTES];
    if (!watched_fd(fd, &about, path)) return (int)syscall(SYS_ftruncate, fd, length);
    if (length > about.st_size && full()) return -1;
    if (journal < 0) return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&lock);
    syscall(SYS_fstat, fd, &about);
    if (length < about.st_size)
        keep_bytes(fd, &about, (uint64_t)length, (uint64_t)(about.st_size - length));
    else
        keep_bytes(fd, &about, (uint64_t)about.st_size, 0);
    int done = (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t length) {
    return ftruncate64(fd, length);
}

int fallocate64(int fd, int mode, off_t offset, off_t length) {
    struct stat about;
    char path[PATH_BYTES];
    if (!watched_fd(fd, &about, path)) return (int)syscall(SYS_fallocate, fd, mode, offset, length);
    if (!(mode & FALLOC_FL_PUNCH_HOLE) && full()) return -1;
    if (journal < 0) return (int)syscall(SYS_fallocate, fd, mode, offset, length);
    pthread_mutex_lock(&lock);
    syscall(SYS_fstat, fd, &about);
    keep_bytes(fd, &about, (uint64_t)offset, (mode & FALLOC_FL_PUNCH_HOLE) ? (uint64_t)length : 0);
    int done = (int)syscall(SYS_fallocate, fd, mode, offset, length);
    pthread_mutex_unlock(&lock);
    return done;
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    return fallocate64(fd, mode, offset, length);
}

int posix_fallocate64(int fd, off_t offset, off_t length) {
    return fallocate64(fd, 0, offset, length) == 0 ? 0 : errno;
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    return posix_fallocate64(fd, offset, length);
}

/* Copies inside the kernel would go unseen: whoever asks falls back to reading and writing. */
ssize_t copy_file_range(int from, off_t *from_offset, int to, off_t *to_offset, size_t count, unsigned flags) {
    struct stat about;
    char path[PATH_BYTES];
    if (watched_fd(to, &about, path)) {
        errno = ENOSYS;
        return -1;
    }
    return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, count, flags);
}

ssize_t sendfile64(int to, int from, off_t *offset, size_t count) {
    struct stat about;
    char path[PATH_BYTES];
    if (watched_fd(to, &about, path)) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_sendfile, to, from, offset, count);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t count) {
    return sendfile64(to, from, offset, count);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    struct stat about;
    char path[PATH_BYTES];
    if (journal >= 0 && fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) && watched_fd(fd, &about, path)) {
        static const char message[] = "disk.c: a watched file is mapped for writing, which is not modelled\n";
        syscall(SYS_write, 2, message, sizeof message - 1);
        abort();
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap64(address, length, protection, flags, fd, offset);
}

/* ---- syncing ---- */

static int synced(int fd, long number) {
    struct stat about;
    char path[PATH_BYTES];
    if (!watched_fd(fd, &about, path)) return (int)syscall(number, fd);
    if (fault("broken")) {
        errno = EIO;
        return -1;
    }
    if (journal < 0) return (int)syscall(number, fd);
    if (lies) return 0;
    pthread_mutex_lock(&lock);
    if (S_ISDIR(about.st_mode)) {
        struct record record = {.kind = NAMES};
        note(&record, path, NULL, NULL);
    } else {
        struct record record = {.kind = SYNC, .inode = about.st_ino};
        note(&record, NULL, NULL, NULL);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) {
    return synced(fd, SYS_fsync);
}

int fdatasync(int fd) {
    return synced(fd, SYS_fdatasync);
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags) {
    struct stat about;
    char path[PATH_BYTES];
    if (journal >= 0 && watched_fd(fd, &about, path)) return 0;
    return (int)syscall(SYS_sync_file_range, fd, offset, length, flags);
}

/* ---- names ---- */

static int open_watched(int at, const char *name, int flags, mode_t mode) {
    char path[PATH_BYTES];
    if (!(flags & (O_CREAT | O_TRUNC)) || !watched_name(at, name, path))
        return (int)syscall(SYS_openat, at, name, flags, mode);
    struct stat about;
    int existed = syscall(SYS_newfstatat, AT_FDCWD, path, &about, 0) == 0;
    if (!existed && (full() || denied())) return -1;
    if (journal < 0) return (int)syscall(SYS_openat, at, name, flags, mode);
    pthread_mutex_lock(&lock);
    if (existed && (flags & O_TRUNC) && S_ISREG(about.st_mode) && about.st_size > 0) {
        long reader = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
        if (reader >= 0) {
            keep_bytes((int)reader, &about, 0, (uint64_t)about.st_size);
            syscall(SYS_close, reader);
        }
    }
    int fd = (int)syscall(SYS_openat, at, name, flags, mode);
    if (fd >= 0 && !existed) {
        struct record record = {.kind = CREATE};
        note(&record, path, NULL, NULL);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE_OF(flags)                        \
    mode_t mode = 0;                          \
    if ((flags) & (O_CREAT | O_TMPFILE)) {    \
        va_list rest;                         \
        va_start(rest, flags);                \
        mode = (mode_t)va_arg(rest, unsigned);\
        va_end(rest);                         \
    }

int open(const char *name, int flags, ...) {
    MODE_OF(flags)
    return open_watched(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...) {
    MODE_OF(flags)
    return open_watched(AT_FDCWD, name, flags | O_LARGEFILE, mode);
}

int openat(int at, const char *name, int flags, ...) {
    MODE_OF(flags)
    return open_watched(at, name, flags, mode);
}

int openat64(int at, const char *name, int flags, ...) {
    MODE_OF(flags)
    return open_watched(at, name, flags | O_LARGEFILE, mode);
}

int unlinkat(int at, const char *name, int flags) {
    char path[PATH_BYTES], grave[PATH_BYTES] = "";
    if (journal < 0 || !watched_name(at, name, path)) return (int)syscall(SYS_unlinkat, at, name, flags);
    pthread_mutex_lock(&lock);
    if (!(flags & AT_REMOVEDIR)) bury(path, grave);
    int done = (int)syscall(SYS_unlinkat, at, name, flags);
    if (done == 0) {
        struct record record = {.kind = (flags & AT_REMOVEDIR) ? UNMAKE : REMOVE};
        note(&record, path, grave, NULL);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *name) {
    return unlinkat(AT_FDCWD, name, 0);
}

int rmdir(const char *name) {
    return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char first[PATH_BYTES], second[PATH_BYTES], grave[PATH_BYTES];
    int watched = watched_name(from_at, from, first) & watched_name(to_at, to, second);
    if (journal < 0 || !watched) return (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    pthread_mutex_lock(&lock);
    bury(second, grave);
    int done = (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    if (done == 0) {
        struct record record = {.kind = RENAME, .data_bytes = (uint32_t)strlen(grave)};
        note(&record, first, second, grave);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int renameat(int from_at, const char *from, int to_at, const char *to) {
    return renameat2(from_at, from, to_at, to, 0);
}

int rename(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char path[PATH_BYTES];
    if (journal < 0 || !watched_name(to_at, to, path))
        return (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
    if (done == 0) {
        struct record record = {.kind = CREATE};
        note(&record, path, NULL, NULL);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int link(const char *from, const char *to) {
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int mkdirat(int at, const char *name, mode_t mode) {
    char path[PATH_BYTES];
    if (!watched_name(at, name, path)) return (int)syscall(SYS_mkdirat, at, name, mode);
    struct stat about;
    int existed = syscall(SYS_newfstatat, AT_FDCWD, path, &about, 0) == 0;
    if (!existed && (full() || denied())) return -1;
    if (journal < 0) return (int)syscall(SYS_mkdirat, at, name, mode);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_mkdirat, at, name, mode);
    if (done == 0) {
        struct record record = {.kind = MAKE};
        note(&record, path, NULL, NULL);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int mkdir(const char *name, mode_t mode) {
    return mkdirat(AT_FDCWD, name, mode);
}

/* ---- time ---- */

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) real;
    if (!real) real = NEXT(clock_gettime);
    int done = real(clock, now);
    if (done == 0 && clock_file && clock == CLOCK_REALTIME) {
        char text[32];
        int before = errno;
        read_small(clock_file, text, sizeof text);
        errno = before;
        long long shift = atoll(text);
        now->tv_sec += shift / 1000;
        now->tv_nsec += (shift % 1000) * 1000000;
        if (now->tv_nsec < 0) {
            now->tv_nsec += 1000000000;
            now->tv_sec -= 1;
        } else if (now->tv_nsec >= 1000000000) {
            now->tv_nsec -= 1000000000;
            now->tv_sec += 1;
        }
    }
    return done;
}
