/* A chat model behind an API that is never the bottleneck: one thread, epoll, keep-alive, canned answers.
 *
 * Any POST is answered at once with 1.1 KB of JSON. One whose body asks for "stream":true gets server-sent events of
 * about 248 bytes: EVENTS of them with a token each, then one with the end and [DONE]. The model's name sets the pace:
 * "paced-20000" sends one event each 20,000 microseconds, the first of them at once; any other name sends all at once.
 *
 * Usage: upstream EVENTS       prints its port on the first line; ends when its stdin closes.
 * Limits: request bodies of up to 64 KB; no pipelining, no TLS.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, MOST_EVENTS = 4096, BATCH = 512 };

typedef struct {
    int fd;
    size_t have;
    const char *out; /* the canned answer that is being sent, NULL between requests */
    size_t sent;     /* bytes of it that the kernel has taken */
    size_t free;     /* bytes of it that may be sent by now */
    int next_event;  /* the event that `free` does not cover yet */
    int is_blocked;  /* the kernel took less than it was given */
    uint64_t pace_us;
    uint64_t due_us;
    int place; /* in the heap of those that wait for their time, -1 outside */
    char in[BUFFER + 1];
} Connection;

static int poller, clock_fd, listener, event_count;
static char plain[4096], *stream;
static size_t plain_length, event_end[MOST_EVENTS + 1]; /* where each event ends in `stream`, the head counted */
static Connection **heap;
static int heap_count, heap_room;

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- canned answers ---- */

static void make_plain(void) {
    char text[2048], body[3072];
    int n = 0;
    for (int i = 0; i < 100; i++) n += sprintf(text + n, " token%d", i);
    int length = sprintf(body,
                         "{\"id\":\"chatcmpl-9abcdefghijklmnop\",\"object\":\"chat.completion\",\"created\":1764000000,"
                         "\"model\":\"fake-model-1\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                         "\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
                         "\"prompt_tokens\":20,\"completion_tokens\":100,\"total_tokens\":120}}",
                         text);
    plain_length = (size_t)sprintf(plain,
                                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_abc\r\n"
                                   "Content-Length: %d\r\n\r\n%s",
                                   length, body);
}

static int put_chunk(char *to, const char *text) { return sprintf(to, "%zx\r\n%s\r\n", strlen(text), text); }

static void make_stream(void) {
    static const char *id = "\"id\":\"chatcmpl-9abcdefghijklmnop\",\"object\":\"chat.completion.chunk\",\"created\":"
                            "1764000000,\"model\":\"fake-model-1\",\"system_fingerprint\":\"fp_44709d6fcb\"";
    char event[1024];
    stream = malloc(1024 * ((size_t)event_count + 2));
    size_t n = (size_t)sprintf(stream,
                               "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                               "X-Accel-Buffering: no\r\nx-request-id: req_abc\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < event_count; i++) {
        sprintf(event,
                "data: {%s,\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token%d\"},\"logprobs\":null,"
                "\"finish_reason\":null}]}\n\n",
                id, i);
        n += (size_t)put_chunk(stream + n, event);
        event_end[i] = n;
    }
    sprintf(event,
            "data: {%s,\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
            "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\ndata: [DONE]\n\n",
            id, event_count, event_count + 20);
    n += (size_t)put_chunk(stream + n, event);
    n += (size_t)sprintf(stream + n, "0\r\n\r\n");
    event_end[event_count] = n;
}

/* ---- those that wait for their time: a heap, the earliest first ---- */

static void place(Connection *c, int at) {
    heap[at] = c;
    c->place = at;
}

static void sift(int at) {
    Connection *c = heap[at];
    for (; at && heap[(at - 1) / 2]->due_us > c->due_us; at = (at - 1) / 2) place(heap[(at - 1) / 2], at);
    for (;;) {
        int child = 2 * at + 1;
        if (child + 1 < heap_count && heap[child + 1]->due_us < heap[child]->due_us) child++;
        if (child >= heap_count || heap[child]->due_us >= c->due_us) break;
        place(heap[child], at);
        at = child;
    }
    place(c, at);
}

static void wait_for_time(Connection *c) {
    if (heap_count == heap_room) {
        heap_room = heap_room ? 2 * heap_room : 1024;
        heap = realloc(heap, (size_t)heap_room * sizeof *heap);
    }
    heap[heap_count++] = c;
    sift(heap_count - 1);
}

static void wait_no_more(Connection *c) {
    int at = c->place;
    if (at < 0) return;
    c->place = -1;
    Connection *last = heap[--heap_count];
    if (last == c) return;
    place(last, at);
    sift(at);
}

