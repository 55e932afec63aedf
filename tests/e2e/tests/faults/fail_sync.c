/* Loaded before the C library: as long as the file that FAIL_SYNC names exists,
 * every sync of a file fails as it does on a disk that has lost a write. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int fails(void)
{
    const char *flag = getenv("FAIL_SYNC");
    int before = errno;
    int there = flag != NULL && access(flag, F_OK) == 0;
    errno = before;
    return there;
}

#define REPLACE(name)                                                   \
    int name(int fd)                                                    \
    {                                                                   \
        int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, #name);       \
        if (fails()) {                                                  \
            errno = EIO;                                                \
            return -1;                                                  \
        }                                                               \
        return real(fd);                                                \
    }

REPLACE(fsync)
REPLACE(fdatasync)
