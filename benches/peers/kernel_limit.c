/* The least that a server can do on this kernel: wait, read, write the same redirect. It looks nothing up, checks nothing and records
 * nothing; what another server takes beyond it is that server's own doing. Part of benches/peers, which compiles it.
 *
 * usage: kernel_limit PORT [close]
 * With `close` the listener waits for the first bytes (TCP_DEFER_ACCEPT), and each connection ends with its answer. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD                                                                                                                    \
    "HTTP/1.1 302 Found\r\nDate: Wed, 25 Nov 2026 06:00:00 GMT\r\n"                                                             \
    "Location: https://www.example.com/campaigns/landing/0000000?utm_source=qr&utm_medium=print\r\n"                            \
    "Cache-Control: no-store\r\nContent-Length: 0\r\n"
static const char KEPT[] = HEAD "\r\n", LAST[] = HEAD "Connection: close\r\n\r\n";

static int listening(int port, int deferred)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (deferred)
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("kernel_limit: listening");
        exit(1);
    }
    return fd;
}

int main(int count, char **arguments)
{
    int closing = count > 2 && !strcmp(arguments[2], "close"), one = 1;
    if (count < 2) {
        fprintf(stderr, "usage: kernel_limit PORT [close]\n");
        return 2;
    }
    int listener = listening(atoi(arguments[1]), closing), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[512];
    static char received[65536];
    const char *answer = closing ? LAST : KEPT;
    size_t length = closing ? sizeof LAST - 1 : sizeof KEPT - 1;

    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int accepted;
                while ((accepted = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    event.data.fd = accepted;
                    epoll_ctl(epoll, EPOLL_CTL_ADD, accepted, &event);
                }
            } else if (read(fd, received, sizeof received) <= 0 || write(fd, answer, length) < 0 || closing) {
                close(fd);
            }
        }
    }
}
