/* A library for LD_PRELOAD that makes the disk below one directory fallible.
 *
 * It stands between a program and the kernel and remembers, for every file below
 * ONCILLA_FAULT_DIR, the bytes that each write replaced until the file is synced,
 * and every change of a name until its directory is. On command it takes back a
 * random part of what was not synced, as a power cut does with a disk's and the
 * kernel's caches, and ends the process at once. It can also make calls fail.
 *
 * Environment:
 *   ONCILLA_FAULT_DIR      the directory (absolute); unset: the library does nothing
 *   ONCILLA_FAULT_STASH    an existing directory on the same file system, outside of
 *                          ONCILLA_FAULT_DIR, for names that may have to come back
 *   ONCILLA_FAULT_CONTROL  a file read before each call that changes or syncs
 *                          something. Its first line is one of
 *                            cut                power is lost now
 *                            cut-sync N [PART]  ... just before the N-th sync from now
 *                            cut-after N [PART] ... just after the N-th sync from now
 *                            enospc             writes, growth and creation fail with ENOSPC
 *                            eio-write N [PART] the N-th write from now fails with EIO, once
 *                            eio-sync N [PART]  the N-th sync from now fails with EIO, once
 *                            short N            every N-th write writes only a part
 *                          With PART only files whose path contains it are counted.
 *                          Absent or empty: no fault. A change starts the count again.
 *   ONCILLA_FAULT_SEED     decides what is lost (decimal)
 *   ONCILLA_FAULT_REPORT   a file to which one line of counts is written at a cut, and
 *                          to which "loaded" is written at the start
 *
 * What is modelled:
 *   - Lost and reordered writes: each 512-byte sector that was not synced is lost or
 *     kept by itself, so a longer write tears. Lost growth, truncation and hole
 *     punching (the bytes come back).
 *   - Names: creation, renaming and removal are durable once their directory was
 *     synced; syncing the file is not enough. A cut takes back the newest few of each
 *     directory, as a journalling file system does, though none forgets one directory's
 *     and keeps another's.
 *   - A failed sync: the kernel forgets that the bytes are not on the disk, so no later
 *     sync of that file makes anything durable.
 * Not modelled: removal of directories and renaming between directories (the latter
 * ends the process with an error), and bytes stored through a shared writable mapping.
 *
 * Most calls are seen because they pass through libc. Those of code that enters the
 * kernel by itself (the crate rustix does) are caught by a seccomp filter.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    SECTOR_BYTES = 512,
    FILE_COUNT_MAX = 1 << 16, /* descriptors followed; more means the test is wrong */
    EXIT_CODE = 137,          /* what a shell reports for kill -9 */
    OWN_CALL = 0x6f6e6369,    /* marks this library's own system calls for the filter */
    PART_BYTES = 32,
    MEBIBYTE = 1 << 20,
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
    bool sync_failed;
    struct undo *newest;
    char path[]; /* when first seen */
};

