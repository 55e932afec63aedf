/* Loaded before the C library, changes what a sync of a file does:
 *
 *   as long as the file that FAIL_SYNC names exists, it fails, as on a disk
 *   that has lost a write;
 *   as long as the file that SLOW_SYNC names exists, it takes 100 ms longer.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int is_set(const char *name)
{
    const char *flag = getenv(name);
    int before = errno;
    int there = flag != NULL && access(flag, F_OK) == 0;
    errno = before;
    return there;
}

#define REPLACE(name)                                                   \
    int name(int fd)                                                    \
    {                                                                   \
        int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, #name);       \
        struct timespec pause = {0, 100000000};                         \
        if (is_set("FAIL_SYNC")) {                                      \
            errno = EIO;                                                \
            return -1;                                                  \
        }                                                               \
        if (is_set("SLOW_SYNC"))                                        \
            nanosleep(&pause, NULL);                                    \
        return real(fd);                                                \
    }

REPLACE(fsync)
REPLACE(fdatasync)
