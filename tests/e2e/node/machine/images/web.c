/*
 * A small web server: web PORT
 *
 * Answers each request on 127.0.0.1 with "ok" after half a millisecond of work, one connection after the other.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
static const long WORK = 500000; /* nanoseconds of CPU time */

static void end(int signum) { (void)signum; _exit(0); }

static long used(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void serve(int connection) {
    char text[4096];
    size_t length = 0;
    for (;;) {
        ssize_t more = read(connection, text + length, sizeof text - 1 - length);
        if (more <= 0) return;
        length += (size_t)more;
        text[length] = 0;
        if (!strstr(text, "\r\n\r\n")) continue;
        length = 0;
        for (long until = used() + WORK; used() < until;) {}
        if (write(connection, ANSWER, sizeof ANSWER - 1) < 0) return;
    }
}

int main(int count, char **words) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    address.sin_port = htons((unsigned short)(count > 1 ? atoi(words[1]) : 0));
    signal(SIGTERM, end);
    signal(SIGINT, end);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) {
        perror("web");
        return 1;
    }
    for (;;) {
        int connection = accept(listener, 0, 0);
        if (connection < 0) continue;
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        serve(connection);
        close(connection);
    }
}
