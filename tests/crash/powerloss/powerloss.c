/* A library for LD_PRELOAD that makes the disk below one directory fallible.
 *
 * It stands between a program and libc and remembers, for every file below
 * ONCILLA_FAULT_DIR, the bytes that each write replaced until the file is
 * synced. On command it takes back a random subset of the unsynced sectors, as
 * a power cut does with a disk's and the kernel's caches, and ends the process
 * at once. It can also make calls fail.
 *
 * Environment:
 *   ONCILLA_FAULT_DIR      the directory (absolute); unset: the library does nothing
 *   ONCILLA_FAULT_CONTROL  a file read before each call that changes or syncs
 *                          something. Its first line is one of
 *                            cut            power is lost now
 *                            cut-sync N     power is lost just before the N-th sync from now
 *                            enospc         writes, growth and creation fail with ENOSPC
 *                            eio-write N    the N-th write from now fails with EIO, once
 *                            eio-sync N     the N-th sync from now fails with EIO, once
 *                            short N        every N-th write writes only a part
 *                          Absent or empty: no fault. A change starts the count again.
 *   ONCILLA_FAULT_SEED     decides which sectors are lost (decimal)
 *   ONCILLA_FAULT_REPORT   a file to which one line of counts is written at a cut, and
 *                          to which "loaded" is written at the start
 *
 * What is modelled: lost and reordered writes at 512-byte sectors, lost growth of
 * files, lost truncation and hole punching (the bytes come back), and a failed sync
 * after which the unsynced bytes stay unsynced. Creation, renaming and removal of
 * names are durable at once, as on a journalling file system mounted with ordered
 * metadata: a rename over a file whose bytes were not synced is caught, an fsync of
 * the directory that was forgotten is not; nor is a truncation by open(O_TRUNC). Bytes stored through a shared writable
 * mapping and raw system calls that do not pass through libc cannot be seen: the
 * report's counts tell whether the writes of interest were seen.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    SECTOR_BYTES = 512,
    FILE_COUNT_MAX = 1 << 16, /* descriptors followed; more means the test is wrong */
    EXIT_CODE = 137,          /* what a shell reports for kill -9 */
};

/* The content of a range before a write that is not yet synced. */
struct undo {
    struct undo *previous;
    off_t offset;
    size_t length; /* bytes of the pre-image below the old end of file */
    unsigned char bytes[];
};

