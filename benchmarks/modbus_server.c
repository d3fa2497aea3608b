/* A Modbus TCP device that costs little: answers function 3 with registers that change, on as many ports as are named.
 *
 * modbus_server PORT...: prints "ready" and serves until it is killed. A register holds its address plus the number
 * of requests so far, so that no two rounds are alike. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 64, HEAD = 12 };

static int is_listener[65536];
static uint16_t count;

static int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 16)) {
        perror("modbus_server");
        exit(1);
    }
    is_listener[fd] = 1;
    return fd;
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = value >> 8;
    at[1] = value;
}

/* Each request is 12 bytes; a client that waits for its answer sends one at a time. */
static int answer(int fd)
{
    uint8_t in[HEAD], out[9 + 250];
    if (read(fd, in, HEAD) != HEAD)
        return -1;
    unsigned first = in[8] << 8 | in[9], registers = in[10] << 8 | in[11];
    if (in[7] != 3 || registers > 125)
        return -1;
    memcpy(out, in, 8);
    put16(out + 4, 3 + 2 * registers);
    out[8] = 2 * registers;
    count++;
    for (unsigned i = 0; i < registers; i++)
        put16(out + 9 + 2 * i, first + i + count);
    return write(fd, out, 9 + 2 * registers) < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    int poll = epoll_create1(0), on = 1;
    struct epoll_event event = {.events = EPOLLIN}, events[MOST];
    for (int i = 1; i < argc; i++) {
        event.data.fd = listen_on(atoi(argv[i]));
        epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poll, events, MOST, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (is_listener[fd]) {
                event.data.fd = accept(fd, NULL, NULL);
                setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
            } else if (answer(fd)) {
                close(fd);
            }
        }
    }
}
