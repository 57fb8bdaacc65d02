/* A load generator that sends one request over and over, checks each answer, and reports one JSON object.
 *
 * Closed loop (RATE 0): each connection sends again as soon as its answer is whole. Open loop: requests start on a
 * schedule of RATE a second, whatever the answers do, and their times count from the scheduled start, so that a stalled
 * server is charged for all whom it kept waiting. No request starts after SECONDS or after COUNT of them (0: no such
 * bound); those under way are waited for, so the counts are of whole requests. With RAMP_S the connections of a closed
 * loop start at random moments of the first RAMP_S seconds, so that paced streams do not march in step.
 *
 * The request is read from stdin, verbatim. An answer is right if its status is 200, its body holds MARK, and, where
 * they are not 0, it has LENGTH bytes and EVENTS server-sent events, the last of them [DONE].
 *
 * Usage: load PORT CONNECTIONS RATE SECONDS COUNT RAMP_S MARK LENGTH EVENTS < request
 * Limits: answers of up to 64 KB, no TLS.
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
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, MOST_HEAD = 1 << 13, MOST_REQUEST = 1 << 16, BATCH = 512, GRACE_S = 30, MOST_FAILED = 1000 };

enum { IN_HEAD, IN_BODY, IN_REST, IN_SIZE, IN_CHUNK, AFTER_CHUNK, IN_TRAILER, WHOLE, BAD };

typedef struct {
    int fd;
    int is_busy;
    int state;
    int status;
    int is_last; /* the server closes behind this answer */
    size_t left; /* bytes of the body or of the chunk that are still to come */
    size_t head_length, body_length, line_length;
    uint64_t start_us, first_us; /* when it was due to start, when the first byte of the body came */
    char head[MOST_HEAD + 1], line[32], body[BUFFER + 1];
} Connection;

static int poller, clock_fd, connection_count, *idle, idle_count;
static Connection *connections;
static struct sockaddr_in server = {.sin_family = AF_INET};
static char request[MOST_REQUEST];
static size_t request_length;
static const char *mark;
static size_t wanted_length;
static long wanted_events, most_requests, started, done, wrong, failed, events, in_flight;
static double rate, run_s, ramp_s;
static uint64_t begin_us;
static float *total_ms, *first_ms;
static long sample_room;

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- the answer, cut anywhere ---- */

static void read_head(Connection *c) {
    c->head[c->head_length] = 0;
    c->status = atoi(c->head + 9);
    c->is_last = strcasestr(c->head, "\r\nconnection: close") != NULL;
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    c->left = length ? (size_t)atol(length + 17) : 0;
    if (strcasestr(c->head, "\r\ntransfer-encoding: chunked")) c->state = IN_SIZE;
    else if (length) c->state = c->left ? IN_BODY : WHOLE;
    else c->state = IN_REST;
}

static size_t take_head(Connection *c, const char *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (c->head_length == MOST_HEAD) {
            c->state = BAD;
            return n;
        }
        c->head[c->head_length++] = data[i];
        if (data[i] == '\n' && c->head_length > 3 && !memcmp(c->head + c->head_length - 4, "\r\n\r\n", 4)) {
            read_head(c);
            return i + 1;
        }
    }
    return n;
}

static size_t take_body(Connection *c, const char *data, size_t n) {
    if (c->state != IN_REST && n > c->left) n = c->left;
    if (!c->body_length) c->first_us = now_us();
    if (c->body_length + n > BUFFER) {
        c->state = BAD;
        return n;
    }
    memcpy(c->body + c->body_length, data, n);
    c->body_length += n;
    c->left -= n;
    if (c->state != IN_REST && !c->left) c->state = c->state == IN_BODY ? WHOLE : AFTER_CHUNK;
    return n;
}