/* One file (by inode, since a file is opened and renamed under several names). */
struct file {
    struct file *next;
    dev_t device;
    ino_t inode;
    int descriptor;     /* our own, so that a cut can write to a closed file */
    off_t durable_size; /* size at the last sync */
    bool dirty;
    struct undo *newest;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files;
static struct file *by_descriptor[FILE_COUNT_MAX];
static char directory[PATH_MAX];
static const char *control_path;
static char command[64];
static struct timespec control_changed;
static unsigned long writes_since_command, syncs_since_command;
static unsigned long writes_seen, syncs_seen;
static uint64_t random_state = 88172645463325252ULL;
static bool active;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Our own work goes past the interposed functions, straight to the kernel. */
static long raw_pread(int fd, void *buffer, size_t size, off_t offset) {
    return syscall(SYS_pread64, fd, buffer, size, offset);
}
static long raw_pwrite(int fd, const void *buffer, size_t size, off_t offset) {
    return syscall(SYS_pwrite64, fd, buffer, size, offset);
}

static void report(const char *mode, const char *text) {
    const char *path = getenv("ONCILLA_FAULT_REPORT");
    if (path == NULL)
        return;
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (mode[0] == 'a' ? O_APPEND : O_TRUNC);
    long fd = syscall(SYS_openat, AT_FDCWD, path, flags, 0644);
    if (fd >= 0) {
        if (syscall(SYS_write, fd, text, strlen(text)) < 0) { /* nothing can be done */
        }
        syscall(SYS_close, fd);
    }
}

static void fatal(const char *what) {
    char line[128];
    snprintf(line, sizeof line, "failed %s errno %d\n", what, errno);
    report("a", line);
    syscall(SYS_exit_group, 99);
    __builtin_unreachable();
}

__attribute__((constructor)) static void initialise(void) {
    const char *wanted = getenv("ONCILLA_FAULT_DIR");
    if (wanted == NULL || realpath(wanted, directory) == NULL)
        return;
    control_path = getenv("ONCILLA_FAULT_CONTROL");
    const char *seed = getenv("ONCILLA_FAULT_SEED");
    if (seed != NULL)
        random_state ^= strtoull(seed, NULL, 10) * 0x9E3779B97F4A7C15ULL;
    active = true;
    report("t", "loaded\n");
}

static bool is_below_directory(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return false;
    path[length] = 0;
    size_t prefix = strlen(directory);
    return strncmp(path, directory, prefix) == 0 && (path[prefix] == '/' || path[prefix] == 0);
}

static void follow(int fd) {
    struct stat status;
    if (!active || fd < 0)
        return;
    if (fd >= FILE_COUNT_MAX)
        fatal("too many descriptors");
    pthread_mutex_lock(&lock);
    by_descriptor[fd] = NULL;
    if (syscall(SYS_fstat, fd, &status) == 0 && S_ISREG(status.st_mode) && is_below_directory(fd)) {
        struct file *file = files;
        while (file && (file->device != status.st_dev || file->inode != status.st_ino))
            file = file->next;
        if (file == NULL) {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            long own = syscall(SYS_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
            file = calloc(1, sizeof *file);
            if (file == NULL)
                fatal("calloc");
            file->device = status.st_dev;
            file->inode = status.st_ino;
            file->descriptor = (int)own; /* -1 for a file that cannot be written anyway */
            file->durable_size = status.st_size;
            file->next = files;
            files = file;
        }
        by_descriptor[fd] = file;
    }
    pthread_mutex_unlock(&lock);
}

static struct file *followed(int fd) {
    return active && fd >= 0 && fd < FILE_COUNT_MAX ? by_descriptor[fd] : NULL;
}

/* Keeps what [offset, offset + size) holds now. The lock is held. */
static void remember(struct file *file, off_t offset, off_t size) {
    struct stat status;
    if (syscall(SYS_fstat, file->descriptor, &status) != 0)
        fatal("fstat");
    file->dirty = true;
    off_t end = offset + size < status.st_size ? offset + size : status.st_size;
    size_t length = end > offset ? (size_t)(end - offset) : 0;
    struct undo *undo = malloc(sizeof *undo + length);
    if (undo == NULL)
        fatal("malloc");
    undo->offset = offset;
    undo->length = length;
    size_t done = 0;
    while (done < length) {
        long n = raw_pread(file->descriptor, undo->bytes + done, length - done, offset + (off_t)done);
        if (n <= 0)
            fatal("pread");
        done += (size_t)n;
    }
    undo->previous = file->newest;
    file->newest = undo;
}

static void made_durable(struct file *file) {
    struct stat status;
    while (file->newest) {
        struct undo *undo = file->newest;
        file->newest = undo->previous;
        free(undo);
    }
    if (syscall(SYS_fstat, file->descriptor, &status) == 0)
        file->durable_size = status.st_size;
    file->dirty = false;
}

/* A sector is lost or kept as a whole: each has one fate per cut. */
static bool sector_is_lost(const struct file *file, off_t sector, uint64_t salt) {
    uint64_t hash = ((uint64_t)file->inode << 32) ^ (uint64_t)sector ^ salt;
    hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9ULL;
    hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBULL;
    return (hash ^ (hash >> 31)) & 1;
}

__attribute__((noreturn)) static void cut_power(void) {
    uint64_t salt = next_random();
    /* One cut in four loses everything that was not synced. */
    bool lose_all = next_random() % 4 == 0;
    unsigned long dirty = 0, restored = 0, shortened = 0;
    for (struct file *file = files; file; file = file->next) {
        struct stat status;
        if (!file->dirty || file->descriptor < 0)
            continue;
        dirty++;
        if (syscall(SYS_fstat, file->descriptor, &status) != 0)
            continue;
        off_t size = status.st_size;
        for (struct undo *undo = file->newest; undo; undo = undo->previous) {
            off_t at = undo->offset, end = undo->offset + (off_t)undo->length;
            while (at < end) {
                off_t next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
                if (next > end)
                    next = end;
                if (lose_all || sector_is_lost(file, at / SECTOR_BYTES, salt)) {
                    if (raw_pwrite(file->descriptor, undo->bytes + (at - undo->offset),
                                   (size_t)(next - at), at) != next - at)
                        fatal("restore");
                    restored++;
                }
                at = next;
            }
        }
        if (size > file->durable_size) {
            /* New sectors that never reached the disk read as zeros, and the
             * growth itself may be lost from any sector on. */
            static const unsigned char zeros[SECTOR_BYTES];
            off_t keep = file->durable_size;
            if (!lose_all)
                keep += (off_t)(next_random() % (uint64_t)(size - file->durable_size + 1));
            for (off_t at = file->durable_size; at < keep;) {
                off_t next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
                if (next > keep)
                    next = keep;
                if (sector_is_lost(file, at / SECTOR_BYTES, salt)) {
                    if (raw_pwrite(file->descriptor, zeros, (size_t)(next - at), at) != next - at)
                        fatal("zero");
                    restored++;
                }
                at = next;
            }
            if (syscall(SYS_ftruncate, file->descriptor, keep) != 0)
                fatal("shorten");
            shortened++;
        } else if (size < file->durable_size && lose_all) {
            /* A truncation that did not last; remember() kept the bytes. */
            if (syscall(SYS_ftruncate, file->descriptor, file->durable_size) != 0)
                fatal("lengthen");
        }
    }
    char line[200];
    snprintf(line, sizeof line,
             "cut writes %lu syncs %lu dirty-files %lu restored-sectors %lu shortened-files %lu\n",
             writes_seen, syncs_seen, dirty, restored, shortened);
    report("a", line);
    syscall(SYS_exit_group, EXIT_CODE);
    __builtin_unreachable();
}

/* Reads the control file if it has changed. The lock is held. */
static void read_control(void) {
    struct stat status;
    if (control_path == NULL)
        return;
    if (syscall(SYS_newfstatat, AT_FDCWD, control_path, &status, 0) != 0) {
        command[0] = 0;
        control_changed = (struct timespec){0};
        return;
    }
    if (status.st_mtim.tv_sec == control_changed.tv_sec &&
        status.st_mtim.tv_nsec == control_changed.tv_nsec)
        return;
    control_changed = status.st_mtim;
    writes_since_command = syncs_since_command = 0;
    command[0] = 0;
    long fd = syscall(SYS_openat, AT_FDCWD, control_path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    long length = syscall(SYS_read, fd, command, sizeof command - 1);
    command[length > 0 ? length : 0] = 0;
    syscall(SYS_close, fd);
}

static bool command_number(const char *name, unsigned long *number) {
    size_t length = strlen(name);
    if (strncmp(command, name, length) != 0 || command[length] != ' ')
        return false;
    *number = strtoul(command + length + 1, NULL, 10);
    return true;
}

/* Decides on one write of *size bytes; returns 0 or the errno to fail with. */
static int before_write(struct file *file, off_t offset, size_t *size) {
    unsigned long number;
    read_control();
    writes_seen++;
    writes_since_command++;
    if (strncmp(command, "cut", 3) == 0 && (command[3] == 0 || command[3] == '\n'))
        cut_power();
    if (strncmp(command, "enospc", 6) == 0)
        return ENOSPC;
    if (command_number("eio-write", &number) && writes_since_command == number)
        return EIO;
    if (command_number("short", &number) && number && writes_since_command % number == 0 && *size > 1)
        *size = 1 + (size_t)(next_random() % (*size - 1));
    remember(file, offset, (off_t)*size);
    return 0;
}

static int before_sync(void) {
    unsigned long number;
    read_control();
    syncs_seen++;
    syncs_since_command++;
    if (strncmp(command, "cut", 3) == 0 && (command[3] == 0 || command[3] == '\n'))
        cut_power();
    if (command_number("cut-sync", &number) && syncs_since_command >= number)
        cut_power();
    if (command_number("eio-sync", &number) && syncs_since_command == number)
        return EIO;
    return 0;
}

#define NEXT(name) \
    static __typeof__(&name) next; \
    if (next == NULL && (next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)) == NULL) \
        fatal("dlsym " #name)

static int failed(int error) {
    pthread_mutex_unlock(&lock);
    errno = error;
    return -1;
}

static bool creation_is_refused(const char *path, int flags) {
    if (!active || !(flags & O_CREAT) || strncmp(path, directory, strlen(directory)) != 0)
        return false;
    pthread_mutex_lock(&lock);
    read_control();
    bool refused = strncmp(command, "enospc", 6) == 0 &&
                   syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0;
    pthread_mutex_unlock(&lock);
    return refused;
}

#define OPEN_BODY(call) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode = va_arg(arguments, mode_t); \
        va_end(arguments); \
    } \
    if (creation_is_refused(path, flags)) { \
        errno = ENOSPC; \
        return -1; \
    } \
    int fd = call; \
    follow(fd); \
    return fd

int open(const char *path, int flags, ...) { NEXT(open); OPEN_BODY(next(path, flags, mode)); }
int open64(const char *path, int flags, ...) { NEXT(open64); OPEN_BODY(next(path, flags, mode)); }
int openat(int at, const char *path, int flags, ...) { NEXT(openat); OPEN_BODY(next(at, path, flags, mode)); }
int openat64(int at, const char *path, int flags, ...) { NEXT(openat64); OPEN_BODY(next(at, path, flags, mode)); }
int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
    NEXT(close);
    if (active && fd >= 0 && fd < FILE_COUNT_MAX) {
        pthread_mutex_lock(&lock);
        by_descriptor[fd] = NULL;
        pthread_mutex_unlock(&lock);
    }
    return next(fd);
}

int fcntl64(int fd, int operation, ...);
int fcntl(int fd, int operation, ...) {
    NEXT(fcntl);
    va_list arguments;
    va_start(arguments, operation);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int result = next(fd, operation, argument);
    if (operation == F_DUPFD || operation == F_DUPFD_CLOEXEC)
        follow(result);
    return result;
}
int fcntl64(int fd, int operation, ...) {
    va_list arguments;
    va_start(arguments, operation);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return fcntl(fd, operation, argument);
}
int dup(int fd) { NEXT(dup); int result = next(fd); follow(result); return result; }

static off_t write_position(int fd) {
    struct stat status;
    long flags = syscall(SYS_fcntl, fd, F_GETFL);
    if (flags >= 0 && (flags & O_APPEND))
        return syscall(SYS_fstat, fd, &status) == 0 ? status.st_size : 0;
    return (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *buffer, size_t size) {
    NEXT(write);
    struct file *file = followed(fd);
    if (file == NULL)
        return next(fd, buffer, size);
    pthread_mutex_lock(&lock);
    int error = before_write(file, write_position(fd), &size);
    if (error)
        return failed(error);
    ssize_t result = next(fd, buffer, size);
    pthread_mutex_unlock(&lock);
    return result;
}

static ssize_t positioned_write(int fd, const void *buffer, size_t size, off_t offset) {
    struct file *file = followed(fd);
    if (file == NULL)
        return raw_pwrite(fd, buffer, size, offset);
    pthread_mutex_lock(&lock);
    int error = before_write(file, offset, &size);
    if (error)
        return failed(error);
    ssize_t result = raw_pwrite(fd, buffer, size, offset);
    pthread_mutex_unlock(&lock);
    return result;
}
ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset) {
    return positioned_write(fd, buffer, size, offset);
}
ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t offset) {
    return positioned_write(fd, buffer, size, offset);
}

