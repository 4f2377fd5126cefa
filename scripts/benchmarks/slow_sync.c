/* Makes each sync of a file take 3 ms at least, whatever the disk: loaded by LD_PRELOAD. What syncs
 * in another way (O_DSYNC, io_uring) is as fast as the disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <time.h>

#define NANOSECONDS 3000000L

static int slowly(const char *name, int descriptor) {
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_nsec += NANOSECONDS;
  if (end.tv_nsec >= 1000000000L) {
    end.tv_nsec -= 1000000000L;
    end.tv_sec += 1;
  }
  int result = ((int (*)(int))dlsym(RTLD_NEXT, name))(descriptor);
  int error = errno;
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR) {
  }
  errno = error;
  return result;
}

int fsync(int descriptor) { return slowly("fsync", descriptor); }
int fdatasync(int descriptor) { return slowly("fdatasync", descriptor); }