/* A line of the chunked framing: a size, the end of a chunk, or a trailer, of which the empty one is the last. */
static size_t take_line(Connection *c, const char *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (data[i] != '\n') {
            if (c->line_length < sizeof c->line - 1) c->line[c->line_length++] = data[i];
            continue;
        }
        c->line[c->line_length] = 0;
        size_t length = c->line_length;
        c->line_length = 0;
        if (c->state == AFTER_CHUNK) {
            c->state = IN_SIZE;
        } else if (c->state == IN_TRAILER) {
            if (length <= 1) c->state = WHOLE;
        } else {
            c->left = strtoul(c->line, NULL, 16);
            c->state = c->left ? IN_CHUNK : IN_TRAILER;
        }
        return i + 1;
    }
    return n;
}

static void take(Connection *c, const char *data, size_t n) {
    while (n && c->state < WHOLE) {
        size_t used;
        if (c->state == IN_HEAD) used = take_head(c, data, n);
        else if (c->state == IN_BODY || c->state == IN_REST || c->state == IN_CHUNK) used = take_body(c, data, n);
        else used = take_line(c, data, n);
        data += used;
        n -= used;
    }
    if (n) c->state = BAD; /* more than was asked for */
}

static long count_events(const Connection *c) {
    long found = 0;
    for (const char *at = c->body; (at = strstr(at, "data: ")); at += 6) found++;
    return found;
}

static int is_right(Connection *c) {
    static const char last[] = "data: [DONE]\n\n";
    size_t n = sizeof last - 1;
    c->body[c->body_length] = 0;
    if (c->status != 200 || c->state == BAD || !strstr(c->body, mark)) return 0;
    if (wanted_length && c->body_length != wanted_length) return 0;
    if (!wanted_events) return 1;
    long found = count_events(c) - 1;
    events += found;
    return found == wanted_events && c->body_length > n && !memcmp(c->body + c->body_length - n, last, n);
}

/* ---- connections ---- */

static void open_connection(Connection *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server)) {
        perror("load: connect");
        exit(1);
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
}

static void start(Connection *c, uint64_t start_us) {
    if (c->fd < 0) open_connection(c);
    c->is_busy = 1;
    c->state = IN_HEAD;
    c->head_length = c->body_length = c->line_length = 0;
    c->start_us = c->first_us = start_us;
    started++;
    in_flight++;
    /* A connection between two requests takes so few bytes whole; if the server has closed it, the read says so. */
    if (write(c->fd, request, request_length) != (ssize_t)request_length && errno != EPIPE && errno != ECONNRESET) {
        perror("load: write");
        exit(1);
    }
}

static void keep_times(const Connection *c) {
    if (done == sample_room) {
        sample_room = sample_room ? 2 * sample_room : 1 << 16;
        total_ms = realloc(total_ms, (size_t)sample_room * sizeof *total_ms);
        first_ms = realloc(first_ms, (size_t)sample_room * sizeof *first_ms);
    }
    total_ms[done] = (float)(now_us() - c->start_us) / 1000;
    first_ms[done] = (float)(c->first_us - c->start_us) / 1000;
    done++;
}

static void finish(Connection *c, int is_gone) {
    if (c->is_busy && is_gone && c->state == IN_REST) c->state = WHOLE;
    if (c->is_busy && c->state < WHOLE) {
        failed++;
    } else if (c->is_busy && is_right(c)) {
        keep_times(c);
    } else if (c->is_busy && !wrong++) {
        fprintf(stderr, "load: a wrong answer: %.200s\n%.400s\n", c->head, c->body);
    }
    in_flight -= c->is_busy;
    if (c->is_busy) idle[idle_count++] = (int)(c - connections);
    c->is_busy = 0;
    if (!is_gone && !c->is_last && c->state != BAD) return;
    close(c->fd);
    c->fd = -1;
}

static void receive(Connection *c) {
    char data[16384];
    if (c->fd < 0) return;
    ssize_t n = read(c->fd, data, sizeof data);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0 && c->is_busy) take(c, data, (size_t)n);
    if (n <= 0 || !c->is_busy || c->state >= WHOLE) finish(c, n <= 0 || !c->is_busy);
}

/* ---- when requests start ---- */

static int is_over(uint64_t now) {
    return now >= begin_us + (uint64_t)(run_s * 1e6) || (most_requests && started >= most_requests) ||
           failed + wrong > MOST_FAILED;
}