static size_t total_length(const struct iovec *parts, int count) {
    size_t total = 0;
    for (int at = 0; at < count; at++)
        total += parts[at].iov_len;
    return total;
}

/* A vectored write of which only `size` bytes are let through. */
static ssize_t vectored(int fd, const struct iovec *parts, int count, off_t offset, bool positioned,
                        int flags) {
    struct file *file = followed(fd);
    size_t total = total_length(parts, count), size = total;
    if (file == NULL) {
        if (!positioned)
            return syscall(SYS_writev, fd, parts, count);
        return syscall(SYS_pwritev2, fd, parts, count, offset, 0L, flags);
    }
    pthread_mutex_lock(&lock);
    off_t at = positioned ? offset : write_position(fd);
    int error = before_write(file, at, &size);
    if (error)
        return failed(error);
    ssize_t result;
    if (size < total) {
        unsigned char *joined = malloc(total);
        if (joined == NULL)
            fatal("malloc");
        size_t filled = 0;
        for (int part = 0; part < count; part++) {
            memcpy(joined + filled, parts[part].iov_base, parts[part].iov_len);
            filled += parts[part].iov_len;
        }
        result = positioned ? raw_pwrite(fd, joined, size, offset)
                            : syscall(SYS_write, fd, joined, size);
        free(joined);
    } else if (positioned) {
        result = syscall(SYS_pwritev2, fd, parts, count, offset, 0L, flags);
    } else {
        result = syscall(SYS_writev, fd, parts, count);
    }
    pthread_mutex_unlock(&lock);
    return result;
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return vectored(fd, parts, count, 0, false, 0);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return vectored(fd, parts, count, offset, true, 0);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return vectored(fd, parts, count, offset, true, 0);
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return vectored(fd, parts, count, offset, offset != -1, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    return vectored(fd, parts, count, offset, offset != -1, flags);
}

static int resize(int fd, off_t size) {
    struct file *file = followed(fd);
    if (file == NULL)
        return (int)syscall(SYS_ftruncate, fd, size);
    struct stat status;
    pthread_mutex_lock(&lock);
    read_control();
    if (syscall(SYS_fstat, fd, &status) != 0)
        return failed(errno);
    if (size > status.st_size && strncmp(command, "enospc", 6) == 0)
        return failed(ENOSPC);
    remember(file, size < status.st_size ? size : status.st_size,
             size < status.st_size ? status.st_size - size : 0);
    int result = (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate(int fd, off_t size) { return resize(fd, size); }
int ftruncate64(int fd, off64_t size) { return resize(fd, size); }

static int allocate(int fd, int mode, off_t offset, off_t length) {
    struct file *file = followed(fd);
    if (file == NULL)
        return (int)syscall(SYS_fallocate, fd, mode, offset, length);
    pthread_mutex_lock(&lock);
    read_control();
    if (mode == 0 && strncmp(command, "enospc", 6) == 0)
        return failed(ENOSPC);
    /* Punching a hole changes bytes; reserving space does not. */
    remember(file, offset, (mode & FALLOC_FL_PUNCH_HOLE) ? length : 0);
    int result = (int)syscall(SYS_fallocate, fd, mode, offset, length);
    pthread_mutex_unlock(&lock);
    return result;
}
int fallocate(int fd, int mode, off_t offset, off_t length) {
    return allocate(fd, mode, offset, length);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    return allocate(fd, mode, offset, length);
}
int posix_fallocate(int fd, off_t offset, off_t length) {
    return allocate(fd, 0, offset, length) == 0 ? 0 : errno;
}
int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    return allocate(fd, 0, offset, length) == 0 ? 0 : errno;
}

static int synchronise(int fd, long call) {
    struct file *file = followed(fd);
    if (file == NULL)
        return (int)syscall(call, fd);
    pthread_mutex_lock(&lock);
    int error = before_sync();
    if (error)
        return failed(error);
    /* The lock is held, so nothing can slip in between and count as synced. The
     * real sync is left out: it would only make the test slow, since what counts
     * is what this library takes back. */
    made_durable(file);
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int fd) { return synchronise(fd, SYS_fsync); }
int fdatasync(int fd) { return synchronise(fd, SYS_fdatasync); }
/* Starts writeback without waiting or flushing the disk: promises nothing. */
int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags) {
    return (int)syscall(SYS_sync_file_range, fd, offset, length, flags);
}

/* Names are durable at once (see above); power may still be lost just before the change. */
static void before_name_change(void) {
    if (!active)
        return;
    pthread_mutex_lock(&lock);
    read_control();
    if (strncmp(command, "cut", 3) == 0 && (command[3] == 0 || command[3] == '\n'))
        cut_power();
    pthread_mutex_unlock(&lock);
}
int rename(const char *from, const char *to) { NEXT(rename); before_name_change(); return next(from, to); }
int renameat(int a, const char *from, int b, const char *to) { NEXT(renameat); before_name_change(); return next(a, from, b, to); }
int unlink(const char *path) { NEXT(unlink); before_name_change(); return next(path); }
int unlinkat(int at, const char *path, int flags) { NEXT(unlinkat); before_name_change(); return next(at, path, flags); }
