/* A chat-completions server that is never the bottleneck: one thread, epoll, keep-alive, canned answers, an optional
 * constant delay. It also counts what it was asked, by the number behind "item-" in the request:
 *
 *   GET  /stats  {"requests":N,"asked_again":N,"answered_then_asked_again":N,"most_in_flight":N}
 *   POST /mark   from now on, what was answered before counts as answered (the moment of a kill)
 *   POST /reset  forget everything
 *
 * Usage: loopback DELAY_MS ANSWER_BYTES       prints its port on the first line; ends when its stdin closes.
 * Limits: Content-Length bodies up to 1 MiB, at most 1,048,576 items, no pipelining, no TLS.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, MOST_ITEMS = 1 << 20, MOST_FDS = 1 << 14, QUEUE = 1 << 14 };

typedef struct {
    int open;
    unsigned life;          /* tells a connection from an earlier one with the same number */
    char *in;
    size_t have, room;
    const char *out;        /* what is left to send */
    size_t left;
    long item;
} Connection;

typedef struct {
    int fd;
    unsigned life;
    uint64_t due_ms;
} Due;

static Connection connections[MOST_FDS];
static Due queue[QUEUE];
static unsigned queue_head, queue_tail;
static unsigned char asked[MOST_ITEMS], answered[MOST_ITEMS], marked[MOST_ITEMS];
static long requests, asked_again, answered_then_asked_again, in_flight, most_in_flight;
static int poller;
static uint64_t delay_ms;
static char *answer, small[512];
static size_t answer_length;

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void make_answer(size_t bytes) {
    const char *head = "{\"id\":\"chatcmpl-9abcdefghijklmnop\",\"object\":\"chat.completion\",\"created\":1764000000,"
                       "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                       "\"assistant\",\"content\":\"";
    const char *tail = "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
                       "\"prompt_tokens\":380,\"completion_tokens\":520,\"total_tokens\":900},"
                       "\"system_fingerprint\":\"fp_44709d6fcb\"}";
    const char *words = "The still runs slowly and the spirit safe is locked, so what leaves is measured. ";
    size_t fixed = strlen(head) + strlen(tail), text = bytes > fixed ? bytes - fixed : 1;
    answer = malloc(bytes + fixed + 512);
    int n = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                    fixed + text, head);
    for (size_t i = 0; i < text; i++) answer[n++] = words[i % strlen(words)];
    n += sprintf(answer + n, "%s", tail);
    answer_length = (size_t)n;
}

static void drop(int fd) {
    Connection *c = &connections[fd];
    if (c->item >= -1 && c->open == 2) in_flight--;
    c->open = 0;
    c->life++;
    close(fd);
}

static void flush(int fd) {
    Connection *c = &connections[fd];
    while (c->left) {
        ssize_t n = write(fd, c->out, c->left);
        if (n < 0 && errno == EAGAIN) {
            struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.fd = fd};
            epoll_ctl(poller, EPOLL_CTL_MOD, fd, &e);
            return;
        }
        if (n <= 0) { drop(fd); return; }
        c->out += n;
        c->left -= (size_t)n;
    }
}

static void give_answer(int fd) {
    Connection *c = &connections[fd];
    c->open = 1;
    in_flight--;
    if (c->item >= 0) answered[c->item] = 1;
    c->out = answer;
    c->left = answer_length;
    flush(fd);
}

static void count(long item) {
    requests++;
    if (++in_flight > most_in_flight) most_in_flight = in_flight;
    if (item < 0) return;
    if (asked[item]) {
        asked_again++;
        if (marked[item]) answered_then_asked_again++;
    }
    asked[item] = 1;
}

static void plain(int fd, const char *body) {
    Connection *c = &connections[fd];
    c->left = (size_t)sprintf(small, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                              strlen(body), body);
    c->out = small;
    flush(fd);
}