/* When the next request is due: on the schedule, or at once; for the first of each connection, at its random moment. */
static uint64_t next_due(void) {
    static unsigned seed = 1;
    static uint64_t due;
    static long due_of = -1;
    if (rate > 0) return begin_us + (uint64_t)((double)started * 1e6 / rate);
    if (started >= connection_count || ramp_s <= 0) return begin_us;
    if (due_of != started) {
        due_of = started;
        seed = seed * 1664525u + 1013904223u;
        double mean_us = ramp_s * 1e6 / connection_count;
        due = begin_us + (uint64_t)(((double)started + (double)(seed >> 8) / (1 << 24)) * mean_us);
    }
    return due;
}

static void start_due(void) {
    uint64_t now = now_us();
    while (idle_count && !is_over(now)) {
        uint64_t due = next_due();
        if (due > now) break;
        start(&connections[idle[--idle_count]], rate > 0 ? due : now_us());
    }
}

static void set_clock(void) {
    uint64_t due = next_due(), end = begin_us + (uint64_t)(run_s * 1e6), now = now_us();
    if (due <= now || due > end) due = now < end ? end : end + (uint64_t)GRACE_S * 1000000;
    static uint64_t set_us;
    if (due == set_us) return;
    set_us = due;
    struct itimerspec when = {.it_value = {(time_t)(due / 1000000), (long)(due % 1000000) * 1000}};
    timerfd_settime(clock_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void run(void) {
    struct epoll_event ready[BATCH];
    begin_us = now_us();
    for (;;) {
        start_due();
        uint64_t now = now_us();
        if (is_over(now) && (!in_flight || now > begin_us + (uint64_t)((run_s + GRACE_S) * 1e6))) break;
        set_clock();
        int n = epoll_wait(poller, ready, BATCH, -1);
        for (int i = 0; i < n; i++) {
            uint64_t fired;
            if (ready[i].data.ptr) receive(ready[i].data.ptr);
            else if (read(clock_fd, &fired, sizeof fired) < 0 && errno != EAGAIN) exit(1);
        }
    }
    failed += in_flight;
}

/* ---- the report ---- */

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *name, float *times) {
    if (done) qsort(times, (size_t)done, sizeof *times, compare);
    double at[4] = {.5, .9, .99, 1};
    for (int i = 0; i < 4; i++) at[i] = done ? times[(long)(at[i] * (double)(done - 1))] : 0;
    printf("\"%s\":{\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"max\":%.4f},", name, at[0], at[1], at[2], at[3]);
}

static void report(double seconds) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                   (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{");
    print_times("total_ms", total_ms);
    print_times("first_ms", first_ms);
    printf("\"done\":%ld,\"wrong\":%ld,\"failed\":%ld,\"events\":%ld,\"seconds\":%.3f,\"cpu_s\":%.3f}\n", done, wrong,
           failed, events, seconds, cpu_s);
}

static void make_connections(void) {
    poller = epoll_create1(0);
    clock_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, clock_fd, &e);
    connections = calloc((size_t)connection_count, sizeof *connections);
    idle = calloc((size_t)connection_count, sizeof *idle);
    for (int i = 0; i < connection_count; i++) {
        open_connection(&connections[i]);
        idle[idle_count++] = i;
    }
}

int main(int count, char **arguments) {
    if (count != 10) {
        fprintf(stderr, "usage: load PORT CONNECTIONS RATE SECONDS COUNT RAMP_S MARK LENGTH EVENTS < request\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons((uint16_t)atoi(arguments[1]));
    connection_count = atoi(arguments[2]);
    rate = atof(arguments[3]);
    run_s = atof(arguments[4]);
    most_requests = atol(arguments[5]);
    ramp_s = atof(arguments[6]);
    mark = arguments[7];
    wanted_length = (size_t)atol(arguments[8]);
    wanted_events = atol(arguments[9]);
    request_length = fread(request, 1, sizeof request, stdin);
    make_connections();
    run();
    report((double)(now_us() - begin_us) / 1e6);
    return 0;
}