static void set_clock(void) {
    static uint64_t set_us;
    uint64_t due_us = heap_count ? heap[0]->due_us : 0; /* a time of 0 stops the clock */
    if (due_us == set_us) return;
    set_us = due_us;
    struct itimerspec when = {.it_value = {(time_t)(due_us / 1000000), (long)(due_us % 1000000) * 1000}};
    timerfd_settime(clock_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* ---- connections ---- */

static void watch(Connection *c, int operation, unsigned events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &e);
}

static void drop(Connection *c) {
    wait_no_more(c);
    close(c->fd);
    free(c);
}

/* Sends what may be sent by now; -1 if the connection is gone. */
static int push(Connection *c) {
    while (c->sent < c->free) {
        ssize_t n = write(c->fd, c->out + c->sent, c->free - c->sent);
        if (n < 0 && errno == EAGAIN) {
            c->is_blocked = 1;
            watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return 0;
        }
        if (n <= 0) return -1;
        c->sent += (size_t)n;
    }
    if (c->is_blocked) {
        c->is_blocked = 0;
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
    }
    int is_whole = c->out == plain ? c->free == plain_length : c->next_event > event_count;
    if (is_whole) c->out = NULL;
    return 0;
}

/* Frees every event that is due and sends them; -1 if the connection is gone. */
static int advance(Connection *c, uint64_t now) {
    while (c->next_event <= event_count && c->due_us <= now) {
        c->free = event_end[c->next_event++];
        c->due_us += c->pace_us;
    }
    if (c->next_event <= event_count) wait_for_time(c);
    return push(c);
}

static int answer(Connection *c, const char *body) {
    c->sent = 0;
    if (!strstr(body, "\"stream\":true") && !strstr(body, "\"stream\": true")) {
        c->out = plain;
        c->free = plain_length;
        return push(c);
    }
    const char *pace = strstr(body, "\"paced-");
    c->out = stream;
    c->next_event = 0;
    c->pace_us = pace ? (uint64_t)atol(pace + 7) : 0;
    c->due_us = now_us();
    return advance(c, c->due_us);
}

/* How long the request at the start of the buffer is, 0 if it is not there as a whole. */
static size_t request_length(Connection *c, size_t *head) {
    c->in[c->have] = 0;
    char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
    if (!end) return 0;
    *head = (size_t)(end - c->in) + 4;
    char *field = strcasestr(c->in, "\r\ncontent-length:");
    if (field && field < end) {
        size_t length = *head + (size_t)atol(field + 17);
        return c->have < length ? 0 : length;
    }
    field = strcasestr(c->in, "\r\ntransfer-encoding:");
    if (!field || field > end) return *head;
    /* JSON on one line holds no line end, so this can only be the last chunk. */
    char *last = memmem(end, c->have - *head + 4, "\r\n0\r\n\r\n", 7);
    return last ? (size_t)(last - c->in) + 7 : 0;
}

/* Answers the next request, if it is there and the one before is done; -1 if the connection is gone. */
static int take(Connection *c) {
    size_t head = 0, length;
    if (c->out || !(length = request_length(c, &head))) return c->have == BUFFER ? -1 : 0;
    char kept = c->in[length];
    c->in[length] = 0;
    int failed = answer(c, c->in + head);
    c->in[length] = kept;
    c->have -= length;
    memmove(c->in, c->in + length, c->have);
    return failed;
}

static int receive(Connection *c) {
    ssize_t n = read(c->fd, c->in + c->have, BUFFER - c->have);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) return -1;
    c->have += (size_t)n;
    return take(c);
}

static void accept_all(void) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Connection *c = malloc(sizeof *c);
        memset(c, 0, offsetof(Connection, in));
        c->fd = fd;
        c->place = -1;
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void serve_due(void) {
    uint64_t fired, now = now_us();
    if (read(clock_fd, &fired, sizeof fired) < 0 && errno != EAGAIN) exit(1);
    while (heap_count && heap[0]->due_us <= now) {
        Connection *c = heap[0];
        wait_no_more(c);
        if (advance(c, now) < 0 || take(c) < 0) drop(c);
    }
}

static void serve(const struct epoll_event *e) {
    Connection *c = e->data.ptr;
    int failed = 0;
    if (e->events & EPOLLOUT) failed = push(c);
    if (!failed && e->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) failed = receive(c);
    if (failed) drop(c);
}

static int start(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) return -1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    poller = epoll_create1(0);
    clock_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    int *watched[] = {&listener, &clock_fd, &(int){STDIN_FILENO}};
    for (int i = 0; i < 3; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = i == 2 ? NULL : watched[i]};
        epoll_ctl(poller, EPOLL_CTL_ADD, *watched[i], &e);
    }
    printf("%d\n", ntohs(address.sin_port));
    return fflush(stdout);
}

int main(int count, char **arguments) {
    event_count = count == 2 ? atoi(arguments[1]) : 0;
    if (event_count < 1 || event_count > MOST_EVENTS) {
        fprintf(stderr, "usage: upstream EVENTS, from 1 to %d\n", MOST_EVENTS);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    make_plain();
    make_stream();
    if (start()) {
        perror("upstream");
        return 1;
    }
    struct epoll_event ready[BATCH];
    for (;;) {
        int n = epoll_wait(poller, ready, BATCH, -1), is_time = 0;
        for (int i = 0; i < n; i++) {
            void *what = ready[i].data.ptr;
            if (!what) return 0;
            if (what == &listener) accept_all();
            else if (what == &clock_fd) is_time = 1;
            else serve(&ready[i]);
        }
        if (is_time) serve_due(); /* after the batch: it may free connections that the batch still names */
        set_clock();
    }
}