/* A change of a name whose directory was not synced since. */
struct name_change {
    struct name_change *previous;
    enum { CREATED, REMOVED, RENAMED } kind;
    unsigned long stash; /* number of the stashed file that had the name; 0: none */
    char path[PATH_MAX]; /* the name that was created, removed or renamed to */
    char from[PATH_MAX]; /* of RENAMED */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files;
static struct file *by_descriptor[FILE_COUNT_MAX];
static char directory[PATH_MAX];
static const char *control_path;
static char command[64];
static const char *stash_path;
static unsigned long stashed;
static struct name_change *newest_name;
static unsigned long names_seen, holes_seen, raw_calls_seen;
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

/* Our own work goes past the interposed functions, straight to the kernel; the mark
 * lets it through the filter below. */
static long raw(long call, long a, long b, long c, long d, long e) {
    return syscall(call, a, b, c, d, e, (long)OWN_CALL);
}
static long raw_pread(int fd, void *buffer, size_t size, off_t offset) {
    return syscall(SYS_pread64, fd, buffer, size, offset);
}
static long raw_pwrite(int fd, const void *buffer, size_t size, off_t offset) {
    return raw(SYS_pwrite64, fd, (long)buffer, (long)size, offset, 0);
}
static int raw_truncate(int fd, off_t size) {
    return (int)raw(SYS_ftruncate, fd, size, 0, 0, 0);
}
static bool name_exists(const char *path) {
    struct stat status;
    return syscall(SYS_newfstatat, AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
}
static int raw_rename(const char *from, const char *to) {
    return (int)raw(SYS_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, 0);
}
static int raw_link(const char *from, const char *to) {
    return (int)raw(SYS_linkat, AT_FDCWD, (long)from, AT_FDCWD, (long)to, 0);
}
static int raw_unlink(const char *path) {
    return (int)raw(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0);
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

static void install_filter(void);
static void *watch(void *);

__attribute__((constructor)) static void initialise(void) {
    const char *wanted = getenv("ONCILLA_FAULT_DIR");
    if (wanted == NULL || realpath(wanted, directory) == NULL)
        return;
    control_path = getenv("ONCILLA_FAULT_CONTROL");
    const char *seed = getenv("ONCILLA_FAULT_SEED");
    if (seed != NULL)
        random_state ^= strtoull(seed, NULL, 10) * 0x9E3779B97F4A7C15ULL;
    stash_path = getenv("ONCILLA_FAULT_STASH");
    report("t", "");
    if (stash_path == NULL || !name_exists(stash_path))
        fatal("stash");
    install_filter();
    pthread_t watcher;
    if (pthread_create(&watcher, NULL, watch, NULL) != 0)
        fatal("pthread_create");
    active = true;
    report("t", "loaded\n");
}

static bool path_of_descriptor(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0)
        return false;
    path[length] = 0;
    return true;
}

static bool is_below_directory(const char *path) {
    size_t prefix = strlen(directory);
    return strncmp(path, directory, prefix) == 0 && (path[prefix] == '/' || path[prefix] == 0);
}

/* The absolute form of a path given to a system call; false if it is not ours. */
static bool resolve(int at, const char *path, char *absolute) {
    char base[PATH_MAX];
    if (path[0] == '/') {
        if (strlen(path) >= PATH_MAX)
            return false;
        strcpy(absolute, path);
    } else {
        if (at == AT_FDCWD ? getcwd(base, sizeof base) == NULL : !path_of_descriptor(at, base))
            return false;
        if (snprintf(absolute, PATH_MAX, "%.2000s/%.2000s", base, path) >= PATH_MAX)
            return false;
    }
    return is_below_directory(absolute);
}

static void follow(int fd) {
    struct stat status;
    char path[PATH_MAX];
    if (!active || fd < 0)
        return;
    if (fd >= FILE_COUNT_MAX)
        fatal("too many descriptors");
    pthread_mutex_lock(&lock);
    by_descriptor[fd] = NULL;
    if (syscall(SYS_fstat, fd, &status) == 0 && S_ISREG(status.st_mode) &&
        path_of_descriptor(fd, path) && is_below_directory(path)) {
        struct file *file = files;
        while (file && (file->device != status.st_dev || file->inode != status.st_ino))
            file = file->next;
        if (file == NULL) {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            long own = syscall(SYS_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
            file = calloc(1, sizeof *file + strlen(path) + 1);
            if (file == NULL)
                fatal("calloc");
            strcpy(file->path, path);
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

static void remember_range(struct file *file, off_t offset, size_t length) {
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

/* Keeps what [offset, offset + size) holds now. The lock is held. */
static void remember(struct file *file, off_t offset, off_t size) {
    struct stat status;
    if (syscall(SYS_fstat, file->descriptor, &status) != 0)
        fatal("fstat");
    file->dirty = true;
    off_t end = offset + size < status.st_size ? offset + size : status.st_size;
    while (offset < end) {
        /* Holes can be long, and punching them again changes nothing. */
        if (size > MEBIBYTE) {
            off_t data = (off_t)syscall(SYS_lseek, file->descriptor, offset, SEEK_DATA);
            if (data < 0 && errno == ENXIO)
                return;
            if (data > offset)
                offset = data < end ? data : end;
        }
        off_t length = end - offset < MEBIBYTE ? end - offset : MEBIBYTE;
        if (length > 0)
            remember_range(file, offset, (size_t)length);
        offset += length;
    }
}

static void made_durable(struct file *file) {
    struct stat status;
    if (file->sync_failed)
        return;
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

/* ---- names ---- */

static size_t parent_length(const char *path) { return (size_t)(strrchr(path, '/') - path); }

static bool same_parent(const char *one, const char *other) {
    size_t length = parent_length(one);
    return length == parent_length(other) && strncmp(one, other, length) == 0;
}

static void stash_name(unsigned long number, char *path) {
    snprintf(path, PATH_MAX, "%s/%lu", stash_path, number);
}

/* Gives a file a second name in the stash, so that its own can come back. */
static unsigned long stash(const char *path) {
    char name[PATH_MAX];
    stash_name(++stashed, name);
    if (raw_link(path, name) == 0)
        return stashed;
    if (errno != ENOENT)
        fatal("link to stash");
    return 0;
}

static void unstash(unsigned long number) {
    char name[PATH_MAX];
    if (number == 0)
        return;
    stash_name(number, name);
    raw_unlink(name);
}

static void note_name(int kind, const char *path, const char *from, unsigned long number) {
    struct name_change *change = malloc(sizeof *change);
    if (change == NULL)
        fatal("malloc");
    change->kind = kind;
    change->stash = number;
    strcpy(change->path, path);
    strcpy(change->from, from);
    change->previous = newest_name;
    newest_name = change;
    names_seen++;
}

static void names_made_durable(const char *parent) {
    size_t length = strlen(parent);
    for (struct name_change **at = &newest_name; *at;) {
        struct name_change *change = *at;
        if (parent_length(change->path) == length && strncmp(change->path, parent, length) == 0) {
            *at = change->previous;
            unstash(change->stash);
            free(change);
        } else {
            at = &change->previous;
        }
    }
}

static void take_back_name(struct name_change *change) {
    char name[PATH_MAX];
    int result = 0;
    if (change->kind == CREATED) {
        /* Moved and not removed: a directory goes with all that is in it. */
        stash_name(++stashed, name);
        result = raw_rename(change->path, name);
    }
    if (change->kind == RENAMED)
        result = raw_rename(change->path, change->from);
    if (result == 0 && change->stash != 0) {
        stash_name(change->stash, name);
        result = raw_rename(name, change->path);
    }
    /* Its directory may be gone altogether. */
    if (result != 0 && errno != ENOENT)
        fatal("take back a name");
}

/* Of each directory's changes the newest few are lost. */
static unsigned long lose_names(uint64_t salt, bool lose_all) {
    unsigned long lost = 0;
    for (struct name_change *change = newest_name; change; change = change->previous) {
        uint64_t newer = 0, all = 0, hash = salt | 1;
        bool seen = false;
        for (struct name_change *other = newest_name; other; other = other->previous) {
            if (!same_parent(change->path, other->path))
                continue;
            seen |= other == change;
            newer += !seen;
            all++;
        }
        for (size_t at = 0; at < parent_length(change->path); at++)
            hash = (hash ^ (unsigned char)change->path[at]) * 0x100000001B3ULL;
        if (lose_all || newer < (hash >> 32) % (all + 1)) {
            take_back_name(change);
            lost++;
        }
    }
    return lost;
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
            if (raw_truncate(file->descriptor, keep) != 0)
                fatal("shorten");
            shortened++;
        } else if (size < file->durable_size && lose_all) {
            /* A truncation that did not last; remember() kept the bytes. */
            if (raw_truncate(file->descriptor, file->durable_size) != 0)
                fatal("lengthen");
        }
    }
    unsigned long names = lose_names(salt, lose_all);
    char line[300];
    snprintf(line, sizeof line,
             "cut writes %lu syncs %lu names %lu holes %lu raw-calls %lu dirty-files %lu "
             "restored-sectors %lu shortened-files %lu lost-names %lu\n",
             writes_seen, syncs_seen, names_seen, holes_seen, raw_calls_seen, dirty, restored,
             shortened, names);
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

/* The number of a command, if it is the one now. */
static bool command_number(const char *name, unsigned long *number) {
    size_t length = strlen(name);
    if (strncmp(command, name, length) != 0 || command[length] != ' ')
        return false;
    *number = strtoul(command + length + 1, NULL, 10);
    return true;
}

static bool is_counted(const char *path) {
    char part[PART_BYTES] = "";
    return sscanf(command, "%*s %*u %31s", part) != 1 || strstr(path, part) != NULL;
}

static bool power_is_cut(void) {
    return strncmp(command, "cut", 3) == 0 && (command[3] == 0 || command[3] == '\n');
}

/* Decides on one write of *size bytes; returns 0 or the errno to fail with. */
static int before_write(struct file *file, off_t offset, size_t *size) {
    unsigned long number;
    read_control();
    bool counted = is_counted(file->path);
    writes_seen++;
    writes_since_command += counted;
    if (power_is_cut())
        cut_power();
    if (strncmp(command, "enospc", 6) == 0)
        return ENOSPC;
    if (counted && command_number("eio-write", &number) && writes_since_command == number)
        return EIO;
    if (command_number("short", &number) && number && writes_since_command % number == 0 && *size > 1)
        *size = 1 + (size_t)(next_random() % (*size - 1));
    remember(file, offset, (off_t)*size);
    return 0;
}

static int before_sync(const char *path) {
    unsigned long number;
    read_control();
    bool counted = is_counted(path);
    syncs_seen++;
    syncs_since_command += counted;
    if (power_is_cut())
        cut_power();
    if (counted && command_number("cut-sync", &number) && syncs_since_command >= number)
        cut_power();
    if (counted && command_number("eio-sync", &number) && syncs_since_command == number)
        return EIO;
    return 0;
}

static void after_sync(const char *path) {
    unsigned long number;
    if (is_counted(path) && command_number("cut-after", &number) && syncs_since_command >= number)
        cut_power();
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

static int open_followed(int at, const char *path, int flags, mode_t mode) {
    NEXT(openat);
    char absolute[PATH_MAX];
    bool creates = active && (flags & O_CREAT) && resolve(at, path, absolute);
    bool truncates = active && (flags & O_TRUNC) && resolve(at, path, absolute);
    if (!creates && !truncates) {
        int fd = next(at, path, flags, mode);
        follow(fd);
        return fd;
    }
    pthread_mutex_lock(&lock);
    read_control();
    if (power_is_cut())
        cut_power();
    bool is_new = creates && !name_exists(absolute);
    if (is_new && strncmp(command, "enospc", 6) == 0)
        return failed(ENOSPC);
    /* Truncated below instead, where it is remembered. */
    int fd = next(at, path, flags & ~O_TRUNC, mode);
    if (fd >= 0 && is_new)
        note_name(CREATED, absolute, "", 0);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    follow(fd);
    if (fd >= 0 && truncates && !is_new)
        ftruncate(fd, 0);
    return fd;
}

#define OPEN_BODY(at) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode = va_arg(arguments, mode_t); \
        va_end(arguments); \
    } \
    return open_followed(at, path, flags, mode)

int open(const char *path, int flags, ...) { OPEN_BODY(AT_FDCWD); }
int open64(const char *path, int flags, ...) { OPEN_BODY(AT_FDCWD); }
int openat(int at, const char *path, int flags, ...) { OPEN_BODY(at); }
int openat64(int at, const char *path, int flags, ...) { OPEN_BODY(at); }
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
        return raw_truncate(fd, size);
    struct stat status;
    pthread_mutex_lock(&lock);
    read_control();
    if (syscall(SYS_fstat, fd, &status) != 0)
        return failed(errno);
    if (size > status.st_size && strncmp(command, "enospc", 6) == 0)
        return failed(ENOSPC);
    remember(file, size < status.st_size ? size : status.st_size,
             size < status.st_size ? status.st_size - size : 0);
    int result = raw_truncate(fd, size);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate(int fd, off_t size) { return resize(fd, size); }
int ftruncate64(int fd, off64_t size) { return resize(fd, size); }

static int allocate(int fd, int mode, off_t offset, off_t length) {
    struct file *file = followed(fd);
    if (file == NULL)
        return (int)raw(SYS_fallocate, fd, mode, offset, length, 0);
    pthread_mutex_lock(&lock);
    read_control();
    if (mode == 0 && strncmp(command, "enospc", 6) == 0)
        return failed(ENOSPC);
    /* Punching a hole changes bytes; reserving space does not. */
    holes_seen += (mode & FALLOC_FL_PUNCH_HOLE) != 0;
    remember(file, offset, (mode & FALLOC_FL_PUNCH_HOLE) ? length : 0);
    int result = (int)raw(SYS_fallocate, fd, mode, offset, length, 0);
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

/* Syncing a directory makes its names durable. */
static int synchronise_other(int fd, long call) {
    char path[PATH_MAX];
    struct stat status;
    if (!active || syscall(SYS_fstat, fd, &status) != 0 || !S_ISDIR(status.st_mode) ||
        !path_of_descriptor(fd, path) || !is_below_directory(path))
        return (int)raw(call, fd, 0, 0, 0, 0);
    pthread_mutex_lock(&lock);
    int error = before_sync(path);
    if (error)
        return failed(error);
    names_made_durable(path);
    after_sync(path);
    pthread_mutex_unlock(&lock);
    return 0;
}

static int synchronise(int fd, long call) {
    struct file *file = followed(fd);
    if (file == NULL)
        return synchronise_other(fd, call);
    pthread_mutex_lock(&lock);
    int error = before_sync(file->path);
    if (error) {
        file->sync_failed = true;
        return failed(error);
    }
    /* The lock is held, so nothing can slip in between and count as synced. The
     * real sync is left out: it would only make the test slow, since what counts
     * is what this library takes back. */
    made_durable(file);
    after_sync(file->path);
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int fd) { return synchronise(fd, SYS_fsync); }
int fdatasync(int fd) { return synchronise(fd, SYS_fdatasync); }
/* Starts writeback without waiting or flushing the disk: promises nothing. */
int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags) {
    return (int)syscall(SYS_sync_file_range, fd, offset, length, flags);
}

/* ---- system calls that the filter catches ---- */

/* Locks, and reads the command. */
static void before_name_change(void) {
    pthread_mutex_lock(&lock);
    read_control();
    if (power_is_cut())
        cut_power();
}

static long after_name_change(long result) {
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static long change_by_rename(int from_at, const char *from, int to_at, const char *to, long flags) {
    char old_path[PATH_MAX], new_path[PATH_MAX];
    if (!resolve(to_at, to, new_path) || !resolve(from_at, from, old_path))
        return raw(SYS_renameat2, from_at, (long)from, to_at, (long)to, flags);
    before_name_change();
    if (!same_parent(old_path, new_path))
        fatal("rename between directories");
    unsigned long number = stash(new_path);
    long result = raw(SYS_renameat2, from_at, (long)from, to_at, (long)to, flags);
    int error = errno;
    if (result == 0)
        note_name(RENAMED, new_path, old_path, number);
    else
        unstash(number);
    errno = error;
    return after_name_change(result);
}

static long change_by_unlink(int at, const char *path, long flags) {
    char absolute[PATH_MAX];
    if ((flags & AT_REMOVEDIR) || !resolve(at, path, absolute))
        return raw(SYS_unlinkat, at, (long)path, flags, 0, 0);
    before_name_change();
    unsigned long number = stash(absolute);
    long result = raw(SYS_unlinkat, at, (long)path, flags, 0, 0);
    int error = errno;
    if (result == 0)
        note_name(REMOVED, absolute, "", number);
    else
        unstash(number);
    errno = error;
    return after_name_change(result);
}

static long change_by_creation(long call, int at, const char *path, const long *arguments) {
    char absolute[PATH_MAX];
    if (!resolve(at, path, absolute))
        return raw(call, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]);
    before_name_change();
    if (strncmp(command, "enospc", 6) == 0 && !name_exists(absolute))
        return failed(ENOSPC);
    long result =
        raw(call, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]);
    if (result == 0)
        note_name(CREATED, absolute, "", 0);
    return after_name_change(result);
}

static const long caught_calls[] = {
    SYS_fallocate, SYS_ftruncate, SYS_pwrite64, SYS_fsync, SYS_fdatasync,
#ifdef SYS_rename
    SYS_rename, SYS_unlink, SYS_mkdir, SYS_link,
#endif
#ifdef SYS_renameat
    SYS_renameat,
#endif
    SYS_renameat2, SYS_unlinkat, SYS_mkdirat, SYS_linkat,
};

static long caught_call(long call, const long *a) {
    switch (call) {
    case SYS_fallocate: return allocate((int)a[0], (int)a[1], a[2], a[3]);
    case SYS_ftruncate: return resize((int)a[0], a[1]);
    case SYS_pwrite64: return positioned_write((int)a[0], (const void *)a[1], (size_t)a[2], a[3]);
    case SYS_fsync:
    case SYS_fdatasync: return synchronise((int)a[0], call);
#ifdef SYS_rename
    case SYS_rename:
        return change_by_rename(AT_FDCWD, (const char *)a[0], AT_FDCWD, (const char *)a[1], 0);
    case SYS_unlink: return change_by_unlink(AT_FDCWD, (const char *)a[0], 0);
    case SYS_mkdir: return change_by_creation(call, AT_FDCWD, (const char *)a[0], a);
    case SYS_link: return change_by_creation(call, AT_FDCWD, (const char *)a[1], a);
#endif
#ifdef SYS_renameat
    case SYS_renameat:
        return change_by_rename((int)a[0], (const char *)a[1], (int)a[2], (const char *)a[3], 0);
#endif
    case SYS_renameat2:
        return change_by_rename((int)a[0], (const char *)a[1], (int)a[2], (const char *)a[3], a[4]);
    case SYS_unlinkat: return change_by_unlink((int)a[0], (const char *)a[1], a[2]);
    case SYS_mkdirat: return change_by_creation(call, (int)a[0], (const char *)a[1], a);
    case SYS_linkat: return change_by_creation(call, (int)a[2], (const char *)a[3], a);
    default: fatal("unexpected system call"); return -1;
    }
}

/* Runs where the system call would have; whoever makes one holds none of our locks. */
static void on_caught_call(int number, siginfo_t *info, void *context) {
    (void)number;
    int error = errno;
    ucontext_t *machine = context;
#if defined(__x86_64__)
    greg_t *r = machine->uc_mcontext.gregs;
    long arguments[] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8]};
    greg_t *answer = &r[REG_RAX];
#elif defined(__aarch64__)
    unsigned long long *r = machine->uc_mcontext.regs;
    long arguments[] = {(long)r[0], (long)r[1], (long)r[2], (long)r[3], (long)r[4]};
    unsigned long long *answer = &r[0];
#else
#error "say where this machine keeps the arguments of a system call"
#endif
    __atomic_fetch_add(&raw_calls_seen, 1, __ATOMIC_RELAXED);
    long result = caught_call(info->si_syscall, arguments);
    *answer = result < 0 ? -errno : result;
    errno = error;
}

static void install_filter(void) {
    enum { CALLS = sizeof caught_calls / sizeof *caught_calls };
    struct sock_filter filter[CALLS + 6];
    size_t at = 0;
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++)
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                    (unsigned)caught_calls[i],
                                                    (unsigned char)(CALLS - i), 0);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    /* The low half of the last argument; both machines above are little-endian. */
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                offsetof(struct seccomp_data, args[5]));
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_CALL, 0, 1);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    struct sock_fprog program = {.len = (unsigned short)at, .filter = filter};
    struct sigaction action = {.sa_sigaction = on_caught_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGSYS, &action, NULL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        fatal("seccomp");
}

/* Cuts the power of a program that does nothing as well. */
static void *watch(void *unused) {
    const struct timespec pause = {.tv_nsec = 5000000};
    for (;;) {
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&lock);
        read_control();
        if (power_is_cut())
            cut_power();
        pthread_mutex_unlock(&lock);
    }
    return unused;
}
