/* The floor for pd-send: the system calls by which an event becomes durable, and nothing else.
 * usage: reference CONF OUTQUEUE. Exits 0 when the event is in pdq/. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char body[] =
    "{\"dedup_key\":\"disk\",\"event_action\":\"trigger\",\"payload\":{\"custom_details\":{\"on\":\"/var\"},"
    "\"severity\":\"critical\",\"source\":\"web1.example.org\",\"summary\":\"Disk is 93% full\"},"
    "\"routing_key\":\"00000000000000000000000000000000\"}";

static void name(char *path, size_t size, const char *queue, const char *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(path, size, "%s/%s/%lld_%032d.txt", queue, place,
             now.tv_sec * 1000000LL + now.tv_nsec / 1000, (int)getpid());
}

int main(int argc, char **argv) {
    char conf[8192], temporary[4096], pending[4096], path[4096];
    struct stat status;
    if (argc != 3)
        return 2;
    const char *queue = argv[2];

    int fd = open(argv[1], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) || read(fd, conf, sizeof conf) < 0 || close(fd))
        return 1;

    name(temporary, sizeof temporary, queue, "tmp");
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0 || fchmod(fd, 0640) || write(fd, body, sizeof body - 1) < 0 || fsync(fd))
        return 1;
    name(pending, sizeof pending, queue, "pdq");
    if (link(temporary, pending))
        return 1;
    snprintf(path, sizeof path, "%s/pdq", queue);
    int directory = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if ((directory < 0 ? fsync(fd) : fsync(directory)) || unlink(temporary))
        return 1;

    snprintf(path, sizeof path, "%s/../db/wake", queue);
    fd = open(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && write(fd, strrchr(pending, '/') + 1, strlen(strrchr(pending, '/')) - 1) < 0)
        return 1;
    puts("Event processed.");
    return 0;
}