static void control(int fd, const char *request) {
    char body[256] = "{}";
    if (!strncmp(request, "GET /stats", 10)) {
        sprintf(body, "{\"requests\":%ld,\"asked_again\":%ld,\"answered_then_asked_again\":%ld,\"most_in_flight\":%ld}",
                requests, asked_again, answered_then_asked_again, most_in_flight);
    } else if (!strncmp(request, "POST /mark", 10)) {
        memcpy(marked, answered, sizeof marked);
    } else if (!strncmp(request, "POST /reset", 11)) {
        memset(asked, 0, sizeof asked);
        memset(answered, 0, sizeof answered);
        memset(marked, 0, sizeof marked);
        requests = asked_again = answered_then_asked_again = most_in_flight = 0;
    }
    plain(fd, body);
}

static long item_of(const char *body, size_t length) {
    const char *at = memmem(body, length, "item-", 5);
    long item = at ? atol(at + 5) : -1;
    return item < MOST_ITEMS ? item : -1;
}

/* Handles one whole request at the start of the buffer; 0 if there is none yet. */
static int take_request(int fd) {
    Connection *c = &connections[fd];
    c->in[c->have] = 0;
    char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = (size_t)(end - c->in) + 4, length = 0;
    char *field = strcasestr(c->in, "\r\ncontent-length:");
    if (field && field < end) length = (size_t)atol(field + 17);
    if (c->have < head + length) return 0;
    if (strncmp(c->in, "POST /v1/", 9)) {
        control(fd, c->in);
    } else {
        c->item = item_of(c->in + head, length);
        c->open = 2;
        count(c->item);
        if (delay_ms) {
            queue[queue_tail++ % QUEUE] = (Due){fd, c->life, now_ms() + delay_ms};
        } else {
            give_answer(fd);
        }
    }
    c->have -= head + length;
    memmove(c->in, c->in + head + length, c->have);
    return 1;
}

static void readable(int fd) {
    Connection *c = &connections[fd];
    for (;;) {
        if (c->room - c->have < 2) {
            c->room = c->room ? c->room * 2 : BUFFER;
            c->in = realloc(c->in, c->room);
        }
        ssize_t n = read(fd, c->in + c->have, c->room - c->have - 1);
        if (n == 0 || (n < 0 && errno != EAGAIN)) { drop(fd); return; }
        if (n < 0) break;
        c->have += (size_t)n;
    }
    while (c->open && c->have && take_request(fd)) {
    }
}

static void welcome(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MOST_FDS) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Connection *c = &connections[fd];
        c->open = 1;
        c->have = c->left = 0;
        c->item = -2;
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

static int wait_ms(void) {
    if (queue_head == queue_tail) return -1;
    uint64_t due = queue[queue_head % QUEUE].due_ms, now = now_ms();
    return due > now ? (int)(due - now) : 0;
}

int main(int argc, char **argv) {
    if (argc != 3) { fprintf(stderr, "usage: loopback DELAY_MS ANSWER_BYTES\n"); return 2; }
    signal(SIGPIPE, SIG_IGN);
    delay_ms = (uint64_t)atol(argv[1]);
    make_answer((size_t)atol(argv[2]));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) { perror("bind"); return 1; }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    poller = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, stop = {.events = EPOLLIN, .data.fd = 0};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &stop);
    struct epoll_event events[512];
    for (;;) {
        int n = epoll_wait(poller, events, 512, wait_ms());
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == 0) return 0;
            if (fd == listener) { welcome(listener); continue; }
            if (events[i].events & EPOLLOUT) {
                struct epoll_event in = {.events = EPOLLIN, .data.fd = fd};
                epoll_ctl(poller, EPOLL_CTL_MOD, fd, &in);
                flush(fd);
            }
            if (connections[fd].open && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(fd);
        }
        while (queue_head != queue_tail && queue[queue_head % QUEUE].due_ms <= now_ms()) {
            Due due = queue[queue_head++ % QUEUE];
            if (connections[due.fd].life == due.life && connections[due.fd].open) give_answer(due.fd);
        }
    }
}
